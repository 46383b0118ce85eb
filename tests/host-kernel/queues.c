/*
 * Time and turns on one core: run queue, timers, alarms, budgets.
 *
 * The model's budget is counted from the outside: what passes of the clock while a thread runs. The kernel's count must come to the
 * same, a new period must not begin before the last one is over, and nobody runs on what is used up.
 * A thread whose budget is its whole period has only its turn counted, not its time.
 */
#include "host.h"
#include "model_parts.h"
#include <string.h>

#define ASKED 4u

static struct turn {
    uint64_t alarm; /* QUOLL_NEVER: none */
    uint64_t budget, period;
    struct share {
        uint64_t budget, period;
    } asked[ASKED]; /* the latest first */
    bool open;      /* several are in flight: any of them may come */
    uint64_t period_start;
    uint64_t
        shortest; /* period that has applied since it started: one that is changed may end as it was to */
    int64_t left;
    bool depleted;
    uint64_t replenished; /* when it will be */
} turns[WORLD_THREADS];

static bool is_bounded(const struct turn *turn)
{
    return turn->budget < turn->period;
}

/* What is left of the present budget, by the kernel's count. */
static int64_t counted(const struct thread *thread)
{
    uint64_t now = host.now;
    bool runs = thread->core->current == thread;
    return (int64_t)(thread->budget_left - (runs ? now - thread->started : 0));
}

static void follow(struct turn *turn, const struct thread *thread)
{
    turn->alarm = thread->alarm.armed ? thread->alarm.deadline : QUOLL_NEVER;
    turn->budget = thread->budget;
    turn->period = thread->period;
    turn->asked[0] = (struct share){thread->budget, thread->period};
    turn->period_start = thread->period_start;
    turn->shortest = thread->period;
    turn->left = counted(thread);
    turn->depleted = thread->state == THREAD_DEPLETED;
    turn->replenished = thread->replenishment.deadline;
    turn->open = false;
}

void queues_boot(void)
{
    for (uint32_t i = 0; i < thread_count; i++) {
        const struct image_thread *from = &world.image->threads[i];
        follow(&turns[i], &threads[i]);
        uint64_t ticks = from->budget * (host.frequency / 500000) / 2;
        if (threads[i].budget != ticks)
            broken("thread %u has a budget of %lu ticks; the image says %lu", i, threads[i].budget,
                   ticks);
    }
}

void queues_settle(void)
{
    for (uint32_t i = 0; i < thread_count; i++)
        follow(&turns[i], &threads[i]);
}

void queues_time(uint64_t ticks)
{
    for (uint32_t i = 0; i < core_count; i++) {
        const struct thread *thread = cores[i].current;
        if (thread == NULL)
            continue;
        struct turn *turn = &turns[thread->index];
        turn->left -= (int64_t)ticks;
        if (is_bounded(turn) && turn->left < 0)
            broken("thread %u has run %ld ticks more than its budget of %lu", thread->index,
                   -turn->left, turn->budget);
    }
}

void queues_budget_asked(uint32_t thread, uint64_t budget, uint64_t period)
{
    struct share *asked = turns[thread].asked;
    memmove(&asked[1], &asked[0], (ASKED - 1) * sizeof(asked[0]));
    asked[0] = (struct share){budget, period};
}

void queues_budget_open(uint32_t thread)
{
    turns[thread].open = true;
}

void queues_budget_close(uint32_t index, bool overlapped)
{
    const struct thread *thread = &threads[index];
    const struct share *asked = &turns[index].asked[0];
    turns[index].open = false;
    if (overlapped)
        queues_budget_asked(index, thread->budget, thread->period);
    else if (asked->budget != thread->budget || asked->period != thread->period)
        broken("thread %u has not got the budget of %lu in %lu that was asked for", index,
               asked->budget, asked->period);
}

void queues_alarm_set(uint32_t thread, uint64_t deadline)
{
    turns[thread].alarm = deadline;
}

bool queues_alarm_rings(uint32_t thread)
{
    if (turns[thread].alarm > host.now)
        return false;
    turns[thread].alarm = QUOLL_NEVER;
    return true;
}

/* Budget and period come from one and the same call. */
static bool was_asked(const struct turn *turn, const struct thread *thread)
{
    for (uint32_t i = 0; i < (turn->open ? ASKED : 1); i++) {
        if (thread->budget == turn->asked[i].budget && thread->period == turn->asked[i].period)
            return true;
    }
    return false;
}

static void check_parameters(struct turn *turn, const struct thread *thread)
{
    if (thread->budget == 0 || thread->budget > thread->period)
        broken("thread %u has a budget of %lu in a period of %lu", thread->index, thread->budget,
               thread->period);
    if (thread->budget == turn->budget && thread->period == turn->period)
        return;
    if (!was_asked(turn, thread))
        broken("thread %u has a budget of %lu in %lu; %lu in %lu was asked for", thread->index,
               thread->budget, thread->period, turn->asked[0].budget, turn->asked[0].period);
    turn->budget = thread->budget;
    turn->period = thread->period;
    if (turn->period < turn->shortest)
        turn->shortest = turn->period;
    int64_t most = turn->left < (int64_t)turn->budget ? turn->left : (int64_t)turn->budget;
    if (thread->period_start == turn->period_start && is_bounded(turn) && counted(thread) > most &&
        counted(thread) > 0)
        broken("thread %u has gained time by a change of its budget: %ld, had %ld", thread->index,
               counted(thread), turn->left);
    turn->left = counted(thread);
}

static void check_budget(struct turn *turn, const struct thread *thread)
{
    check_parameters(turn, thread);
    if (thread->period_start != turn->period_start) {
        if (thread->period_start > host.now ||
            thread->period_start - turn->period_start < turn->shortest)
            broken("thread %u began a period at %lu; the last began at %lu and lasts %lu",
                   thread->index, thread->period_start, turn->period_start, turn->shortest);
        turn->period_start = thread->period_start;
        turn->shortest = thread->period;
        turn->left = (int64_t)turn->budget;
    }
    if (!is_bounded(turn))
        turn->left = counted(thread);
    if (counted(thread) != turn->left)
        broken("thread %u has %ld ticks left by the kernel's count, should have %ld", thread->index,
               counted(thread), turn->left);
}

static void check_depleted(struct turn *turn, const struct thread *thread)
{
    bool depleted = thread->state == THREAD_DEPLETED;
    if (depleted) {
        if (!turn->depleted)
            turn->replenished = thread->period_start + thread->period;
        if (!thread->replenishment.armed || thread->replenishment.deadline != turn->replenished)
            broken("thread %u is out of budget and will not get a new one at %lu", thread->index,
                   turn->replenished);
    }
    turn->depleted = depleted;
}

/* The deadline interrupt comes in time for everything that is due. */
static void check_due(const struct core *core, uint64_t at, const struct thread *thread,
                      const char *what)
{
    if (core->arch.deadline > at)
        broken("core %u will interrupt at %lu; the %s of thread %u is due at %lu", core->index,
               core->arch.deadline, what, thread->index, at);
}

static void check_alarm(const struct core *core, const struct thread *thread)
{
    uint64_t expected = turns[thread->index].alarm;
    uint64_t found = thread->alarm.armed ? thread->alarm.deadline : QUOLL_NEVER;
    if (found != expected)
        broken("the alarm of thread %u is set to %lu, should be %lu", thread->index, found,
               expected);
    if (expected != QUOLL_NEVER)
        check_due(core, expected, thread, "alarm");
    if (thread->replenishment.armed)
        check_due(core, thread->replenishment.deadline, thread, "new budget");
}

static bool is_runnable(const struct thread *thread)
{
    return thread->state == THREAD_READY && !thread->suspended && !thread->stopped;
}

void queues_check(const struct core *core)
{
    const struct thread *current = core->current;
    int best = -1;
    for (uint32_t i = 0; i < core->thread_count; i++) {
        const struct thread *thread = core->threads[i];
        if (thread->queued != is_runnable(thread))
            broken("thread %u is %sin the run queue", thread->index, thread->queued ? "" : "not ");
        if (is_runnable(thread) && thread->priority > best)
            best = thread->priority;
        check_budget(&turns[thread->index], thread);
        check_depleted(&turns[thread->index], thread);
        check_alarm(core, thread);
    }
    if (current != NULL && !is_runnable(current))
        broken("thread %u runs, but is not to (state %d)", current->index, (int)current->state);
    if ((current != NULL ? current->priority : -1) != best)
        broken("core %u runs something of priority %d; there is one of %d", core->index,
               current != NULL ? current->priority : -1, best);
    if (core->arch.entered != current)
        broken("core %u is in the address space of another thread", core->index);
    if (current != NULL && is_bounded(&turns[current->index]))
        check_due(core, host.now + (uint64_t)turns[current->index].left, current, "budget's end");
}

static void check_queue(const struct core *core, uint32_t priority)
{
    const struct thread *first = core->ready[priority], *thread = first;
    bool marked = (core->ready_priorities[priority / 64] >> priority % 64 & 1) != 0;
    if (marked != (first != NULL))
        broken("the mark of priority %u on core %u is wrong", priority, core->index);
    uint32_t expected = 0, found = 0;
    for (uint32_t i = 0; i < core->thread_count; i++)
        expected += core->threads[i]->queued && core->threads[i]->priority == priority ? 1 : 0;
    while (thread != NULL) {
        if (thread->core != core || thread->priority != priority || !thread->queued ||
            thread->next->previous != thread || ++found > expected)
            broken("the queue of priority %u on core %u is not linked well", priority, core->index);
        thread = thread->next != first ? thread->next : NULL;
    }
    if (found != expected)
        broken("the queue of priority %u on core %u has %u of %u threads", priority, core->index,
               found, expected);
}

void queues_check_links(const struct core *core)
{
    for (uint32_t i = 0; i < PRIORITIES; i++)
        check_queue(core, i);
    uint32_t armed = 0;
    for (uint32_t i = 0; i < core->thread_count; i++)
        armed += core->threads[i]->alarm.armed + core->threads[i]->replenishment.armed;
    const struct timer *previous = NULL;
    for (const struct timer *timer = core->timers; timer != NULL; timer = timer->next) {
        if (timer->previous != previous || !timer->armed || armed-- == 0 ||
            (previous != NULL && previous->deadline > timer->deadline))
            broken("the timers of core %u are not linked well", core->index);
        previous = timer;
    }
    if (armed != 0)
        broken("core %u has %u timers armed that are not in its list", core->index, armed);
}
