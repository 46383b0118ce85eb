/* The parts of the model among themselves; model.h has what the driver calls. */
#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include "model.h"

/* ---- expect.c: what a call should answer, from the image alone ---- */
enum expectation { EXPECT_FAILURE, EXPECT_SUCCESS, EXPECT_EITHER };
enum expectation expect_call(const struct thread *thread, const struct random_call *call);
/* The object of this type that the thread's component may name so, or NULL. */
const struct image_object *expect_object(const struct thread *thread, uint64_t handle,
                                         uint32_t type);

/* ---- pages.c: a plain map from page to attributes for what can be paged ---- */
void pages_boot(void);
/* The call, map, unmap or protect, was answered with OK. */
void pages_changed(const struct thread *thread, const struct random_call *call);
void pages_check_all(void);
/* Takes over what is mapped now, if it may be. */
void pages_settle(void);

/* ---- authority.c: what boot has given, and nothing else ---- */
void authority_boot(void);
void authority_check(void);

/* ---- queues.c: run queues, timers and budgets of one core ---- */
void queues_boot(void);
void queues_time(uint64_t ticks);
/* Cheap: who runs, until when, for how much longer. */
void queues_check(const struct core *core);
/* The lists link by link. */
void queues_check_links(const struct core *core);
/* A call asked for another budget. */
void queues_budget_asked(uint32_t thread, uint64_t budget, uint64_t period);
void queues_alarm_set(uint32_t thread, uint64_t deadline);
/* The alarm is due: it will not ring again. */
bool queues_alarm_rings(uint32_t thread);
/* Until it is closed, the thread may still get one that was asked for before. */
void queues_budget_open(uint32_t thread);
/* None is in flight any more: the thread has the last one; or, if they overlapped, what it has now counts. */
void queues_budget_close(uint32_t thread, bool overlapped);
void queues_settle(void);

#endif
