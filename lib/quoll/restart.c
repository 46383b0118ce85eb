/*
 * A component begins anew: its data is made what it was at boot, from the copy of its initialized data that the system image
 * keeps and that nobody can write (region "initial-data").
 *
 * The supervisor restarts all threads of a component, each for itself and perhaps on different cores, so when one of them gets
 * here another may still run the old life and write to data. So every thread says that it is here; thread 0 waits for
 * that, restores the data and says so; the others wait for that. Both are said in words that survive, as the life's
 * number: those of an earlier life, or whatever a broken component has left there, do not match. Waiting is done by
 * timer, as there is no channel between a component's threads as such, and a busy thread could keep the core from the others.
 */
#include "restart.h"

#include <quoll/quoll.h>
#include <string.h>

#define LOOK_NS UINT64_C(50000)

extern uint8_t data_start[], data_end[], bss_start[], bss_end[];

#define SURVIVING __attribute__((section(".surviving")))
static uint64_t arrived[QUOLL_MAX_THREADS] SURVIVING; /* by thread: the life that it has begun */
static uint64_t restored SURVIVING;                   /* the life whose data is in place */

/* Takes the signals that arrive meanwhile with it. That is why a thread looks at everything once when it begins, and why a
 * component with one thread, which has nobody to wait for, does not come here: RapiLog must hear of the mains. */
static void pause_for_others(const struct quoll_environment *environment)
{
    uint64_t ticks = environment->counter_frequency * LOOK_NS / UINT64_C(1000000000);
    (void)quoll_timer_set(quoll_now() + ticks);
    (void)quoll_wait();
}

static bool is(const uint64_t *word, uint64_t life)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE) == life;
}

static size_t distance(const uint8_t *from, const uint8_t *to)
{
    return (uintptr_t)to - (uintptr_t)from;
}

static void restore(void)
{
    const struct quoll_environment_entry *copy =
        quoll_find(QUOLL_ENVIRONMENT_MEMORY, "initial-data");
    size_t size = distance(data_start, data_end);
    if (copy != NULL && size <= copy->size)
        memcpy(data_start, (const void *)(uintptr_t)copy->address, size);
    memset(bss_start, 0, distance(bss_start, bss_end));
}

void restart_begin(uint32_t number, const struct quoll_environment *environment, uint64_t life)
{
    if (number >= QUOLL_MAX_THREADS)
        return;
    __atomic_store_n(&arrived[number], life, __ATOMIC_RELEASE);
    if (number != 0) {
        while (!is(&restored, life))
            pause_for_others(environment);
        return;
    }
    for (uint32_t i = 1; i < environment->thread_count && i < QUOLL_MAX_THREADS; i++)
        while (!is(&arrived[i], life))
            pause_for_others(environment);
    restore();
    __atomic_store_n(&restored, life, __ATOMIC_RELEASE);
}
