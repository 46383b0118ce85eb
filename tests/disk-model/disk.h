/*
 * The modelled disk: a file as the medium, the volatile cache above it, the time it all takes, and the mains.
 *
 * Thread-safe. Requests may come from several threads; a kind that serves one command at a time makes the
 * others wait. While a request waits for the disk, the mains can be cut: it then fails, and of a FLUSH just
 * what was on the medium by then stays.
 */
#ifndef DISK_MODEL_DISK_H
#define DISK_MODEL_DISK_H

#include "latency.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_options {
    const char *file;
    const struct disk_kind *kind;
    double dilation;  /* real nanoseconds per nanosecond of model time */
    bool timed_reads; /* false: reads cost nothing */
    unsigned
        survive; /* percent of unflushed sectors that reach the medium all the same at power-off */
    uint64_t seed; /* which ones; not 0 */
    bool tears;    /* what survives are whole writes, in random order, the last one torn */
    bool drops; /* a FLUSH that fails writes as much of the cache as survives, and loses the rest */
    bool lies;  /* FLUSH and durable writes are answered as soon as the cache has them */
};

#define DISK_NO_SECTOR UINT64_MAX

struct disk;

/* NULL: errno tells why the file cannot be used. */
struct disk *disk_open(const struct disk_options *options);
void disk_close(struct disk *disk);
uint64_t disk_size(const struct disk *disk);

/* 0, or an errno value: ESHUTDOWN when the mains are off, EIO for the medium, EINVAL for half sectors. */
int disk_read(struct disk *disk, void *data, uint64_t count, uint64_t offset);
int disk_write(struct disk *disk, const void *data, uint64_t count, uint64_t offset, bool durable);
int disk_flush(struct disk *disk);

/* Cutting the mains forgets the cache; until they are back every request fails with ESHUTDOWN. */
void disk_cut(struct disk *disk);
/* The same, when so many more writes and flushes have begun: at a step that the caller chooses. */
void disk_cut_after(struct disk *disk, uint64_t commands);
void disk_restore(struct disk *disk);

void disk_set_dilation(struct disk *disk, double dilation);
void disk_set_survive(struct disk *disk, unsigned percent);
/* So many of 100 writes and flushes fail with EIO from now on; a failed write may have changed its first sectors. */
void disk_set_errors(struct disk *disk, unsigned percent);
/* A sector that cannot be written, or DISK_NO_SECTOR. */
void disk_set_bad(struct disk *disk, uint64_t sector);
/* The first sector of the newest write. */
uint64_t disk_last_sector(struct disk *disk);

/* One line: what has been asked of the disk so far. */
void disk_describe(struct disk *disk, char *text, size_t room);

#endif
