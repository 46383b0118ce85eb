/* Ticks of the system counter and nanoseconds. Whole seconds and the rest apart, so that nothing overflows. Pure. */
#include <quoll/quoll.h>

#define NS_PER_SECOND UINT64_C(1000000000)

uint64_t quoll_frequency(void)
{
    return quoll_environment()->counter_frequency;
}

static uint64_t scale(uint64_t value, uint64_t from, uint64_t to)
{
    return value / from * to + value % from * to / from;
}

uint64_t quoll_ticks_from_ns(uint64_t ns)
{
    return scale(ns, NS_PER_SECOND, quoll_frequency());
}

uint64_t quoll_ns_from_ticks(uint64_t ticks)
{
    return scale(ticks, quoll_frequency(), NS_PER_SECOND);
}
