/*
 * What a signal between two components' threads costs, on one core and across cores: thread 0 signals another thread, which
 * answers with a signal; half of the round trip. Thread 1 is on thread 0's core, thread 2 on another. Logs "bench NAME
 * TICKS ROUNDS" for each and switches the machine off.
 */
#include <quoll/quoll.h>

#define ROUNDS 1000u

static uint64_t answered; /* thread 0's signal */

static uint64_t ping(uint32_t channel, uint32_t rounds)
{
    uint64_t start = quoll_now();
    for (uint32_t i = 0; i < rounds; i++) {
        (void)quoll_signal(channel);
        while ((quoll_wait() & answered) == 0)
            ;
    }
    return quoll_now() - start;
}

void component_main(void)
{
    uint32_t near = quoll_handle("to1", QUOLL_OBJECT_CHANNEL);
    uint32_t far = quoll_handle("to2", QUOLL_OBJECT_CHANNEL);
    answered = quoll_receive("answer");
    (void)quoll_timer_set(quoll_now() + quoll_ticks_from_ns(20000000)); /* everybody is up then */
    (void)quoll_wait();
    (void)ping(near, 10);
    uint64_t same_core = ping(near, ROUNDS);
    (void)ping(far, 10);
    uint64_t two_cores = ping(far, ROUNDS);
    quoll_log("bench signal_one_core %lu %u", (unsigned long)same_core, 2 * ROUNDS);
    quoll_log("bench signal_two_cores %lu %u", (unsigned long)two_cores, 2 * ROUNDS);
    quoll_log("bench: done");
    quoll_machine_control(quoll_handle("machine", QUOLL_OBJECT_MACHINE), QUOLL_MACHINE_OFF);
}

void component_thread(uint32_t number)
{
    uint32_t answer = quoll_handle("to0", QUOLL_OBJECT_CHANNEL);
    for (;;) {
        (void)quoll_wait();
        (void)quoll_signal(answer);
    }
}
