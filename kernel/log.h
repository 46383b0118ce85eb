/* The kernel's log: lines into the core's ring (quoll/log.h) and, before the console component has taken over, onto the early console. */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

#include "object.h"

/* Before anything else is called, on the boot core: where each core's ring is. */
void klog_start(void);
/* The memory that holds the rings (struct quoll_log). */
paddr_t klog_memory(uint64_t *size);
/* Prints "quoll: " and the line. Formats: %s %c %d %u %x %lu %lx %ld %p %%, width and zero padding. Callable from any core from the first
 * instruction of C on. A line feed is added. */
void klog(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Appends raw bytes of a complete line to the log, prefixed "name: ". */
void klog_line(const char *name, const char *line, size_t length);
/* The console's component has started to listen. */
void klog_taken_over(void);
/* The console's component is gone, or the kernel has to stop: print directly again, for good. */
void klog_take_back(void);
/* For what the machine or the system image makes impossible at boot: says "quoll: stopped: reason" on the
 * early console, then powers the machine off. */
_Noreturn void kstop(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For what only the kernel's own mistake can cause: prints it with what
 * the core was doing as "quoll: stopped: ...", powers the machine off. */
_Noreturn void kpanic(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define KASSERT(condition)                                                                         \
    ((condition) ? (void)0 : kpanic("%s:%d: broken invariant: %s", __FILE__, __LINE__, #condition))

#endif
