/*
 * What RapiLog shows of itself: one structure in its region "gauges", written by RapiLog only; 10 ms late at
 * most, and dirty_bytes is 0 only when nothing is dirty. Every field is read and written as a whole; fields may be of different steps.
 */
#ifndef QUOLL_RAPILOG_H
#define QUOLL_RAPILOG_H

#include <stdint.h>

enum rapilog_state {
    RAPILOG_STARTING, /* measuring its disks */
    RAPILOG_HELD,     /* acknowledges when the bytes are in its memory */
    RAPILOG_THROUGH,  /* acknowledges when the bytes are on the disk; `reason` tells why */
    RAPILOG_FAILING,  /* a disk refuses writes: acknowledged data is kept and retried */
    RAPILOG_DRAINING, /* asked to drain: acknowledges when the bytes are on the disk */
    RAPILOG_MAINS,    /* mains lost: drains, answers nothing */
    RAPILOG_DRAINED,  /* everything acknowledged is on the disk */
};

enum rapilog_reason { /* for acknowledging from the disk only */
                      RAPILOG_REASON_NONE,
                      RAPILOG_REASON_NO_HOLD_UP, /* the description names no power-fail signal */
                      RAPILOG_REASON_TOO_SHORT, /* reserve and flushes take the whole hold-up time */
                      RAPILOG_REASON_NOT_MEASURED, /* a volume could not be measured */
                      RAPILOG_REASON_COUNT
};

struct rapilog_gauges {
    uint64_t state;           /* enum rapilog_state */
    uint64_t reason;          /* enum rapilog_reason */
    uint64_t dirty_bytes;     /* in the buffer, in whole slots of 4 KiB */
    uint64_t dirty_high;      /* most of it so far */
    uint64_t bound_bytes;     /* most of it allowed, if it is one sequential piece */
    uint64_t bound_scattered; /* most of it allowed, if no two blocks are adjacent */
    uint64_t drain_ns;        /* time to drain what is in the buffer, as estimated */
    uint64_t write_rate;      /* bytes/s, sequential, as measured */
    uint64_t scattered_ns;    /* extra time of a block that is not adjacent to the one before */
    uint64_t flush_ns;        /* time of a FLUSH with little to do */
    uint64_t acknowledged_writes;
    uint64_t acknowledged_bytes;
    uint64_t coalesced_bytes; /* replaced in the buffer before they went to the disk */
    uint64_t drained_bytes;   /* on the disk, flushed */
    uint64_t epochs;          /* drains that ended in a successful FLUSH */
    uint64_t waits;           /* writes that had to wait for space */
    uint64_t waiting;         /* requests not answered at the moment */
    uint64_t write_errors;    /* writes and flushes that a disk refused */
    uint64_t read_errors;
    uint64_t failed_requests; /* writes and flushes answered with an error */
    uint64_t measurements;    /* of volumes, at the start and while they were idle */
};

#endif
