/*
 * What the kernel should be like: a naive model, kept from the system image and from what happened, and compared with the
 * kernel's own structures.
 *
 * The driver brackets whatever enters the kernel on one core, an *event*, with model_begin() and model_end(), and tells in between what the
 * event raises or asks for. Events nest: while one core is inside the kernel, another one may enter it. What is in flight
 * then may have happened or not, and the model allows for both.
 *
 * What is not as it should be ends the process through broken().
 */
#ifndef MODEL_H
#define MODEL_H

#include "grammar.h"
#include "world.h"

struct event {
    struct event *outer;
    struct core *core;
    uint64_t raised[WORLD_THREADS];    /* by this event */
    uint64_t delivered[WORLD_THREADS]; /* seen by events that nested in it */
    bool waited[WORLD_THREADS];        /* in wait or a guest when it began */
    struct thread *caller;             /* issues wait or vcpu_run */
    struct thread *leaves;             /* its guest, for its VMM */
    bool asked[WORLD_THREADS];         /* a request goes to it */
    bool begun[WORLD_THREADS];         /* it has begun anew */
    bool must_succeed, must_fail;      /* the call */
    struct quoll_registers registers;  /* of the calling thread, before */
};

/* Reports what is wrong, and how to repeat it; does not return. */
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* After world_boot(): checks what boot built, and begins to follow it. */
void model_boot(void);
/* Whether the thread's call must succeed, or must be refused. Needs no event. */
void model_expect(const struct thread *thread, const struct random_call *call, bool *must_succeed,
                  bool *must_fail);
/* Around each entry to the kernel on `core`. */
void model_begin(struct event *event, struct core *core);
void model_end(struct event *event);

/* ---- What the event does: before the kernel does it. ---- */
void model_raise(struct event *event, const struct thread *thread, uint64_t bits);
/* Alarms that are due on this core fire. */
void model_deadline(struct event *event);
/* The thread's guest needs its VMM. */
void model_leave(struct event *event, struct thread *thread);
/* All threads of the component are stopped, its fault channel raised. */
void model_fault(struct event *event, const struct component *component);
/* The thread issues this call. */
void model_call(struct event *event, struct thread *thread, const struct random_call *call);
/* ...and this was answered. Before model_end(). */
void model_answer(struct event *event, struct thread *thread, const struct random_call *call);
/* Whether the call may stop the machine. */
bool model_may_stop(const struct thread *thread, const struct random_call *call);
/* The time from now on has passed: whoever runs has used so much. */
void model_time(uint64_t ticks);
/* A VMM has changed its interrupt page behind the kernel's back. */
void model_scribbled(const struct vm *vm);

/* Everything that takes long: all address spaces, all tables, all queues. */
void model_check_all(void);
/* The part of it that holds while cores run, too: authority. */
void model_check_authority(void);
/* After cores have run as they liked: takes over what they left, and checks it with no event in progress. */
void model_settle(void);

#endif
