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

/* The thread has something to do: BLOCKED or DEPLETED to READY, as its budget allows. */
void sched_make_ready(struct core *core, struct thread *thread);
/* The thread waits: READY to BLOCKED. */
void sched_block(struct core *core, struct thread *thread);
/* To be called after `suspended`, `stopped`, `budget` or `period` of the thread changed. */
void sched_refresh(struct core *core, struct thread *thread);
/* A budget and a period, up to SCHED_LONGEST_PERIOD seconds, in one word; and the thread gets what such a word holds. */
#define SCHED_LONGEST_PERIOD 60u
uint64_t sched_share_pack(uint64_t budget, uint64_t period);
void sched_share_use(struct thread *thread, uint64_t share);
/* Accounts for the time since the current thread got the core, picks the thread to run now and makes
 * it current. NULL: nothing to run. */
struct thread *sched_next(struct core *core);
/* Programs the deadline interrupt to the next moment of interest, if that changed. To be called after a timer was armed;
 * after sched_next() the caller does it anyway. */
void sched_program_deadline(struct core *core);
/* The deadline interrupt. */
void sched_deadline(struct core *core);

/* timer.c */
void timer_arm(struct core *core, struct timer *timer, uint64_t deadline);
void timer_cancel(struct core *core, struct timer *timer);
/* Fires what is due. */
void timers_expire(struct core *core);

#endif
