/* One-shot timers of a core: a doubly linked list, soonest first. A core has few, so insertion walks. */
#include "sched.h"

void timer_cancel(struct core *core, struct timer *timer)
{
    if (!timer->armed) {
        return;
    }
    if (timer->previous != NULL) {
        timer->previous->next = timer->next;
    } else {
        core->timers = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->previous = timer->previous;
    }
    timer->armed = false;
}

void timer_arm(struct core *core, struct timer *timer, uint64_t deadline)
{
    timer_cancel(core, timer);
    if (deadline == QUOLL_NEVER) {
        return;
    }
    timer->deadline = deadline;
    struct timer *previous = NULL;
    struct timer *next = core->timers;
    while (next != NULL && next->deadline <= deadline) {
        previous = next;
        next = next->next;
    }
    timer->previous = previous;
    timer->next = next;
    if (previous != NULL) {
        previous->next = timer;
    } else {
        core->timers = timer;
    }
    if (next != NULL) {
        next->previous = timer;
    }
    timer->armed = true;
}

void timers_expire(struct core *core)
{
    uint64_t now = arch_now();
    while (core->timers != NULL && core->timers->deadline <= now) {
        struct timer *due = core->timers;
        timer_cancel(core, due);
        due->fire(core, due);
    }
}
