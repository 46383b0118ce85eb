/* The cost model of a disk; see rate.h. Times are clamped, so that no sum or product overflows. */
#include "rate.h"

#include "buffer.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define LONGEST (UINT64_C(1) << 40) /* ns, 18 minutes: slower than that is as bad */
#define STEEPEST 8u /* one epoch makes the transfer cost at most that many times larger */
#define GROWTH 16u

/*@ predicate is_rate(struct rate *rate) =
      \valid_read(rate) && rate->slot_ns <= LONGEST && rate->head_ns <= LONGEST && rate->flush_ns <= LONGEST; */

/*@ assigns \nothing;
    ensures 1 <= \result <= LONGEST && (\result <= ns || ns == 0); */
static uint64_t clamp(uint64_t ns)
{
    if (ns == 0)
        return 1;
    return ns < LONGEST ? ns : LONGEST;
}

/*@ assigns \nothing;
    ensures \result >= a && \result >= b && (\result == a || \result == b); */
static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What each further one of `count` costs: the time less that of an epoch of one. The latter varies, so at least half of
 * the time is taken for it. */
/*@ requires of_one <= LONGEST;
    assigns \nothing;
    ensures 1 <= \result <= LONGEST; */
static uint64_t each(uint64_t ns, uint64_t of_one, uint32_t count)
{
    uint64_t rest = ns > 2 * of_one ? ns - of_one : ns / 2;
    return clamp(rest / (count > 1 ? count - 1 : 1));
}

/*@ requires \valid(rate) && \valid_read(sample) && \separated(rate, sample);
    assigns *rate;
    ensures is_rate(rate) && rate->known; */
void rate_begin(struct rate *rate, const struct rate_sample *sample)
{
    uint64_t of_one = clamp(sample->flush_least);
    rate->flush_ns = clamp(larger(of_one, sample->flush_most));
    rate->slot_ns = each(clamp(sample->long_ns), of_one, sample->long_slots);
    rate->head_ns = rate->flush_ns;
    if (sample->scattered_slots > 0)
        rate->head_ns = each(clamp(sample->scattered_ns), of_one, sample->scattered_slots);
    rate->known = true;
}

/*@ requires is_rate(rate) && slots <= BUFFER_MAX_SLOTS && heads <= BUFFER_MAX_SLOTS;
    assigns \nothing;
    ensures \result == slots * rate->slot_ns + heads * rate->head_ns;
    ensures \result <= 2 * BUFFER_MAX_SLOTS * LONGEST; */
static uint64_t work_ns(const struct rate *rate, uint32_t slots, uint32_t heads)
{
    return slots * rate->slot_ns + heads * rate->head_ns;
}

/* cost * actual / expected, without overflow: both times are below 2^61, the ratio is taken in 1/1024. */
/*@ requires cost <= LONGEST;
    assigns \nothing;
    ensures 1 <= \result <= LONGEST; */
static uint64_t scaled(uint64_t cost, uint64_t actual, uint64_t expected)
{
    uint64_t ratio = actual / (expected / 1024 + 1);
    return clamp(cost * larger(ratio, 1) / 1024);
}

/*@ requires cost <= LONGEST;
    assigns \nothing;
    ensures \result <= cost || \result == 1; */
static uint64_t grown(uint64_t cost, uint64_t aim)
{
    return aim < cost ? clamp(cost - (cost - aim) / GROWTH) : cost;
}

/* Most of the epoch was transfer: what it says about the flush is lost in it. */
/*@ requires is_rate(rate) && \valid(rate) && work <= 2 * BUFFER_MAX_SLOTS * LONGEST && actual <= LONGEST;
    assigns rate->slot_ns, rate->head_ns;
    ensures is_rate(rate); */
static void follow_transfer(struct rate *rate, uint64_t work, uint64_t actual)
{
    if (actual > work) {
        uint64_t capped = actual / STEEPEST > work ? work * STEEPEST : actual;
        rate->slot_ns = larger(rate->slot_ns, scaled(rate->slot_ns, capped, work));
        rate->head_ns = larger(rate->head_ns, scaled(rate->head_ns, capped, work));
    } else if (actual < work) {
        rate->slot_ns = grown(rate->slot_ns, scaled(rate->slot_ns, actual, work));
        rate->head_ns = grown(rate->head_ns, scaled(rate->head_ns, actual, work));
    }
}

/*@ requires is_rate(rate) && slots <= BUFFER_MAX_SLOTS && heads <= BUFFER_MAX_SLOTS;
    assigns \nothing;
    ensures \result == slots * rate->slot_ns + heads * rate->head_ns + rate->flush_ns; */
uint64_t rate_expects(const struct rate *rate, uint32_t slots, uint32_t heads)
{
    return work_ns(rate, slots, heads) + rate->flush_ns;
}

/*@ requires is_rate(rate) && \valid(rate) && slots <= BUFFER_MAX_SLOTS && heads <= BUFFER_MAX_SLOTS;
    assigns rate->slot_ns, rate->head_ns, rate->flush_ns;
    ensures is_rate(rate); */
void rate_follow(struct rate *rate, uint32_t slots, uint32_t heads, uint64_t elapsed_ns)
{
    uint64_t elapsed = clamp(elapsed_ns);
    uint64_t work = work_ns(rate, slots, heads);
    if (work > rate->flush_ns)
        follow_transfer(rate, work, elapsed > rate->flush_ns ? elapsed - rate->flush_ns : 1);
    else if (elapsed > work + rate->flush_ns)
        rate->flush_ns = clamp(elapsed - work);
    else
        rate->flush_ns = grown(rate->flush_ns, elapsed > work ? elapsed - work : 1);
}

/*@ requires cost <= LONGEST && found <= LONGEST;
    assigns \nothing;
    ensures \result >= found || \result == 1 || \result <= cost;
    ensures \result <= LONGEST; */
static uint64_t blended(uint64_t cost, uint64_t found)
{
    return found > cost ? found : grown(cost, found);
}

/*@ requires is_rate(rate) && \valid(rate) && is_rate(found) && \separated(rate, found);
    assigns rate->slot_ns, rate->head_ns, rate->flush_ns;
    ensures is_rate(rate); */
void rate_blend(struct rate *rate, const struct rate *found)
{
    rate->slot_ns = blended(rate->slot_ns, found->slot_ns);
    rate->head_ns = blended(rate->head_ns, found->head_ns);
    rate->flush_ns = blended(rate->flush_ns, found->flush_ns);
}

/*@ requires is_rate(a) && is_rate(b);
    assigns \nothing;
    ensures \result.slot_ns >= a->slot_ns && \result.slot_ns >= b->slot_ns;
    ensures \result.flush_ns >= a->flush_ns && \result.flush_ns >= b->flush_ns; */
struct rate rate_worse(const struct rate *a, const struct rate *b)
{
    return (struct rate){
        .slot_ns = larger(a->slot_ns, b->slot_ns),
        .head_ns = larger(a->head_ns, b->head_ns),
        .flush_ns = larger(a->flush_ns, b->flush_ns),
        .known = a->known && b->known,
    };
}

/*@ requires \valid_read(rate);
    assigns \nothing; */
uint64_t rate_bytes_per_second(const struct rate *rate)
{
    return rate->slot_ns == 0 ? 0 : BUFFER_BLOCK * NS_PER_SECOND / rate->slot_ns;
}

/*@ requires is_rate(rate) && \valid_read(limits) && \valid(reason) && \separated(reason, rate, limits);
    assigns *reason;
    ensures no_more_than_hold_up: \result <= limits->hold_up_ns;
    ensures flushes_are_kept: \result > 0 ==> \result + 2 * rate->flush_ns < limits->hold_up_ns; */
uint64_t rate_budget(const struct rate *rate, const struct rate_limits *limits,
                     enum rapilog_reason *reason)
{
    *reason = RAPILOG_REASON_NO_HOLD_UP;
    if (limits->hold_up_ns == 0)
        return 0;
    *reason = RAPILOG_REASON_NOT_MEASURED;
    if (!rate->known)
        return 0;
    *reason = RAPILOG_REASON_TOO_SHORT;
    uint64_t hold_up = clamp(limits->hold_up_ns);
    uint64_t reserve = clamp(limits->reserve_ns);
    uint64_t share = hold_up > reserve ? (hold_up - reserve) / larger(limits->sharers, 1) : 0;
    uint64_t taken = 2 * rate->flush_ns;
    if (share <= taken)
        return 0;
    uint64_t budget = share - taken;
    if (budget < rate->slot_ns + rate->head_ns)
        return 0;
    *reason = RAPILOG_REASON_NONE;
    return budget;
}
