/*
 * The twin's side of the system calls (quoll/quoll.h). Each call first checks that its component may go on: a thread of a
 * dead component ends here, a suspended one waits here. Contracts are those of quoll/abi.h.
 */
#define _GNU_SOURCE
#include "system.h"
#include <lib/runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Thread_local struct twin_thread *twin_current;

/* For tests of functions that need no system: quoll_now, quoll_ns_from_ticks, quoll_log. */
static struct quoll_environment no_environment = {
    .magic = QUOLL_ENVIRONMENT_MAGIC, .component = "none", .counter_frequency = TWIN_FREQUENCY};

uint64_t twin_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t quoll_now(void)
{
    return twin_ns() / TWIN_NS_PER_TICK;
}

const struct quoll_environment *quoll_environment(void)
{
    return twin_current == NULL ? &no_environment : twin_current->component->environment;
}

/* One for each thread of the process: components share their statics here. */
char *runtime_name_buffer(void)
{
    static _Thread_local char name[QUOLL_NAME_SIZE];
    return name;
}

void twin_sleep(struct twin *twin, pthread_cond_t *condition, uint64_t ns)
{
    if (ns == UINT64_MAX) {
        pthread_cond_wait(condition, &twin->lock);
        return;
    }
    struct timespec until = {.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
    pthread_cond_timedwait(condition, &twin->lock, &until);
}

void twin_raise(struct twin_thread *thread, uint64_t signals)
{
    thread->pending |= signals;
    pthread_cond_broadcast(&thread->changed);
}

/* Enters a call: locked, and the caller may go on. */
static struct twin *enter(void)
{
    struct twin_thread *thread = twin_current;
    if (thread == NULL)
        twin_mistake("a system call outside of any component", "?");
    struct twin *twin = thread->component->twin;
    pthread_mutex_lock(&twin->lock);
    while (thread->suspended && !thread->component->dead)
        twin_sleep(twin, &thread->changed, UINT64_MAX);
    if (thread->component->dead && !thread->component->adopted) {
        pthread_mutex_unlock(&twin->lock);
        pthread_exit(NULL);
    }
    return twin;
}

static void leave(struct twin *twin)
{
    pthread_mutex_unlock(&twin->lock);
}

static void expire_timer(struct twin_thread *thread)
{
    if (thread->deadline == QUOLL_NEVER || thread->deadline > quoll_now())
        return;
    thread->deadline = QUOLL_NEVER;
    thread->pending |= QUOLL_SIGNAL_TIMER;
}

static uint64_t deadline_ns(uint64_t ticks)
{
    return ticks > UINT64_MAX / TWIN_NS_PER_TICK ? UINT64_MAX : ticks * TWIN_NS_PER_TICK;
}

/* Sleeps until a wanted signal is pending or the time has come; takes and returns those that are. */
static uint64_t take_signals(struct twin *twin, uint64_t wanted, uint64_t until_ns)
{
    struct twin_thread *thread = twin_current;
    for (;;) {
        expire_timer(thread);
        uint64_t signals = thread->pending & wanted;
        if ((signals != 0 && !thread->suspended) || thread->component->dead ||
            (until_ns != UINT64_MAX && twin_ns() >= until_ns)) {
            thread->pending &= ~signals;
            return signals;
        }
        uint64_t timer_ns = deadline_ns(thread->deadline);
        twin_sleep(twin, &thread->changed, timer_ns < until_ns ? timer_ns : until_ns);
    }
}

uint64_t quoll_wait(void)
{
    struct twin *twin = enter();
    uint64_t signals = take_signals(twin, UINT64_MAX, UINT64_MAX);
    leave(twin);
    if (signals == 0) /* the component died meanwhile */
        leave(enter());
    return signals;
}

static uint64_t milliseconds_from_now(unsigned milliseconds)
{
    return twin_ns() + (uint64_t)milliseconds * 1000000u;
}

uint64_t twin_wait(unsigned milliseconds)
{
    struct twin *twin = enter();
    uint64_t signals = take_signals(twin, UINT64_MAX, milliseconds_from_now(milliseconds));
    leave(twin);
    return signals;
}

bool twin_await(uint64_t wanted, unsigned milliseconds)
{
    struct twin *twin = enter();
    uint64_t signals = take_signals(twin, wanted, milliseconds_from_now(milliseconds));
    leave(twin);
    return signals != 0;
}

/* The caller's object, or NULL and why not. */
static struct twin_object *object(uint32_t handle, enum quoll_object_type type,
                                  enum quoll_status *status)
{
    struct twin_component *component = twin_current->component;
    *status = QUOLL_BAD_HANDLE;
    if (handle >= component->object_count)
        return NULL;
    *status = QUOLL_WRONG_TYPE;
    if (component->objects[handle].type != type)
        return NULL;
    *status = QUOLL_OK;
    return &component->objects[handle];
}

enum quoll_status quoll_signal(uint32_t channel)
{
    enum quoll_status status;
    struct twin *twin = enter();
    struct twin_object *line = object(channel, QUOLL_OBJECT_LINE, &status);
    struct twin_object *target = object(channel, QUOLL_OBJECT_CHANNEL, &status);
    if (target != NULL)
        twin_raise(target->thread, target->signal);
    leave(twin);
    if (line == NULL)
        return status;
    line->raise(line->context);
    return QUOLL_OK;
}

static void deliver(struct twin_irq *irq)
{
    if (irq->masked || !irq->raised)
        return;
    irq->masked = true;
    irq->raised = false;
    twin_raise(irq->thread, irq->signal);
}

enum quoll_status quoll_irq_ack(uint32_t handle)
{
    enum quoll_status status;
    struct twin *twin = enter();
    struct twin_object *target = object(handle, QUOLL_OBJECT_IRQ, &status);
    if (target != NULL) {
        target->irq->masked = false;
        target->irq->acks++;
        deliver(target->irq);
    }
    leave(twin);
    return status;
}

void twin_irq_raise(struct twin_irq *irq)
{
    struct twin *twin = irq->thread->component->twin;
    pthread_mutex_lock(&twin->lock);
    irq->raised = true;
    deliver(irq);
    pthread_mutex_unlock(&twin->lock);
}

uint32_t twin_irq_acks(const struct twin_irq *irq)
{
    struct twin *twin = irq->thread->component->twin;
    pthread_mutex_lock(&twin->lock);
    uint32_t acks = irq->acks;
    pthread_mutex_unlock(&twin->lock);
    return acks;
}

enum quoll_status quoll_timer_set(uint64_t deadline)
{
    struct twin *twin = enter();
    expire_timer(twin_current);
    twin_current->deadline = deadline;
    expire_timer(twin_current);
    leave(twin);
    return QUOLL_OK;
}

enum quoll_status quoll_vcpu_run(uint32_t vcpu, uint64_t *signals)
{
    enum quoll_status status;
    struct twin_component *component = twin_current->component;
    struct twin *twin = enter();
    struct twin_object *target = object(vcpu, QUOLL_OBJECT_VCPU, &status);
    expire_timer(twin_current);
    *signals = target == NULL ? 0 : twin_current->pending;
    twin_current->pending &= ~*signals;
    leave(twin);
    if (target == NULL || *signals != 0)
        return status;
    if (component->guest.run == NULL)
        return QUOLL_NOT_SUPPORTED;
    struct quoll_vcpu_page *page = component->guest.run(component->guest.context, target->number);
    if (page != NULL && page->exit == QUOLL_EXIT_NONE)
        *signals = quoll_wait();
    return QUOLL_OK;
}

/* The guest behind the caller's VM handle. */
static const struct twin_guest *guest_of(uint32_t vm, enum quoll_status *status)
{
    struct twin *twin = enter();
    struct twin_object *target = object(vm, QUOLL_OBJECT_VM, status);
    leave(twin);
    return target == NULL ? NULL : &twin_current->component->guest;
}

enum quoll_status quoll_vcpu_irq(uint32_t vm, uint32_t vcpu, uint32_t intid)
{
    enum quoll_status status;
    const struct twin_guest *guest = guest_of(vm, &status);
    if (guest == NULL)
        return status;
    return guest->irq == NULL ? QUOLL_NOT_SUPPORTED : guest->irq(guest->context, vcpu, intid);
}

enum quoll_status quoll_map(uint32_t vm, uint64_t address, uint32_t region, uint64_t offset,
                            uint64_t size_and_rights)
{
    enum quoll_status status;
    const struct twin_guest *guest = guest_of(vm, &status);
    if (guest == NULL)
        return status;
    return guest->map == NULL ? QUOLL_NOT_SUPPORTED
                              : guest->map(guest->context, address, offset, size_and_rights);
}

enum quoll_status quoll_unmap(uint32_t vm, uint64_t address, uint64_t size)
{
    enum quoll_status status;
    const struct twin_guest *guest = guest_of(vm, &status);
    if (guest == NULL)
        return status;
    return guest->unmap == NULL ? QUOLL_NOT_SUPPORTED : guest->unmap(guest->context, address, size);
}

enum quoll_status quoll_protect(uint32_t vm, uint64_t address, uint64_t size, uint32_t rights)
{
    return QUOLL_NOT_SUPPORTED;
}

enum quoll_status quoll_thread_control(uint32_t thread, enum quoll_thread_operation operation)
{
    enum quoll_status status;
    struct twin *twin = enter();
    struct twin_object *target = object(thread, QUOLL_OBJECT_THREAD, &status);
    if (target != NULL) {
        target->thread->suspended = operation == QUOLL_THREAD_SUSPEND;
        pthread_cond_broadcast(&target->thread->changed);
    }
    leave(twin);
    return status;
}

enum quoll_status quoll_thread_restart(uint32_t thread, uint64_t life)
{
    enum quoll_status status;
    struct twin *twin = enter();
    struct twin_object *target = object(thread, QUOLL_OBJECT_THREAD, &status);
    if (target != NULL)
        target->thread->life = life;
    leave(twin);
    return status;
}

enum quoll_status quoll_thread_budget(uint32_t thread, uint64_t budget, uint64_t period)
{
    enum quoll_status status;
    struct twin *twin = enter();
    object(thread, QUOLL_OBJECT_THREAD, &status);
    leave(twin);
    return status == QUOLL_OK && (budget == 0 || budget > period) ? QUOLL_BAD_ARGUMENT : status;
}

enum quoll_status quoll_machine_control(uint32_t machine, enum quoll_machine_operation operation)
{
    enum quoll_status status;
    struct twin *twin = enter();
    struct twin_object *target = object(machine, QUOLL_OBJECT_MACHINE, &status);
    if (target != NULL) {
        twin->machine_called = true;
        twin->machine_operation = operation;
        pthread_cond_broadcast(&twin->changed);
        for (uint32_t i = 0; i < twin->component_count; i++)
            twin_component_die(twin->components[i]);
    }
    leave(twin);
    if (target != NULL)
        leave(enter()); /* does not return */
    return status;
}

static void put_line(struct twin_thread *thread, struct twin *twin)
{
    char line[QUOLL_NAME_SIZE + 3 + QUOLL_DEBUG_LINE];
    size_t length =
        quoll_format(line, sizeof line, "%s: %.*s\n", thread->component->environment->component,
                     (int)thread->line_length, thread->line);
    twin_log_append(twin, line, length);
    thread->line_length = 0;
}

void quoll_debug_put(const char *text, size_t length)
{
    struct twin_thread *thread = twin_current;
    if (thread == NULL) {
        fwrite(text, 1, length, stderr);
        return;
    }
    struct twin *twin = enter();
    for (; length > 0; text++, length--) {
        if (*text != '\n')
            thread->line[thread->line_length++] = *text;
        if (*text == '\n' || thread->line_length == QUOLL_DEBUG_LINE)
            put_line(thread, twin);
    }
    leave(twin);
}

void runtime_stop(const char *message)
{
    struct twin_thread *thread = twin_current;
    if (thread == NULL || !thread->component->may_fail) {
        fprintf(stderr, "component %s failed: %s\n", quoll_environment()->component, message);
        abort();
    }
    struct twin *twin = enter();
    quoll_format(thread->component->failure, sizeof thread->component->failure, "%s", message);
    twin_component_die(thread->component);
    leave(twin);
    pthread_exit(NULL);
}
