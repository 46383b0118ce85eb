/*
 * Building, starting and stopping a twin (quoll/twin.h). The tables are filled by the test's thread before the
 * components start; from then on what changes is guarded by the twin's lock.
 */
#define _GNU_SOURCE
#include "system.h"
#include <lib/runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The test program itself is wrong: say so and end. */
void twin_mistake(const char *what, const char *name)
{
    fprintf(stderr, "twin: %s: \"%s\"\n", what, name);
    abort();
}

static void *allocate(size_t size)
{
    void *memory = NULL;
    if (posix_memalign(&memory, QUOLL_PAGE_SIZE, size) != 0)
        twin_mistake("out of memory", "");
    return memset(memory, 0, size);
}

static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct twin *twin_create(void)
{
    struct twin *twin = allocate(sizeof *twin);
    pthread_mutex_init(&twin->lock, NULL);
    condition_init(&twin->changed);
    return twin;
}

static struct twin_component *add_component(struct twin *twin, const char *name, uint32_t threads)
{
    if (twin->component_count == TWIN_COMPONENTS || threads == 0 || threads > TWIN_THREADS)
        twin_mistake("too many components or threads", name);
    struct twin_component *component = allocate(sizeof *component);
    component->twin = twin;
    component->thread_count = threads;
    component->environment = allocate(sizeof *component->environment +
                                      TWIN_ENTRIES * sizeof(struct quoll_environment_entry));
    component->environment->magic = QUOLL_ENVIRONMENT_MAGIC;
    component->environment->counter_frequency = TWIN_FREQUENCY;
    component->environment->thread_count = threads;
    quoll_format(component->environment->component, QUOLL_NAME_SIZE, "%s", name);
    for (uint32_t i = 0; i < threads; i++) {
        component->threads[i].component = component;
        component->threads[i].number = i;
        component->threads[i].deadline = QUOLL_NEVER;
        condition_init(&component->threads[i].changed);
    }
    pthread_mutex_lock(&twin->lock);
    twin->components[twin->component_count++] = component;
    pthread_mutex_unlock(&twin->lock);
    return component;
}

struct twin_component *twin_component(struct twin *twin, const char *name, void (*main)(void),
                                      void (*thread)(uint32_t), uint32_t threads)
{
    struct twin_component *component = add_component(twin, name, threads);
    component->main = main;
    component->thread_main = thread;
    return component;
}

struct twin_component *twin_adopt(struct twin *twin, const char *name)
{
    struct twin_component *component = add_component(twin, name, 1);
    component->adopted = true;
    twin_current = &component->threads[0];
    return component;
}

void *twin_thread_run(void *argument)
{
    struct twin_thread *thread = argument;
    twin_current = thread;
    if (thread->number == 0)
        thread->component->main();
    else
        thread->component->thread_main(thread->number);
    for (;;)
        quoll_wait();
}

void twin_start(struct twin *twin)
{
    for (uint32_t i = 0; i < twin->component_count; i++) {
        struct twin_component *component = twin->components[i];
        if (component->adopted || component->threads[0].started)
            continue;
        for (uint32_t j = 0; j < component->thread_count; j++) {
            struct twin_thread *thread = &component->threads[j];
            thread->started = true;
            if (pthread_create(&thread->posix, NULL, twin_thread_run, thread) != 0)
                twin_mistake("cannot create a thread", component->environment->component);
        }
    }
}

void twin_component_die(struct twin_component *component)
{
    if (component->dead || component->adopted)
        return;
    component->dead = true;
    for (uint32_t i = 0; i < component->thread_count; i++)
        pthread_cond_broadcast(&component->threads[i].changed);
    if (component->fault_thread != NULL && !component->twin->machine_called)
        twin_raise(component->fault_thread, component->fault_signal);
}

static void join(struct twin_component *component)
{
    for (uint32_t i = 0; i < component->thread_count; i++) {
        if (component->threads[i].started)
            pthread_join(component->threads[i].posix, NULL);
        component->threads[i].started = false;
    }
}

void twin_kill(struct twin_component *component)
{
    pthread_mutex_lock(&component->twin->lock);
    twin_component_die(component);
    pthread_mutex_unlock(&component->twin->lock);
    join(component);
}

void twin_stop(struct twin *twin)
{
    pthread_mutex_lock(&twin->lock);
    for (uint32_t i = 0; i < twin->component_count; i++)
        twin_component_die(twin->components[i]);
    pthread_mutex_unlock(&twin->lock);
    for (uint32_t i = 0; i < twin->component_count; i++)
        join(twin->components[i]);
}

static void free_component(struct twin_component *component)
{
    if (component->adopted && twin_current == &component->threads[0])
        twin_current = NULL;
    for (uint32_t i = 0; i < component->thread_count; i++)
        pthread_cond_destroy(&component->threads[i].changed);
    free(component->environment);
    free(component);
}

void twin_destroy(struct twin *twin)
{
    twin_stop(twin);
    for (uint32_t i = 0; i < twin->component_count; i++)
        free_component(twin->components[i]);
    for (uint32_t i = 0; i < twin->memory_count; i++)
        free(twin->memories[i]);
    pthread_cond_destroy(&twin->changed);
    pthread_mutex_destroy(&twin->lock);
    free(twin);
}

void twin_expect_failure(struct twin_component *component)
{
    component->may_fail = true;
}

const char *twin_failure(struct twin_component *component)
{
    pthread_mutex_lock(&component->twin->lock);
    bool failed = component->failure[0] != 0;
    pthread_mutex_unlock(&component->twin->lock);
    return failed ? component->failure : NULL;
}

uint64_t twin_life(struct twin_component *component, uint32_t thread)
{
    pthread_mutex_lock(&component->twin->lock);
    uint64_t life = component->threads[thread].life;
    pthread_mutex_unlock(&component->twin->lock);
    return life;
}

bool twin_is_suspended(struct twin_component *component, uint32_t thread)
{
    pthread_mutex_lock(&component->twin->lock);
    bool suspended = component->threads[thread].suspended;
    pthread_mutex_unlock(&component->twin->lock);
    return suspended;
}

/* ------------------------------------------------------------------------------------------------ the environment */

void *twin_memory(struct twin *twin, size_t size)
{
    if (twin->memory_count == TWIN_MEMORIES)
        twin_mistake("too many memories", "");
    void *memory = allocate(size);
    twin->memories[twin->memory_count++] = memory;
    return memory;
}

static struct quoll_environment_entry *add_entry(struct twin_component *component, const char *name,
                                                 enum quoll_environment_kind kind)
{
    struct quoll_environment *environment = component->environment;
    if (environment->entry_count == TWIN_ENTRIES || strlen(name) >= QUOLL_NAME_SIZE)
        twin_mistake("too many entries or too long a name", name);
    struct quoll_environment_entry *entry = &environment->entries[environment->entry_count++];
    quoll_format(entry->name, QUOLL_NAME_SIZE, "%s", name);
    entry->kind = (uint16_t)kind;
    return entry;
}

void twin_tell_memory(struct twin_component *component, const char *name, void *memory, size_t size)
{
    struct quoll_environment_entry *entry = add_entry(component, name, QUOLL_ENVIRONMENT_MEMORY);
    entry->size = size;
    entry->physical = (uintptr_t)memory;
}

void twin_give_memory(struct twin_component *component, const char *name, void *memory, size_t size)
{
    twin_tell_memory(component, name, memory, size);
    struct quoll_environment *environment = component->environment;
    struct quoll_environment_entry *entry = &environment->entries[environment->entry_count - 1];
    entry->address = (uintptr_t)memory;
    entry->type = QUOLL_READ | QUOLL_WRITE;
}

void twin_give_config(struct twin_component *component, const void *config, size_t size)
{
    void *copy = twin_memory(component->twin, size);
    twin_give_memory(component, "config", memcpy(copy, config, size), size);
}

static struct twin_object *add_object(struct twin_component *component, const char *name,
                                      enum quoll_object_type type)
{
    if (component->object_count == TWIN_ENTRIES)
        twin_mistake("too many objects", name);
    struct quoll_environment_entry *entry = add_entry(component, name, QUOLL_ENVIRONMENT_HANDLE);
    entry->type = (uint16_t)type;
    entry->number = (uint16_t)component->object_count;
    struct twin_object *object = &component->objects[component->object_count++];
    object->type = type;
    return object;
}

/* A new signal of the thread, in its component's environment under this name. */
static uint64_t add_receive(struct twin_component *component, uint32_t thread, const char *name)
{
    if (thread >= component->thread_count ||
        component->threads[thread].bits == QUOLL_SIGNAL_CHANNELS)
        twin_mistake("no such thread, or too many signals", name);
    struct quoll_environment_entry *entry = add_entry(component, name, QUOLL_ENVIRONMENT_RECEIVE);
    entry->thread = (uint16_t)thread;
    entry->number = (uint16_t)component->threads[thread].bits++;
    return QUOLL_SIGNAL(entry->number);
}

void twin_connect(struct twin_component *from, const char *channel, struct twin_component *to,
                  uint32_t thread, const char *receive)
{
    uint64_t signal = add_receive(to, thread, receive);
    struct twin_object *object = add_object(from, channel, QUOLL_OBJECT_CHANNEL);
    object->thread = &to->threads[thread];
    object->signal = signal;
}

void *twin_link(struct twin_component *server, const char *server_name,
                struct twin_component *client, const char *client_name, size_t size)
{
    void *memory = twin_memory(server->twin, size);
    twin_give_memory(server, server_name, memory, size);
    twin_give_memory(client, client_name, memory, size);
    twin_connect(server, server_name, client, 0, client_name);
    twin_connect(client, client_name, server, 0, server_name);
    return memory;
}

void twin_fault_channel(struct twin_component *component, struct twin_component *to,
                        uint32_t thread, const char *receive)
{
    component->fault_signal = add_receive(to, thread, receive);
    component->fault_thread = &to->threads[thread];
}

struct twin_irq *twin_give_irq(struct twin_component *component, uint32_t thread, const char *name)
{
    struct twin *twin = component->twin;
    if (twin->irq_count == TWIN_IRQS)
        twin_mistake("too many interrupts", name);
    struct twin_irq *irq = &twin->irqs[twin->irq_count++];
    irq->signal = add_receive(component, thread, name);
    irq->thread = &component->threads[thread];
    add_object(component, name, QUOLL_OBJECT_IRQ)->irq = irq;
    return irq;
}

void twin_give_thread(struct twin_component *component, const char *name,
                      struct twin_component *target, uint32_t number)
{
    if (number >= target->thread_count)
        twin_mistake("no such thread", name);
    add_object(component, name, QUOLL_OBJECT_THREAD)->thread = &target->threads[number];
}

void twin_give_machine(struct twin_component *component, const char *name)
{
    add_object(component, name, QUOLL_OBJECT_MACHINE);
}

void twin_give_line(struct twin_component *component, const char *name, void (*raise)(void *),
                    void *context)
{
    struct twin_object *object = add_object(component, name, QUOLL_OBJECT_LINE);
    object->raise = raise;
    object->context = context;
}

void twin_give_guest(struct twin_component *component, const struct twin_guest *guest,
                     uint32_t vcpus)
{
    component->guest = *guest;
    add_object(component, "vm", QUOLL_OBJECT_VM);
    for (uint32_t i = 0; i < vcpus; i++)
        add_object(component, quoll_numbered("vcpu", i), QUOLL_OBJECT_VCPU)->number = i;
}

/* ------------------------------------------------------------------------------------------------ log and machine */

void twin_give_kernel_log(struct twin_component *component, uint32_t thread)
{
    struct twin *twin = component->twin;
    size_t size = sizeof *twin->kernel_log + sizeof twin->kernel_log->ring[0];
    twin->kernel_log = twin_memory(twin, size);
    twin->kernel_log->cores = 1;
    twin->kernel_log->ring_bytes = sizeof(struct quoll_log_ring);
    twin_give_memory(component, "kernel-log", twin->kernel_log, size);
    twin->log_signal = add_receive(component, thread, "kernel-log");
    twin->log_thread = &component->threads[thread];
}

static void append_to_kernel_log(struct quoll_log_ring *ring, const char *text, size_t length)
{
    uint64_t written = ring->written;
    for (size_t i = 0; i < length; i++)
        ring->text[(written + i) % QUOLL_LOG_BYTES] = text[i];
    __atomic_store_n(&ring->written, written + length, __ATOMIC_RELEASE);
}

void twin_log_append(struct twin *twin, const char *text, size_t length)
{
    if (getenv("QUOLL_TWIN_LOG") != NULL)
        fwrite(text, 1, length, stderr);
    if (length < TWIN_LOG_BYTES - twin->log_length) {
        memcpy(twin->log + twin->log_length, text, length);
        twin->log_length += length;
    }
    if (twin->kernel_log != NULL) {
        append_to_kernel_log(&twin->kernel_log->ring[0], text, length);
        twin_raise(twin->log_thread, twin->log_signal);
    }
    pthread_cond_broadcast(&twin->changed);
}

static uint64_t end_of(unsigned milliseconds)
{
    return twin_ns() + (uint64_t)milliseconds * 1000000u;
}

bool twin_await_machine(struct twin *twin, enum quoll_machine_operation *operation,
                        unsigned milliseconds)
{
    uint64_t end = end_of(milliseconds);
    pthread_mutex_lock(&twin->lock);
    while (!twin->machine_called && twin_ns() < end)
        twin_sleep(twin, &twin->changed, end);
    bool called = twin->machine_called;
    *operation = twin->machine_operation;
    pthread_mutex_unlock(&twin->lock);
    return called;
}

bool twin_await_log(struct twin *twin, const char *text, unsigned milliseconds)
{
    uint64_t end = end_of(milliseconds);
    pthread_mutex_lock(&twin->lock);
    while (strstr(twin->log, text) == NULL && twin_ns() < end)
        twin_sleep(twin, &twin->changed, end);
    bool found = strstr(twin->log, text) != NULL;
    pthread_mutex_unlock(&twin->lock);
    return found;
}

bool twin_logged(struct twin *twin, const char *text)
{
    return twin_await_log(twin, text, 0);
}
