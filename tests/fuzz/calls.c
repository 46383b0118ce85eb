/* See calls.h. */
#include "calls.h"
#include "input.h"
#include <stdarg.h>

struct calls calls;

enum quoll_status quoll_vcpu_irq(uint32_t vm, uint32_t vcpu, uint32_t intid)
{
    (void)vm;
    (void)vcpu;
    if (intid == QUOLL_VCPU_IRQ_LOOK) {
        calls.looks++;
        return QUOLL_OK;
    }
    HOLDS(intid < 32 + QUOLL_VM_SPIS);
    calls.pulses++;
    return QUOLL_OK;
}

enum quoll_status quoll_signal(uint32_t channel)
{
    (void)channel;
    calls.signals++;
    return QUOLL_OK;
}

uint64_t quoll_wait(void)
{
    HOLDS(calls.wait != NULL);
    return calls.wait();
}

uint64_t quoll_now(void)
{
    return calls.now;
}

uint64_t quoll_frequency(void)
{
    return 1000000;
}

uint64_t quoll_ticks_from_ns(uint64_t ns)
{
    return ns / 1000;
}

enum quoll_status quoll_timer_set(uint64_t deadline)
{
    (void)deadline;
    return QUOLL_OK;
}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return (size_t)length < size ? (size_t)length : size - 1;
}

/* Formatted, so that the sanitizers see what is read, and dropped. */
void quoll_log(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
}

/* No input may make a component give up. */
void quoll_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    abort();
}

const struct quoll_environment_entry *quoll_find(enum quoll_environment_kind kind, const char *name)
{
    (void)kind;
    (void)name;
    return calls.found;
}

void *quoll_memory(const char *name, uint64_t minimum_size)
{
    (void)name;
    HOLDS(calls.memory != NULL && minimum_size <= calls.memory_size);
    return calls.memory;
}

uint32_t quoll_handle(const char *name, enum quoll_object_type type)
{
    (void)name;
    HOLDS(type == QUOLL_OBJECT_CHANNEL || type == QUOLL_OBJECT_LINE);
    return 0;
}

uint64_t quoll_receive(const char *name)
{
    (void)name;
    return 1;
}

const char *quoll_numbered(const char *name, uint32_t number)
{
    (void)number;
    return name;
}
