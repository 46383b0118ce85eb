/* What both worlds are made of; see world_parts.h. */
#include "world_parts.h"

#include <quoll/quoll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *world_trouble;
uint64_t world_cuts;

void trouble(const char *format, ...)
{
    static char message[240];
    va_list arguments;
    if (world_trouble != NULL)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    world_trouble = message;
}

void stamp_fill(uint8_t *memory, uint32_t count, uint64_t stamp)
{
    for (size_t at = 0; at < (size_t)count * BLOCK_SECTOR; at += sizeof(stamp))
        memcpy(memory + at, &stamp, sizeof(stamp));
}

uint64_t stamp_of(const uint8_t *sector)
{
    uint64_t first, last;
    memcpy(&first, sector, sizeof(first));
    memcpy(&last, sector + BLOCK_SECTOR - sizeof(last), sizeof(last));
    if (first != last)
        trouble("a sector consists of two versions");
    return first;
}

uint64_t hash_words(uint64_t hash, const void *memory, size_t size)
{
    const uint8_t *bytes = memory;
    for (size_t at = 0; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
    }
    return hash;
}

uint32_t late_write(struct late_write *late, struct buffer *buffer, uint32_t volume,
                    uint64_t number, uint64_t sector, uint32_t count, const uint8_t *data)
{
    if (late->count != 0)
        (void)__real_buffer_write(buffer, late->volume, late->number, late->sector, late->count,
                                  late->data, true);
    late->volume = volume;
    late->number = number;
    late->sector = sector;
    late->count = count;
    memcpy(late->data, data, (size_t)count * BLOCK_SECTOR);
    return count;
}

/* ---- What the engine asks for ---- */

void quoll_log(const char *format, ...) {}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return (size_t)length;
}
