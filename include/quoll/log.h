/*
 * The kernel log: one ring of text per core, written by that core's kernel only, readable by the
 * component that is given the IMAGE_REGION_KERNEL_LOG region (the console service). A reader that
 * falls behind by more than the ring's size loses the oldest text and can tell from the counters.
 *
 * The kernel also prints every byte on the early console until the thread that receives the image's
 * `log_channel` first waits: from then on that thread's component owns the UART, and only fatal reports
 * of the kernel itself still go there directly. `taken_over` tells the component where to start, so that
 * nothing is shown twice.
 */
#ifndef QUOLL_LOG_H
#define QUOLL_LOG_H

#include <stdint.h>

#define QUOLL_LOG_BYTES 8128u

struct quoll_log_ring {
    uint64_t written;    /* bytes written since boot; byte n is at text[n % QUOLL_LOG_BYTES] */
    uint64_t taken_over; /* bytes of this ring that were also on the early console */
    uint64_t reserved[6];
    char text[QUOLL_LOG_BYTES];
};

struct quoll_log {
    uint32_t cores;
    uint32_t ring_bytes; /* sizeof(struct quoll_log_ring) */
    uint64_t reserved[511];
    struct quoll_log_ring ring[];
};

_Static_assert(sizeof(struct quoll_log_ring) == 8192, "rings are whole pages");

#endif
