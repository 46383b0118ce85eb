/*
 * The kernel's log; see log.h and quoll/log.h.
 *
 * A ring has one writer, its core. While `taken_over` is false, lines go to the early console too, and
 * the ring's own taken_over counter follows what was shown there. Cores that print at the same time
 * take turns line by line: a core claims the console, but gives up waiting after a while, because text that is
 * mixed is better than a core that hangs behind one that died printing.
 *
 * The listener is told with the same bits that signal_raise() sets, but always through its core's inbox
 * and an inter-processor interrupt, even from its own core: so lines can be logged from anywhere, the scheduler included.
 */
#include "log.h"
#include <quoll/log.h>
#include <quoll/stream.h>
#include <quoll/text.h>
#include <stdatomic.h>
#include <stdarg.h>

#define LINE_BYTES 256
#define CLAIMS_PER_SECOND 4u /* a core waits so much of a second for the console */

#define MEMORY_BYTES (sizeof(struct quoll_log) + QUOLL_MAX_CORES * sizeof(struct quoll_log_ring))
static uint8_t log_memory[MEMORY_BYTES] __attribute__((aligned(4096)));

_Static_assert(MEMORY_BYTES % PAGE_SIZE == 0, "mapped as whole pages");

static atomic_bool taken_over;
static atomic_bool taken_back; /* for good: the listener may still be running when it is */
static atomic_bool console_claimed;

void klog_start(void)
{
    struct quoll_log *log = (struct quoll_log *)(void *)log_memory;
    atomic_store(&taken_back, false);
    log->ring_bytes = sizeof(struct quoll_log_ring);
    log->cores = QUOLL_MAX_CORES;
    for (uint32_t i = 0; i < QUOLL_MAX_CORES; i++)
        cores[i].log = &log->ring[i];
}

paddr_t klog_memory(uint64_t *size)
{
    *size = sizeof(log_memory);
    return paddr((uintptr_t)log_memory);
}

/* Alone there is nothing to claim, and the boot core's caches may still be off: atomic read-modify-write
 * operations need them. */
static bool console_claim(void)
{
    if (core_count < 2)
        return false;
    uint64_t start = arch_now(), patience = arch_frequency() / CLAIMS_PER_SECOND;
    while (atomic_exchange_explicit(&console_claimed, true, memory_order_acquire)) {
        if (arch_now() - start > patience)
            break; /* its owner died, or is very slow: it is taken away */
    }
    return true;
}

static void console_print(const char *prefix, const char *separator, const char *text,
                          size_t length)
{
    bool claimed = console_claim();
    while (*prefix != 0)
        arch_early_putc(*prefix++);
    while (*separator != 0)
        arch_early_putc(*separator++);
    for (size_t i = 0; i < length; i++)
        arch_early_putc(text[i]);
    arch_early_putc('\r');
    arch_early_putc('\n');
    if (claimed)
        atomic_store_explicit(&console_claimed, false, memory_order_release);
}

static uint64_t ring_append(struct quoll_log_ring *ring, uint64_t written, const char *text,
                            size_t length)
{
    for (size_t i = 0; i < length; i++)
        ring->text[written++ % QUOLL_LOG_BYTES] = text[i];
    return written;
}

static size_t text_length(const char *text)
{
    size_t length = 0;
    while (text[length] != 0)
        length++;
    return length;
}

static void listener_wake(void)
{
    if (log_channel == NULL)
        return;
    struct thread *listener = log_channel->thread;
    uint64_t signal = QUOLL_SIGNAL(log_channel->bit);
    if (atomic_fetch_or(&listener->pending, signal) & signal)
        return;
    if (atomic_fetch_or(&listener->core->inbox, UINT64_C(1) << listener->slot) == 0)
        arch_ipi_send(listener->core);
}

void klog_line(const char *name, const char *line, size_t length)
{
    const char *separator = *name != 0 ? ": " : "";
    struct core *core = arch_this_core();
    struct quoll_log_ring *ring = core != NULL ? core->log : NULL;
    if (ring != NULL) {
        uint64_t written = ring_append(ring, ring->written, name, text_length(name));
        written = ring_append(ring, written, separator, text_length(separator));
        written = ring_append(ring, written, line, length);
        written = ring_append(ring, written, "\n", 1);
        __atomic_store_n(&ring->written, written, __ATOMIC_RELEASE);
    }
    if (atomic_load(&taken_over)) {
        listener_wake();
        return;
    }
    console_print(name, separator, line, length);
    if (ring != NULL)
        __atomic_store_n(&ring->taken_over, ring->written, __ATOMIC_RELEASE);
}

void klog(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t length = text_format_list(line, sizeof(line), format, arguments);
    va_end(arguments);
    klog_line("quoll", line, length);
}

void klog_taken_over(void)
{
    if (!atomic_load(&taken_back))
        atomic_store(&taken_over, true);
}

void klog_take_back(void)
{
    atomic_store(&taken_back, true);
    if (atomic_exchange(&taken_over, false)) {
        /* The listener may have left the console to any of its streams. */
        for (const char *c = FRAME_BEGIN FRAME_LOG_STREAM FRAME_END; *c != 0; c++)
            arch_early_putc(*c);
    }
}

static void report_where(void *caller)
{
    const struct core *core = arch_this_core();
    if (core == NULL) {
        klog("  at %p, before this core was known", caller);
        return;
    }
    const struct thread *thread = core->current;
    klog("  at %p on core %u, running %s, thread %u%s", caller, core->index,
         thread != NULL ? thread->component->name : "nothing", thread != NULL ? thread->number : 0,
         thread != NULL && thread->in_guest ? ", in its guest" : "");
}

void kpanic(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    text_format_list(line, sizeof(line), format, arguments);
    va_end(arguments);
    klog_take_back();
    report_where(__builtin_return_address(0));
    klog("stopped: %s", line);
    arch_machine_off();
}

void kstop(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    text_format_list(line, sizeof(line), format, arguments);
    va_end(arguments);
    klog_take_back();
    klog("stopped: %s", line);
    arch_machine_off();
}
