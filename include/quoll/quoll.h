/*
 * The runtime of a component: system calls, environment, log, time.
 *
 * Implemented on the Quoll kernel (lib/quoll) and on Linux (lib/linux), where a component is a thread of a process,
 * so that services and device models run under sanitizers, fuzzers and a debugger. A component
 * defines component_main() for its thread 0 and, when it has more threads, component_thread().
 *
 * Freestanding: a component uses no C library; <string.h>'s memcpy, memmove, memset, memcmp, strlen, strcmp,
 * strncmp are provided.
 */
#ifndef QUOLL_QUOLL_H
#define QUOLL_QUOLL_H

#include <quoll/abi.h>
#include <stdbool.h>
#include <stddef.h>

void component_main(void);
void component_thread(uint32_t number); /* number >= 1 */

/* System calls; see abi.h for their contracts. */
uint64_t quoll_wait(void); /* returns the signals taken, at least one */
enum quoll_status quoll_vcpu_run(uint32_t vcpu, uint64_t *signals);
enum quoll_status quoll_signal(uint32_t channel);
enum quoll_status quoll_irq_ack(uint32_t irq);
enum quoll_status quoll_timer_set(uint64_t deadline);
enum quoll_status quoll_vcpu_irq(uint32_t vm, uint32_t vcpu, uint32_t intid);
enum quoll_status quoll_map(uint32_t vm, uint64_t address, uint32_t region, uint64_t offset,
                            uint64_t size_and_rights);
enum quoll_status quoll_unmap(uint32_t vm, uint64_t address, uint64_t size);
enum quoll_status quoll_protect(uint32_t vm, uint64_t address, uint64_t size, uint32_t rights);
enum quoll_status quoll_thread_control(uint32_t thread, enum quoll_thread_operation operation);
/* Every thread of a component is to be restarted with the same life, not 0 and different from the one before: they tell
 * by it when all of them have begun anew (lib/quoll/thread.c). */
enum quoll_status quoll_thread_restart(uint32_t thread, uint64_t life);
enum quoll_status quoll_thread_budget(uint32_t thread, uint64_t budget, uint64_t period);
enum quoll_status quoll_machine_control(uint32_t machine, enum quoll_machine_operation operation);
void quoll_debug_put(const char *text, size_t length);

/* Time, in ticks of the system counter (CNTVCT_EL0). */
uint64_t quoll_now(void);
uint64_t quoll_frequency(void); /* Hz */
uint64_t quoll_ticks_from_ns(uint64_t ns);
uint64_t quoll_ns_from_ticks(uint64_t ticks);

/* The environment, by name. find: NULL when there is none. The others stop the component with a message
 * that names what is missing: for what the system image must contain. */
const struct quoll_environment *quoll_environment(void);
const struct quoll_environment_entry *quoll_find(enum quoll_environment_kind kind,
                                                 const char *name);
void *quoll_memory(const char *name, uint64_t minimum_size);
uint32_t quoll_handle(const char *name, enum quoll_object_type type);
uint64_t quoll_receive(const char *name); /* the signal, as a mask */
/* "client" and 3 make "client3"; the result lives until the thread's next call of it. */
const char *quoll_numbered(const char *name, uint32_t number);

/* Log lines: %s %c %d %u %x %lu %lx %ld %p %%, with optional width and zero padding. A line feed is added. */
void quoll_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
size_t quoll_format(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Says why, then stops the component for good; the kernel adds its report. */
_Noreturn void quoll_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For the component's own invariants only, never for what a peer or a guest can cause. */
#define QUOLL_ASSERT(condition)                                                                    \
    ((condition) ? (void)0                                                                         \
                 : quoll_fail("%s:%d: broken invariant: %s", __FILE__, __LINE__, #condition))

#endif
