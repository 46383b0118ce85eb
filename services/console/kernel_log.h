/*
 * Reading the kernel's log rings (quoll/log.h) line by line.
 *
 * The kernel writes without waiting for anyone. A reader copies a line first and looks afterwards whether the kernel has
 * meanwhile come near that place; if so the copy is worthless, and everything up to the next begin of a line counts as
 * lost. So what is shown is always a whole line that was written as such.
 */
#ifndef CONSOLE_KERNEL_LOG_H
#define CONSOLE_KERNEL_LOG_H

#include <quoll/log.h>
#include <stdbool.h>
#include <stddef.h>

#define KERNEL_LOG_LINE 512u

struct kernel_log_reader {
    const struct quoll_log_ring *ring;
    uint64_t position; /* of the next byte to look at */
    uint64_t lost;     /* bytes that nobody has been told about */
    bool skipping;     /* in the middle of a line whose begin was lost */
};

/* Starts behind what the kernel has already shown on the early console. */
void kernel_log_attach(struct kernel_log_reader *reader, const struct quoll_log_ring *ring);
/* Takes the next line, without its line feed; a longer one comes in pieces. Returns its length, or SIZE_MAX when there
 * is no complete line. */
size_t kernel_log_take(struct kernel_log_reader *reader, char line[KERNEL_LOG_LINE]);

#endif
