/*
 * The console hub: the VM's one console stream, shared by its UART and its virtio console.
 *
 * Output of both goes to the stream. Input goes to whichever of them the guest listens on: the virtio console
 * once its driver has sent something, else the UART once the guest waits for its input, else it stays in the stream.
 * Device thread only.
 */
#ifndef VMM_CONSOLE_HUB_H
#define VMM_CONSOLE_HUB_H

#include <quoll/stream.h>
#include <stdbool.h>
#include <stdint.h>

struct console {
    struct stream_end stream;
    bool open;   /* there is a stream; without one, output vanishes */
    bool peeked; /* `ahead` is a byte that was taken from the stream to see if there is one */
    uint8_t ahead;
};

/* Returns how many bytes were taken; when fewer, the console signal comes when there is space. */
uint32_t console_write(struct console *console, const void *bytes, uint32_t size);
bool console_has_input(struct console *console);
uint32_t console_read(struct console *console, void *bytes, uint32_t size);

#endif
