/*
 * What a disk can drain in how much time, and what may therefore be promised. Pure: no clock, no I/O.
 *
 * The model has three costs: `slot_ns` to transfer 4 KiB, `head_ns` more when the block does not continue the one before
 * (seek, command), and `flush_ns` for an epoch as such: the FLUSH and the latency that even the smallest epoch has. An
 * epoch of s slots with h heads is expected to take s * slot_ns + h * head_ns + flush_ns.
 *
 * It starts from a measurement (measure.h) and follows every real epoch: a slower one counts at once, a faster one by a
 * sixteenth of the difference, because a bound that is too small costs speed and one that is too large costs data.
 */
#ifndef RAPILOG_RATE_H
#define RAPILOG_RATE_H

#include <quoll/rapilog.h>
#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t slot_ns, head_ns, flush_ns;
    bool known;
};

/* Raw times of measured epochs, each from its first write to the end of its FLUSH. */
struct rate_sample {
    uint64_t flush_least, flush_most; /* one block */
    uint64_t long_ns;                 /* one sequential piece of long_slots >= 1 */
    uint32_t long_slots;
    uint32_t scattered_slots; /* scattered single blocks in flight together; 0: not measured */
    uint64_t scattered_ns;
};

void rate_begin(struct rate *rate, const struct rate_sample *sample);
void rate_follow(struct rate *rate, uint32_t slots, uint32_t heads, uint64_t elapsed_ns);
/* What such an epoch takes, as far as is known, with its FLUSH. */
uint64_t rate_expects(const struct rate *rate, uint32_t slots, uint32_t heads);
/* What was measured anew counts as an epoch does: slower at once, faster by a part of the difference. */
void rate_blend(struct rate *rate, const struct rate *found);
/* The slower of the two in every respect. */
struct rate rate_worse(const struct rate *a, const struct rate *b);
uint64_t rate_bytes_per_second(const struct rate *rate);

struct rate_limits { /* from the system description */
    uint64_t hold_up_ns, reserve_ns;
    uint32_t sharers; /* services that drain to the same disk at the same time; 0 counts as 1 */
};

/* The time that promised data may take to drain:
 *     (hold-up - reserve) / sharers - the FLUSH in progress - the final FLUSH
 * 0 with a reason when not even one block fits. */
uint64_t rate_budget(const struct rate *rate, const struct rate_limits *limits,
                     enum rapilog_reason *reason);

#endif
