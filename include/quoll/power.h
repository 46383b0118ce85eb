/*
 * The mains, as a source of that signal tells them to the supervisor: one region for each source, written by that source
 * only. It sets `lost`, then raises its channel "mains"; the supervisor looks at every source when one has. The mains
 * count as lost as long as any source says so.
 *
 * A level and not two signals, because signals have no order: what was lost and came back before the supervisor looked has
 * not happened.
 */
#ifndef QUOLL_POWER_H
#define QUOLL_POWER_H

#include <quoll/quoll.h>

struct power_source {
    uint32_t lost; /* 0: the mains are there; anything else: they are lost */
};

/* For sources. */
static inline void power_tell(struct power_source *source, uint32_t channel, bool lost)
{
    __atomic_store_n(&source->lost, lost ? 1u : 0u, __ATOMIC_RELEASE);
    (void)quoll_signal(channel);
}

static inline bool power_is_lost(const struct power_source *source)
{
    return __atomic_load_n(&source->lost, __ATOMIC_ACQUIRE) != 0;
}

#endif
