/*
 * The scheduler of one core; see sched.h for its rules.
 *
 * A thread is in the run queue of its priority exactly when it is READY, not suspended and not stopped; the
 * running thread stays in it, at the head. A period starts when a thread gets the core for the first time
 * after its last period has ended, so an idle thread saves up no more than one budget.
 */
#include "sched.h"

/*@ requires \valid(core) && priority < PRIORITIES;
    assigns core->ready_priorities[priority / 64]; */
static void ready_mark(struct core *core, uint32_t priority, bool any)
{
    uint64_t bit = UINT64_C(1) << (priority % 64);
    if (any) {
        core->ready_priorities[priority / 64] |= bit;
    } else {
        core->ready_priorities[priority / 64] &= ~bit;
    }
}

static struct thread *ready_first(struct core *core)
{
    for (uint32_t word = PRIORITIES / 64; word-- > 0;) {
        uint64_t bits = core->ready_priorities[word];
        if (bits != 0) {
            return core->ready[word * 64 + 63 - (uint32_t)__builtin_clzll(bits)];
        }
    }
    return NULL;
}

static void enqueue(struct core *core, struct thread *thread)
{
    struct thread *head = core->ready[thread->priority];
    if (head == NULL) {
        thread->next = thread->previous = thread;
        core->ready[thread->priority] = thread;
        ready_mark(core, thread->priority, true);
    } else {
        thread->next = head;
        thread->previous = head->previous;
        head->previous->next = thread;
        head->previous = thread;
    }
    thread->queued = true;
    /* An equal one matters too: from now on the current thread's budget is a time slice. */
    if (core->current == NULL || thread->priority >= core->current->priority) {
        core->reschedule = true;
    }
}

static void dequeue(struct core *core, struct thread *thread)
{
    if (thread->next == thread) {
        core->ready[thread->priority] = NULL;
        ready_mark(core, thread->priority, false);
    } else {
        thread->next->previous = thread->previous;
        thread->previous->next = thread->next;
        if (core->ready[thread->priority] == thread) {
            core->ready[thread->priority] = thread->next;
        }
    }
    thread->queued = false;
    if (core->current == thread) {
        core->reschedule = true;
    }
}

void sched_refresh(struct core *core, struct thread *thread)
{
    bool runnable = thread->state == THREAD_READY && !thread->suspended && !thread->stopped;
    if (runnable && !thread->queued) {
        enqueue(core, thread);
    } else if (!runnable && thread->queued) {
        dequeue(core, thread);
    }
    if (core->current == thread) {
        core->reschedule = true;
    }
}

/* Each of the two has 32 bits of the word. Where the counter is too fast for that, its lowest bits are left out. */
static uint32_t share_scale(void)
{
    uint64_t beyond = arch_frequency() * SCHED_LONGEST_PERIOD >> 32;
    return beyond != 0 ? 64 - (uint32_t)__builtin_clzll(beyond) : 0;
}

uint64_t sched_share_pack(uint64_t budget, uint64_t period)
{
    uint32_t scale = share_scale();
    uint64_t least = budget >> scale != 0 ? budget >> scale : 1;
    uint64_t most = period >> scale != 0 ? period >> scale : 1;
    return most << 32 | least;
}

void sched_share_use(struct thread *thread, uint64_t share)
{
    uint32_t scale = share_scale();
    thread->budget = (share & UINT32_MAX) << scale;
    thread->period = share >> 32 << scale;
    if (thread->budget_left > thread->budget) {
        thread->budget_left = thread->budget;
    }
}

/*@ requires \valid_read(thread);
    assigns \nothing;
    ensures now >= thread->period_start ==> (\result <==> now - thread->period_start >= thread->period); */
static bool period_over(const struct thread *thread, uint64_t now)
{
    return now - thread->period_start >= thread->period;
}

/*@ requires \valid(thread);
    assigns thread->period_start, thread->budget_left;
    ensures thread->budget_left == thread->budget; */
static void period_begin(struct thread *thread, uint64_t now)
{
    thread->period_start = now;
    thread->budget_left = thread->budget;
}

static void replenish(struct core *core, struct timer *timer)
{
    struct thread *thread =
        (struct thread *)((uint8_t *)timer - offsetof(struct thread, replenishment));
    period_begin(thread, arch_now());
    if (thread->state == THREAD_DEPLETED) {
        thread->state = THREAD_READY;
        sched_refresh(core, thread);
    }
}

/* Out of budget: wait for the end of the period, or, when that is now, give the others their turn. */
static void deplete(struct core *core, struct thread *thread, uint64_t now)
{
    if (period_over(thread, now)) {
        period_begin(thread, now);
        if (thread->queued && core->ready[thread->priority] == thread) {
            core->ready[thread->priority] = thread->next;
        }
        return;
    }
    thread->state = THREAD_DEPLETED;
    thread->replenishment.fire = replenish;
    timer_arm(core, &thread->replenishment, thread->period_start + thread->period);
    sched_refresh(core, thread);
}

void sched_make_ready(struct core *core, struct thread *thread)
{
    if (thread->state != THREAD_BLOCKED) {
        return;
    }
    thread->state = THREAD_READY;
    uint64_t now = arch_now();
    if (thread->budget_left == 0 && !period_over(thread, now)) {
        deplete(core, thread, now);
        core->reschedule =
            true; /* so that the deadline is programmed, which may be an earlier one now */
    } else {
        sched_refresh(core, thread);
    }
}

void sched_block(struct core *core, struct thread *thread)
{
    timer_cancel(core, &thread->replenishment);
    thread->state = THREAD_BLOCKED;
    sched_refresh(core, thread);
}

/*@ assigns \nothing;
    ensures \result <= left && (used <= left ==> \result == left - used); */
static uint64_t budget_after(uint64_t left, uint64_t used)
{
    return used < left ? left - used : 0;
}

static void account(struct core *core, struct thread *thread, uint64_t now)
{
    uint64_t used = now - thread->started;
    thread->started = now;
    thread->budget_left = budget_after(thread->budget_left, used);
    if (thread->budget_left == 0 && thread->state == THREAD_READY) {
        deplete(core, thread, now);
    }
}

struct thread *sched_next(struct core *core)
{
    uint64_t now = arch_now();
    if (core->current != NULL) {
        account(core, core->current, now);
    }
    struct thread *thread = ready_first(core);
    core->current = thread;
    core->reschedule = false;
    core->budget_end = QUOLL_NEVER;
    if (thread == NULL) {
        return NULL;
    }
    thread->started = now;
    if (period_over(thread, now)) {
        period_begin(thread, now);
    }
    if (thread->budget < thread->period || thread->next != thread) {
        core->budget_end = now + thread->budget_left;
    }
    return thread;
}

void sched_program_deadline(struct core *core)
{
    uint64_t deadline = core->budget_end;
    if (core->timers != NULL && core->timers->deadline < deadline) {
        deadline = core->timers->deadline;
    }
    if (deadline != core->deadline) {
        core->deadline = deadline;
        arch_deadline_set(deadline);
    }
}

void sched_deadline(struct core *core)
{
    core->deadline = QUOLL_NEVER;
    arch_deadline_set(QUOLL_NEVER);
    timers_expire(core);
    core->reschedule = true;
}
