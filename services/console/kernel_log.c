/* See kernel_log.h. */
#include "kernel_log.h"

/* The kernel may be in the middle of writing up to this many bytes that `written` does not count yet. */
#define UNDER_CONSTRUCTION 1024u

void kernel_log_attach(struct kernel_log_reader *reader, const struct quoll_log_ring *ring)
{
    *reader = (struct kernel_log_reader){
        .ring = ring,
        .position = __atomic_load_n(&ring->taken_over, __ATOMIC_ACQUIRE),
    };
}

static char byte_at(const struct quoll_log_ring *ring, uint64_t position)
{
    return __atomic_load_n(&ring->text[position % QUOLL_LOG_BYTES], __ATOMIC_RELAXED);
}

/* Gives up what the kernel has overwritten, or may be overwriting. Returns true when that was anything. */
static bool skip_overwritten(struct kernel_log_reader *reader)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint64_t written = __atomic_load_n(&reader->ring->written, __ATOMIC_ACQUIRE);
    if (written - reader->position <= QUOLL_LOG_BYTES - UNDER_CONSTRUCTION)
        return false;
    uint64_t oldest = written - (QUOLL_LOG_BYTES - UNDER_CONSTRUCTION) / 2;
    reader->lost += oldest - reader->position;
    reader->position = oldest;
    reader->skipping = true;
    return true;
}

/* Copies up to the next line feed. Returns the length, or SIZE_MAX when the line is not complete. */
static size_t copy_line(const struct kernel_log_reader *reader, char line[KERNEL_LOG_LINE])
{
    uint64_t written = __atomic_load_n(&reader->ring->written, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < KERNEL_LOG_LINE && reader->position + i < written; i++) {
        line[i] = byte_at(reader->ring, reader->position + i);
        if (line[i] == '\n')
            return i;
        if (i == KERNEL_LOG_LINE - 1)
            return KERNEL_LOG_LINE;
    }
    return SIZE_MAX;
}

size_t kernel_log_take(struct kernel_log_reader *reader, char line[KERNEL_LOG_LINE])
{
    for (;;) {
        skip_overwritten(reader);
        size_t length = copy_line(reader, line);
        if (skip_overwritten(reader))
            continue;
        if (length == SIZE_MAX)
            return SIZE_MAX;
        bool ends = length < KERNEL_LOG_LINE;
        reader->position += ends ? length + 1 : length;
        if (!reader->skipping)
            return length;
        reader->lost += ends ? length + 1 : length;
        reader->skipping = !ends;
    }
}
