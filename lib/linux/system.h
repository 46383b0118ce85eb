/*
 * Inside the twin: what a simulated system consists of. One lock per system guards everything below it; a thread waits on
 * its own condition, so a signal wakes only whom it is for.
 */
#ifndef LIB_LINUX_SYSTEM_H
#define LIB_LINUX_SYSTEM_H

#include <pthread.h>
#include <quoll/log.h>
#include <quoll/twin.h>

#define TWIN_COMPONENTS 32
#define TWIN_THREADS 16
#define TWIN_ENTRIES 128
#define TWIN_MEMORIES 256
#define TWIN_IRQS 32
#define TWIN_LOG_BYTES 262144
/* Of the simulated system counter: QEMU's, so that mixing up ticks and nanoseconds shows. */
#define TWIN_FREQUENCY UINT64_C(62500000)
#define TWIN_NS_PER_TICK 16

struct twin_thread {
    struct twin_component *component;
    uint32_t number;
    pthread_t posix;
    bool started, suspended;
    uint64_t life; /* of the last restart that was asked for; 0: none */
    pthread_cond_t changed;
    uint64_t pending;
    uint64_t deadline; /* ticks, or QUOLL_NEVER */
    uint32_t bits;     /* signal bits given away */
    char line[QUOLL_DEBUG_LINE];
    size_t line_length;
};

struct twin_irq {
    struct twin_thread *thread;
    uint64_t signal;
    bool masked, raised; /* masked: delivered and not yet acknowledged */
    uint32_t acks;
};

struct twin_object {
    uint32_t type;              /* enum quoll_object_type */
    uint32_t number;            /* VCPU: its index */
    struct twin_thread *thread; /* CHANNEL: receiver; THREAD */
    uint64_t signal;            /* CHANNEL */
    struct twin_irq *irq;       /* IRQ */
    void (*raise)(void *);      /* LINE */
    void *context;              /* LINE */
};

struct twin_component {
    struct twin *twin;
    void (*main)(void);
    void (*thread_main)(uint32_t);
    bool adopted, dead, may_fail;
    uint32_t thread_count;
    struct twin_thread threads[TWIN_THREADS];
    struct twin_object objects[TWIN_ENTRIES];
    uint32_t object_count;
    struct twin_thread *fault_thread; /* NULL: nobody is told */
    uint64_t fault_signal;
    struct twin_guest guest;
    char failure[512];
    struct quoll_environment *environment;
};

struct twin {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* log, machine */
    struct twin_component *components[TWIN_COMPONENTS];
    uint32_t component_count;
    void *memories[TWIN_MEMORIES];
    uint32_t memory_count;
    struct twin_irq irqs[TWIN_IRQS];
    uint32_t irq_count;
    bool machine_called;
    enum quoll_machine_operation machine_operation;
    struct quoll_log *kernel_log; /* NULL: nobody reads it */
    struct twin_thread *log_thread;
    uint64_t log_signal;
    size_t log_length;
    char log[TWIN_LOG_BYTES];
};

extern _Thread_local struct twin_thread *twin_current;

/* With the lock held. */
void twin_raise(struct twin_thread *thread, uint64_t signals);
void twin_log_append(struct twin *twin, const char *text, size_t length);
void twin_component_die(struct twin_component *component);
/* Waits on the condition until the monotonic clock says `ns`; UINT64_MAX: without end. */
void twin_sleep(struct twin *twin, pthread_cond_t *condition, uint64_t ns);

uint64_t twin_ns(void);
void *twin_thread_run(void *argument);
_Noreturn void twin_mistake(const char *what, const char *name);

#endif
