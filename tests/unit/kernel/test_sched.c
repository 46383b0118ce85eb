/*
 * The scheduler and signals over the simulated machine: who runs, for how long, and that no wake-up between cores is
 * lost. Time stands still except where a test moves it.
 */
#include "host.h"
#include "sched.h"
#include "signal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u /* ticks; the unit does not matter */

static struct component component;

static struct thread *make_thread(uint32_t core, uint8_t priority, uint64_t budget, uint64_t period)
{
    struct thread *thread = &threads[thread_count++];
    thread->core = &cores[core];
    thread->component = &component;
    thread->priority = priority;
    thread->budget = thread->budget_left = budget;
    thread->period = period;
    thread->slot = cores[core].thread_count;
    thread->state = THREAD_BLOCKED;
    cores[core].threads[cores[core].thread_count++] = thread;
    return thread;
}

/* One step of the kernel's way out: choose if asked to, program the deadline. */
static struct thread *run(struct core *core)
{
    host_core = core;
    struct thread *thread = core->reschedule ? sched_next(core) : core->current;
    sched_program_deadline(core);
    return thread;
}

/* Lets a core run for `ticks`, serving deadlines as they come; adds up what each thread got. */
static void run_for(struct core *core, uint64_t ticks, uint64_t got[QUOLL_MAX_THREADS])
{
    uint64_t end = host.now + ticks;
    while (host.now < end) {
        struct thread *thread = run(core);
        uint64_t next = core->arch.deadline < end ? core->arch.deadline : end;
        uint64_t step = next > host.now ? next - host.now : 0;
        if (thread != NULL) {
            got[thread - threads] += step;
        }
        host_advance(core, step);
    }
}

static int setup(void **state)
{
    host_reset(2);
    host.now = 1000000;
    return 0;
}

static void the_highest_priority_runs(void **state)
{
    struct thread *low = make_thread(0, 10, 10 * MS, 10 * MS);
    struct thread *high = make_thread(0, 200, 10 * MS, 10 * MS);
    sched_make_ready(&cores[0], low);
    assert_ptr_equal(run(&cores[0]), low);
    sched_make_ready(&cores[0], high);
    assert_ptr_equal(run(&cores[0]), high);
    sched_block(&cores[0], high);
    assert_ptr_equal(run(&cores[0]), low);
    sched_block(&cores[0], low);
    assert_null(run(&cores[0]));
}

static void a_lower_priority_does_not_disturb(void **state)
{
    struct thread *high = make_thread(0, 200, 10 * MS, 10 * MS);
    struct thread *low = make_thread(0, 10, 10 * MS, 10 * MS);
    sched_make_ready(&cores[0], high);
    run(&cores[0]);
    sched_make_ready(&cores[0], low);
    assert_false(cores[0].reschedule);
    assert_int_equal(cores[0].arch.deadline, QUOLL_NEVER);
}

static void equals_share_by_turns(void **state)
{
    uint64_t got[QUOLL_MAX_THREADS] = {0};
    for (uint32_t i = 0; i < 3; i++) {
        sched_make_ready(&cores[0], make_thread(0, 50, 10 * MS, 10 * MS));
    }
    run_for(&cores[0], 3000 * MS, got);
    for (uint32_t i = 0; i < 3; i++) {
        assert_in_range(got[i], 990 * MS, 1010 * MS);
    }
}

static void a_budget_bounds_a_spinning_thread_of_high_priority(void **state)
{
    uint64_t got[QUOLL_MAX_THREADS] = {0};
    struct thread *spins = make_thread(0, 200, 2 * MS, 10 * MS);
    struct thread *works = make_thread(0, 100, 10 * MS, 10 * MS);
    sched_make_ready(&cores[0], spins);
    sched_make_ready(&cores[0], works);
    run_for(&cores[0], 1000 * MS, got);
    assert_in_range(got[0], 198 * MS, 202 * MS);
    assert_in_range(got[1], 798 * MS, 802 * MS);
}

static void nobody_runs_while_the_only_thread_is_depleted(void **state)
{
    uint64_t got[QUOLL_MAX_THREADS] = {0};
    sched_make_ready(&cores[0], make_thread(0, 200, 3 * MS, 10 * MS));
    run_for(&cores[0], 100 * MS, got);
    assert_int_equal(got[0], 30 * MS);
}

static void blocking_does_not_win_a_new_budget(void **state)
{
    struct thread *thread = make_thread(0, 200, 2 * MS, 10 * MS);
    sched_make_ready(&cores[0], thread);
    run(&cores[0]);
    host.now += 2 * MS; /* all of it, then it waits and is woken at once */
    sched_block(&cores[0], thread);
    run(&cores[0]);
    sched_make_ready(&cores[0], thread);
    assert_null(run(&cores[0]));
    host_advance(&cores[0], 8 * MS);
    assert_ptr_equal(run(&cores[0]), thread);
}

static void a_thread_woken_without_budget_runs_when_its_period_ends(void **state)
{
    struct thread *thread = make_thread(0, 200, 2 * MS, 10 * MS);
    struct thread *other = make_thread(0, 100, 10 * MS, 10 * MS);
    sched_make_ready(&cores[0], other);
    sched_make_ready(&cores[0], thread);
    run(&cores[0]);
    host.now += 2 * MS;
    sched_block(&cores[0], thread);
    assert_ptr_equal(run(&cores[0]), other);
    sched_make_ready(&cores[0], thread);
    assert_true(
        cores[0].reschedule); /* else nobody programs the deadline for the end of its period */
    run(&cores[0]);
    host_advance(&cores[0], cores[0].arch.deadline - host.now);
    assert_ptr_equal(run(&cores[0]), thread);
}

/* Time goes on while the kernel looks at it: no moment may be one at which a thread falls between the states. */
static void a_thread_woken_as_its_period_ends_is_not_lost(void **state)
{
    for (uint64_t early = 0; early < 4; early++) {
        setup(state);
        struct thread *thread = make_thread(0, 200, 2 * MS, 10 * MS);
        sched_make_ready(&cores[0], thread);
        run(&cores[0]);
        host.now += 2 * MS;
        sched_block(&cores[0], thread);
        run(&cores[0]);
        host.now = thread->period_start + thread->period - early;
        host.ticks_per_look = 1;
        sched_make_ready(&cores[0], thread);
        host.ticks_per_look = 0;
        run(&cores[0]);
        host_advance(&cores[0], 10 * MS);
        assert_ptr_equal(run(&cores[0]), thread);
    }
}

static void a_suspended_thread_does_not_run_and_loses_no_signal(void **state)
{
    struct thread *thread = make_thread(0, 50, 10 * MS, 10 * MS);
    struct thread *other = make_thread(0, 40, 10 * MS, 10 * MS);
    sched_make_ready(&cores[0], other);
    run(&cores[0]);
    atomic_fetch_or(&thread->request, THREAD_REQUEST_SUSPEND);
    thread_poke(&cores[0], thread);
    signal_raise(&cores[0], thread, QUOLL_SIGNAL(3));
    assert_ptr_equal(run(&cores[0]), other);
    atomic_fetch_or(&thread->request, THREAD_REQUEST_RESUME);
    thread_poke(&cores[0], thread);
    assert_ptr_equal(run(&cores[0]), thread);
    assert_int_equal(thread->registers.x[1], QUOLL_SIGNAL(3));
}

static void a_stopped_thread_never_runs_again(void **state)
{
    struct thread *thread = make_thread(0, 50, 2 * MS, 10 * MS);
    sched_make_ready(&cores[0], thread);
    run(&cores[0]);
    host_advance(&cores[0], 2 * MS); /* depleted, its replenishment is armed */
    atomic_fetch_or(&thread->request, THREAD_REQUEST_STOP);
    thread_poke(&cores[0], thread);
    host_advance(&cores[0], 20 * MS);
    signal_raise(&cores[0], thread, 1);
    assert_null(run(&cores[0]));
}

static void restart(struct thread *thread, uint64_t life)
{
    atomic_store(&thread->life, life);
    thread_ask(thread, THREAD_REQUEST_RESTART, THREAD_REQUEST_STOP);
    thread_poke(&cores[0], thread);
}

static void a_stopped_thread_that_is_restarted_begins_at_its_entry(void **state)
{
    struct thread *thread = make_thread(0, 50, 10 * MS, 10 * MS);
    thread->entry = 0x400000;
    thread->stack = 0x18010000;
    thread->number = 3;
    sched_make_ready(&cores[0], thread);
    run(&cores[0]);
    memset(&thread->registers, 0x5a, sizeof(thread->registers));
    thread_ask(thread, THREAD_REQUEST_STOP, THREAD_REQUEST_RESTART);
    thread_poke(&cores[0], thread);
    assert_null(run(&cores[0]));
    signal_raise(&cores[0], thread, QUOLL_SIGNAL(3));
    restart(thread, 7);
    assert_ptr_equal(run(&cores[0]), thread);
    struct quoll_registers fresh = {.sp = 0x18010000, .pc = 0x400000};
    fresh.x[0] = 3;
    fresh.x[1] = QUOLL_ENVIRONMENT_ADDRESS;
    fresh.x[2] = 7;
    assert_memory_equal(&thread->registers, &fresh, sizeof(fresh));
    assert_int_equal(thread->pending, QUOLL_SIGNAL(3)); /* what has arrived is not lost */
}

static void a_restart_with_the_same_life_is_none(void **state)
{
    struct thread *thread = make_thread(0, 50, 10 * MS, 10 * MS);
    restart(thread, 7);
    thread->registers.x[5] = 99;
    restart(thread, 7);
    assert_int_equal(thread->registers.x[5], 99);
    restart(thread, 8);
    assert_int_equal(thread->registers.x[5], 0);
}

/* Its call's status would go to the registers of its new life. */
static void a_thread_that_is_in_a_call_is_restarted_after_it(void **state)
{
    struct thread *thread = make_thread(0, 50, 10 * MS, 10 * MS);
    sched_make_ready(&cores[0], thread);
    assert_ptr_equal(run(&cores[0]), thread);
    thread->registers.x[5] = 99;
    restart(thread, 7); /* looked at on its own core, as by a signal to itself */
    assert_int_equal(thread->registers.x[5], 99);
    atomic_fetch_or(&cores[0].inbox, UINT64_C(1) << thread->slot);
    inbox_serve(&cores[0]);
    assert_int_equal(thread->registers.x[5], 0);
}

static void a_changed_budget_counts_from_now_on(void **state)
{
    uint64_t got[QUOLL_MAX_THREADS] = {0};
    struct thread *thread = make_thread(0, 50, 10 * MS, 10 * MS);
    sched_make_ready(&cores[0], thread);
    run(&cores[0]);
    atomic_store(&thread->new_share, sched_share_pack(1 * MS, 10 * MS));
    atomic_fetch_or(&thread->request, THREAD_REQUEST_BUDGET);
    thread_poke(&cores[0], thread);
    run_for(&cores[0], 100 * MS, got);
    assert_in_range(got[0], 10 * MS, 11 * MS);
}

/* It travels between cores as one word: the owner never sees the budget of one change with the period of another. */
static void a_budget_and_its_period_fit_one_word(void **state)
{
    static const uint64_t frequencies[] = {1000000, 62500000, 1000000000, UINT32_MAX};
    struct thread *thread = make_thread(0, 50, 1 * MS, 2 * MS);
    for (uint32_t i = 0; i < ARRAY_SIZE(frequencies); i++) {
        host.frequency = frequencies[i];
        uint64_t longest = host.frequency * SCHED_LONGEST_PERIOD;
        sched_share_use(thread, sched_share_pack(longest - 77, longest));
        assert_in_range(thread->period, longest - longest / 1000000000, longest);
        assert_in_range(thread->budget, longest - 77 - longest / 1000000000, thread->period);
        sched_share_use(thread, sched_share_pack(1, 1));
        assert_in_range(thread->budget, 1, 128);
        assert_int_equal(thread->budget, thread->period);
        assert_true(thread->budget_left <= thread->budget);
    }
}

static void signals_to_another_core_arrive_once_it_looks(void **state)
{
    struct thread *thread = make_thread(1, 50, 10 * MS, 10 * MS);
    signal_raise(&cores[0], thread, QUOLL_SIGNAL(1));
    signal_raise(&cores[0], thread, QUOLL_SIGNAL(7));
    assert_int_equal(cores[1].arch.interrupts, 1); /* one interrupt serves both */
    assert_int_equal(thread->state, THREAD_BLOCKED);
    host_interrupts_deliver();
    assert_ptr_equal(run(&cores[1]), thread);
    assert_int_equal(thread->registers.x[1], QUOLL_SIGNAL(1) | QUOLL_SIGNAL(7));
    signal_raise(&cores[0], thread, QUOLL_SIGNAL(2));
    assert_int_equal(cores[1].arch.interrupts, 1); /* the inbox was empty again */
}

static void a_storm_of_one_signal_costs_the_target_one_interrupt(void **state)
{
    struct thread *busy = make_thread(1, 50, 10 * MS, 10 * MS);
    sched_make_ready(&cores[1], busy);
    signal_raise(&cores[0], busy, QUOLL_SIGNAL(1));
    host_interrupts_deliver();
    for (uint32_t i = 0; i < 1000; i++) {
        signal_raise(&cores[0], busy, QUOLL_SIGNAL(1));
    }
    assert_int_equal(cores[1].arch.interrupts, 0);
    signal_raise(&cores[0], busy, QUOLL_SIGNAL(1) | QUOLL_SIGNAL(2));
    assert_int_equal(cores[1].arch.interrupts, 1);
    assert_int_equal(atomic_load(&busy->pending), QUOLL_SIGNAL(1) | QUOLL_SIGNAL(2));
}

static uint32_t fired[4];
static uint32_t fired_count;

static void note(struct core *core, struct timer *timer)
{
    fired[fired_count++] = (uint32_t)(timer->deadline - 1000000);
}

static void timers_fire_in_order_of_their_deadlines(void **state)
{
    struct timer timers[4] = {{.fire = note}, {.fire = note}, {.fire = note}, {.fire = note}};
    fired_count = 0;
    timer_arm(&cores[0], &timers[0], 1000000 + 30);
    timer_arm(&cores[0], &timers[1], 1000000 + 10);
    timer_arm(&cores[0], &timers[2], 1000000 + 20);
    timer_arm(&cores[0], &timers[3], 1000000 + 15);
    timer_cancel(&cores[0], &timers[3]);
    sched_program_deadline(&cores[0]);
    assert_int_equal(cores[0].arch.deadline, 1000000 + 10);
    host_advance(&cores[0], 25);
    assert_int_equal(fired_count, 2);
    assert_int_equal(fired[0], 10);
    assert_int_equal(fired[1], 20);
    sched_program_deadline(&cores[0]);
    assert_int_equal(cores[0].arch.deadline, 1000000 + 30);
}

/* Random life of random threads: the queue's invariant holds, the chosen thread is the best, time adds up. */
static void random_operations_keep_the_invariants(void **state)
{
    srand(1);
    for (uint32_t i = 0; i < 12; i++) {
        make_thread(0, (uint8_t)(rand() % 4 * 80), (uint64_t)(1 + rand() % 10) * MS, 10 * MS);
    }
    for (uint32_t step = 0; step < 200000; step++) {
        struct thread *thread = &threads[(uint32_t)rand() % thread_count];
        switch (rand() % 6) {
        case 0:
            if (cores[0].current != NULL) {
                sched_block(&cores[0], cores[0].current);
            }
            break;
        case 1:
            atomic_fetch_or(&thread->request,
                            rand() % 2 ? THREAD_REQUEST_SUSPEND : THREAD_REQUEST_RESUME);
            thread_poke(&cores[0], thread);
            break;
        case 2:
            host_advance(&cores[0], (uint64_t)(rand() % 3000));
            break;
        default:
            signal_raise(&cores[0], thread, 1);
            break;
        }
        struct thread *chosen = run(&cores[0]);
        uint32_t best = 0;
        for (uint32_t i = 0; i < thread_count; i++) {
            bool runnable = threads[i].state == THREAD_READY && !threads[i].suspended;
            assert_int_equal(threads[i].queued, runnable);
            assert_true(threads[i].budget_left <= threads[i].budget);
            best = runnable && threads[i].priority + 1u > best ? threads[i].priority + 1u : best;
        }
        assert_int_equal(chosen == NULL ? 0 : chosen->priority + 1u, best);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_highest_priority_runs, setup),
        cmocka_unit_test_setup(a_lower_priority_does_not_disturb, setup),
        cmocka_unit_test_setup(equals_share_by_turns, setup),
        cmocka_unit_test_setup(a_budget_bounds_a_spinning_thread_of_high_priority, setup),
        cmocka_unit_test_setup(nobody_runs_while_the_only_thread_is_depleted, setup),
        cmocka_unit_test_setup(blocking_does_not_win_a_new_budget, setup),
        cmocka_unit_test_setup(a_thread_woken_without_budget_runs_when_its_period_ends, setup),
        cmocka_unit_test_setup(a_thread_woken_as_its_period_ends_is_not_lost, setup),
        cmocka_unit_test_setup(a_suspended_thread_does_not_run_and_loses_no_signal, setup),
        cmocka_unit_test_setup(a_stopped_thread_never_runs_again, setup),
        cmocka_unit_test_setup(a_stopped_thread_that_is_restarted_begins_at_its_entry, setup),
        cmocka_unit_test_setup(a_restart_with_the_same_life_is_none, setup),
        cmocka_unit_test_setup(a_thread_that_is_in_a_call_is_restarted_after_it, setup),
        cmocka_unit_test_setup(a_changed_budget_counts_from_now_on, setup),
        cmocka_unit_test_setup(a_budget_and_its_period_fit_one_word, setup),
        cmocka_unit_test_setup(signals_to_another_core_arrive_once_it_looks, setup),
        cmocka_unit_test_setup(a_storm_of_one_signal_costs_the_target_one_interrupt, setup),
        cmocka_unit_test_setup(timers_fire_in_order_of_their_deadlines, setup),
        cmocka_unit_test_setup(random_operations_keep_the_invariants, setup),
    };
    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
