/*
 * Threads of a component on the Quoll kernel: where they start, how they end, and which one is
 * asking. A thread whose function returns sleeps for good. There is no thread-local storage: a
 * thread is known by the stack it runs on.
 */
#include "restart.h"

#include <lib/runtime.h>

static uint64_t stack_tops[QUOLL_MAX_THREADS]; /* by thread number; 0: has not started */

void component_start(uint32_t number, const struct quoll_environment *environment, uint64_t life,
                     uint64_t stack_top);

/* A component with one thread need not define it. */
__attribute__((weak)) void component_thread(uint32_t number)
{
    quoll_fail("thread %u has nothing to do: the component has one thread only", number);
}

/* Called by _start. */
void component_start(uint32_t number, const struct quoll_environment *environment, uint64_t life,
                     uint64_t stack_top)
{
    if (life != 0)
        restart_begin(number, environment, life);
    if (number < QUOLL_MAX_THREADS)
        __atomic_store_n(&stack_tops[number], stack_top, __ATOMIC_RELEASE);
    if (number == 0)
        component_main();
    else
        component_thread(number);
    for (;;)
        quoll_wait();
}

static uint32_t thread_number(void)
{
    uint64_t here = (uint64_t)__builtin_frame_address(0);
    uint64_t nearest = UINT64_MAX;
    uint32_t found = 0;
    for (uint32_t i = 0; i < QUOLL_MAX_THREADS; i++) {
        uint64_t top = __atomic_load_n(&stack_tops[i], __ATOMIC_ACQUIRE);
        if (top > here && top < nearest) {
            nearest = top;
            found = i;
        }
    }
    return found;
}

char *runtime_name_buffer(void)
{
    static char names[QUOLL_MAX_THREADS][QUOLL_NAME_SIZE];
    return names[thread_number()];
}

/* BRK is a fault like any other to the kernel: it stops the component and reports it. */
void runtime_stop(const char *message)
{
    __builtin_trap();
}

const struct quoll_environment *quoll_environment(void)
{
    return (const struct quoll_environment *)QUOLL_ENVIRONMENT_ADDRESS;
}

uint64_t quoll_now(void)
{
    uint64_t now;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(now)::"memory");
    return now;
}
