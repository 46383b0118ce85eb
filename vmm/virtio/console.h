/*
 * The virtio console (virtio 1.2, section 5.3): one port, to and from the console hub (console_hub.h).
 *
 * Nothing is dropped in either direction: output waits in the guest's chain while the stream is full, input waits
 * in the stream while the guest gives no buffers. Device thread only.
 */
#ifndef VMM_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_CONSOLE_H

#include "console_hub.h"
#include "virtio/mmio.h"

struct virtio_console {
    struct virtio_device device; /* first */
    struct console *console;
    bool has_spoken;  /* since the last reset: somebody in the guest uses it */
    bool output_held; /* `output` is a chain of which `sent` bytes went out */
    uint64_t sent;
    struct virtqueue_chain output;
};

void virtio_console_start(struct virtio_console *port, struct console *console);
/* After the device's state was brought back: somebody in the guest may use it. */
void virtio_console_resume(struct virtio_console *port);
/* Moves what can be moved, both ways. */
void virtio_console_move(struct virtio_console *port);
/* Whether the guest reads here and has buffers ready; when not, it will notify. */
bool virtio_console_wants_input(struct virtio_console *port);

#endif
