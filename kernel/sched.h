/*
 * Scheduling on one core: fixed priorities, preemptive, a budget per period for every thread.
 *
 * The highest-priority READY thread runs; among equals, round robin at the end of their budgets. A thread whose budget is used up
 * is DEPLETED until its period ends, then has its whole budget again; with budget == period that
 * moment is at once, so it merely goes to the end of its priority's queue.
 *
 * Everything here runs on the core it is given, with interrupts masked (they always are at EL2).
 */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include "object.h"

void sched_make_ready(struct core *core, struct thread *thread);
/* The thread leaves the run queue: `state` says why. */
void sched_block(struct core *core, struct thread *thread, enum thread_state state);
/* Accounts for the time since the current thread got the core, picks the thread to run now, makes
 * it current, programs the deadline. NULL: nothing to run. */
struct thread *sched_next(struct core *core);

/* timer.c */
void timer_arm(struct core *core, struct timer *timer, uint64_t deadline);
void timer_cancel(struct core *core, struct timer *timer);
/* Fires what is due. */
void timers_expire(struct core *core);

#endif
