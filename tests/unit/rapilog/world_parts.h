/*
 * What both worlds are made of (world.h). A sector's content is its *stamp*, the number of the client's operation that wrote it; 0
 * at the start. The log and the formatting that the engine asks for are here, too.
 */
#ifndef WORLD_PARTS_H
#define WORLD_PARTS_H

#include "world.h"

/* What was found first; NULL: nothing. Not part of the state that can be copied: it stays until the next world_begin(). */
extern const char *world_trouble;
void __attribute__((format(printf, 1, 2))) trouble(const char *format, ...);

void stamp_fill(uint8_t *memory, uint32_t count, uint64_t stamp);
uint64_t stamp_of(const uint8_t *sector);

uint64_t hash_words(uint64_t hash, const void *memory, size_t size);

/* MISTAKE_ACKNOWLEDGE_BEFORE_COPY: a write gets into the buffer only when the next one comes. Part of the state. */
#define LATE_SECTORS 24u
struct late_write {
    uint32_t volume, count;
    uint64_t number, sector;
    uint8_t data[LATE_SECTORS * BLOCK_SECTOR];
};
uint32_t __real_buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number,
                             uint64_t sector, uint32_t count, const uint8_t *data, bool promise);
uint32_t __wrap_buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number,
                             uint64_t sector, uint32_t count, const uint8_t *data, bool promise);
uint32_t late_write(struct late_write *late, struct buffer *buffer, uint32_t volume,
                    uint64_t number, uint64_t sector, uint32_t count, const uint8_t *data);

#endif
