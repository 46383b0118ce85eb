/* The kernel's log: lines into the core's ring (quoll/log.h) and, before the console component has taken over, onto the early console. */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

#include "object.h"

/* Formats: %s %c %d %u %x %lu %lx %ld %p %%, width and zero padding. Callable from any core from the first
 * instruction of C on. A line feed is added. */
void klog(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Appends raw bytes of a complete line to the log, prefixed "name: ". */
void klog_line(const char *name, const char *line, size_t length);
/* The console's component has started to listen. */
void klog_taken_over(void);
/* The console's component is gone: print directly again. */
void klog_take_back(void);
/* For what only the kernel's own mistake can cause: prints file, line and registers of this core, halts the machine. */
_Noreturn void kpanic(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define KASSERT(condition)                                                                         \
    ((condition) ? (void)0 : kpanic("%s:%d: broken invariant: %s", __FILE__, __LINE__, #condition))

#endif
