/*
 * The modelled disk. See disk.h.
 *
 * `lock` guards everything; it is given up only inside wait_until(), where time passes. Whoever returns from
 * there looks again whether the mains are still on. `busy` keeps the commands of a kind that serves one at a time
 * apart over such waits; it is a ticket, so they are served in order of arrival.
 *
 * The disk writes its cache to the medium only when told to (FLUSH, or the cache is full). A real one also does so
 * when idle; not doing it loses more at power-off, which is the harsher test and takes nothing from a FLUSH's cost.
 */
#define _GNU_SOURCE
#include "disk.h"
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct disk {
    struct disk_options options;
    const struct disk_kind *kind;
    int medium;
    uint64_t size;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the mains were cut, or a command is done */
    bool mains;
    uint64_t commands_left; /* until the mains are cut; 0: they are not */
    uint64_t cuts;          /* so that a request notices a cut and restore during its wait */
    uint64_t next_ticket, served_ticket;
    struct disk_arm arm;
    struct cache cache;
    unsigned errors; /* percent */
    uint64_t bad, last;
    struct {
        uint64_t reads, writes, flushes, bytes_read, bytes_written, busy_ns;
    } count;
};

static uint64_t real_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t model_now(const struct disk *disk)
{
    return (uint64_t)((double)real_now() / disk->options.dilation);
}

/* Lets time pass up to `when` (model time). False: the mains were cut meanwhile. */
static bool wait_until(struct disk *disk, uint64_t when)
{
    uint64_t cuts = disk->cuts;
    uint64_t real = (uint64_t)((double)when * disk->options.dilation);
    struct timespec deadline = {.tv_sec = (time_t)(real / 1000000000u),
                                .tv_nsec = (long)(real % 1000000000u)};
    while (disk->mains && disk->cuts == cuts && real_now() < real)
        pthread_cond_timedwait(&disk->changed, &disk->lock, &deadline);
    return disk->mains && disk->cuts == cuts;
}

/* Starts a command: waits for its turn. False: the mains are off. */
static bool command_begin(struct disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    if (!disk->kind->parallel) {
        uint64_t ticket = disk->next_ticket++;
        while (disk->served_ticket != ticket)
            pthread_cond_wait(&disk->changed, &disk->lock);
    }
    return disk->mains;
}

static int command_end(struct disk *disk, int error)
{
    if (!disk->kind->parallel)
        disk->served_ticket++;
    pthread_cond_broadcast(&disk->changed);
    pthread_mutex_unlock(&disk->lock);
    return error;
}

static int transfer_all(int file, void *data, uint64_t count, uint64_t offset, bool out)
{
    for (uint64_t done = 0; done < count;) {
        off_t at = (off_t)(offset + done);
        ssize_t moved = out ? pwrite(file, (char *)data + done, count - done, at)
                            : pread(file, (char *)data + done, count - done, at);
        if (moved <= 0)
            return EIO;
        done += (uint64_t)moved;
    }
    return 0;
}

static bool to_medium(void *context, const void *data, uint64_t count, uint64_t offset)
{
    const struct disk *disk = context;
    return transfer_all(disk->medium, (void *)(uintptr_t)data, count, offset, true) == 0;
}

/* Puts one run of neighbouring cached blocks on the medium, in the time that takes. */
static int destage_run(struct disk *disk, const uint64_t *numbers, size_t count)
{
    uint64_t start = model_now(disk);
    uint64_t when = latency_medium(disk->kind, &disk->arm, start, numbers[0] * BLOCK_BYTES,
                                   count * BLOCK_BYTES);
    if (!wait_until(disk, when))
        return ESHUTDOWN;
    for (size_t i = 0; i < count; i++)
        if (!cache_clean(&disk->cache, numbers[i], to_medium, disk))
            return EIO;
    return 0;
}

/* Empties the cache in ascending order, which is how an elevator would, beginning at the outermost track. */
static int destage(struct disk *disk)
{
    size_t count = disk->cache.count;
    if (count == 0)
        return 0;
    uint64_t *numbers = cache_sorted(&disk->cache);
    if (!numbers)
        return ENOMEM;
    int error = wait_until(disk, model_now(disk) + disk->kind->flush_ns) ? 0 : ESHUTDOWN;
    for (size_t first = 0, end; first < count && error == 0; first = end) {
        for (end = first + 1; end < count && numbers[end] == numbers[end - 1] + 1;)
            end++;
        error = destage_run(disk, numbers + first, end - first);
    }
    free(numbers);
    return error;
}

/* A write that must be durable takes its own blocks to the medium, not the whole cache. */
static int destage_range(struct disk *disk, uint64_t count, uint64_t offset)
{
    uint64_t first = offset / BLOCK_BYTES;
    size_t blocks = count ? (size_t)((offset + count - 1) / BLOCK_BYTES - first + 1) : 0;
    uint64_t *numbers = malloc((blocks + 1) * sizeof *numbers);
    if (!numbers)
        return ENOMEM;
    for (size_t i = 0; i < blocks; i++)
        numbers[i] = first + i;
    int error = wait_until(disk, model_now(disk) + disk->kind->flush_ns) ? 0 : ESHUTDOWN;
    if (error == 0 && blocks > 0)
        error = destage_run(disk, numbers, blocks);
    free(numbers);
    return error;
}

static int check_range(const struct disk *disk, uint64_t count, uint64_t offset)
{
    if (count % SECTOR_BYTES || offset % SECTOR_BYTES)
        return EINVAL;
    return offset > disk->size || count > disk->size - offset ? EINVAL : 0;
}

int disk_read(struct disk *disk, void *data, uint64_t count, uint64_t offset)
{
    int error = check_range(disk, count, offset);
    if (error)
        return error;
    if (!command_begin(disk))
        return command_end(disk, ESHUTDOWN);
    uint64_t start = real_now();
    disk->count.reads++;
    disk->count.bytes_read += count;
    if (disk->options.timed_reads) {
        uint64_t when = latency_medium(disk->kind, &disk->arm,
                                       model_now(disk) + disk->kind->read_ns, offset, count);
        if (!wait_until(disk, when + latency_transfer(count, disk->kind->interface_rate)))
            return command_end(disk, ESHUTDOWN);
    }
    error = transfer_all(disk->medium, data, count, offset, false);
    cache_read(&disk->cache, data, count, offset);
    disk->count.busy_ns += real_now() - start;
    return command_end(disk, error);
}

/* Both know that the lock is held. */
static void cut_now(struct disk *disk)
{
    disk->mains = false;
    disk->commands_left = 0;
    disk->cuts++;
    (disk->options.tears ? cache_tear : cache_forget)(&disk->cache, disk->options.survive,
                                                      &disk->options.seed, to_medium, disk);
    pthread_cond_broadcast(&disk->changed);
}

/* At the start of a write or flush. False: the mains have just been cut. */
static bool count_down(struct disk *disk)
{
    if (disk->commands_left > 0 && --disk->commands_left == 0)
        cut_now(disk);
    return disk->mains;
}

static bool hits_bad(const struct disk *disk, uint64_t count, uint64_t offset)
{
    return disk->bad != DISK_NO_SECTOR && disk->bad >= offset / SECTOR_BYTES &&
           disk->bad < (offset + count) / SECTOR_BYTES;
}

static bool is_unlucky(struct disk *disk)
{
    return disk->errors > 0 && cache_random(&disk->options.seed) % 100 < disk->errors;
}

static int write_through(struct disk *disk, const void *data, uint64_t count, uint64_t offset)
{
    return transfer_all(disk->medium, (void *)(uintptr_t)data, count, offset, true);
}

static int write_cached(struct disk *disk, const void *data, uint64_t count, uint64_t offset,
                        bool durable)
{
    if (disk->cache.dirty_bytes + count > disk->kind->cache_bytes) {
        int error = destage(disk);
        if (error)
            return error;
    }
    if (!cache_write(&disk->cache, data, count, offset))
        return ENOMEM;
    return durable && !disk->options.lies ? destage_range(disk, count, offset) : 0;
}

static int write_anyhow(struct disk *disk, const void *data, uint64_t count, uint64_t offset,
                        bool durable)
{
    return disk->kind->volatile_cache ? write_cached(disk, data, count, offset, durable)
                                      : write_through(disk, data, count, offset);
}

/* A write that fails has changed some of its first sectors, or none. */
static int write_in_vain(struct disk *disk, const void *data, uint64_t count, uint64_t offset)
{
    uint64_t most = count / SECTOR_BYTES;
    if (hits_bad(disk, count, offset))
        most = disk->bad - offset / SECTOR_BYTES;
    uint64_t sectors = cache_random(&disk->options.seed) % (most + 1);
    int error = sectors ? write_anyhow(disk, data, sectors * SECTOR_BYTES, offset, false) : 0;
    return error ? error : EIO;
}

int disk_write(struct disk *disk, const void *data, uint64_t count, uint64_t offset, bool durable)
{
    int error = check_range(disk, count, offset);
    if (error)
        return error;
    if (!command_begin(disk) || !count_down(disk))
        return command_end(disk, ESHUTDOWN);
    uint64_t start = real_now();
    disk->count.writes++;
    disk->count.bytes_written += count;
    disk->last = offset / SECTOR_BYTES;
    uint64_t when = model_now(disk) + disk->kind->command_ns +
                    latency_transfer(count, disk->kind->interface_rate);
    if (!wait_until(disk, when))
        return command_end(disk, ESHUTDOWN);
    error = is_unlucky(disk) || hits_bad(disk, count, offset)
                ? write_in_vain(disk, data, count, offset)
                : write_anyhow(disk, data, count, offset, durable);
    disk->count.busy_ns += real_now() - start;
    return command_end(disk, error);
}

static int flush_in_vain(struct disk *disk)
{
    if (disk->options.drops)
        (void)cache_forget(&disk->cache, disk->options.survive, &disk->options.seed, to_medium,
                           disk);
    return EIO;
}

int disk_flush(struct disk *disk)
{
    if (!command_begin(disk) || !count_down(disk))
        return command_end(disk, ESHUTDOWN);
    uint64_t start = real_now();
    disk->count.flushes++;
    int error = is_unlucky(disk) ? flush_in_vain(disk) : disk->options.lies ? 0 : destage(disk);
    disk->count.busy_ns += real_now() - start;
    return command_end(disk, error);
}

void disk_cut(struct disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    cut_now(disk);
    pthread_mutex_unlock(&disk->lock);
}

void disk_cut_after(struct disk *disk, uint64_t commands)
{
    pthread_mutex_lock(&disk->lock);
    disk->commands_left = commands;
    pthread_mutex_unlock(&disk->lock);
}

void disk_restore(struct disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    disk->mains = true;
    pthread_mutex_unlock(&disk->lock);
}

void disk_set_dilation(struct disk *disk, double dilation)
{
    pthread_mutex_lock(&disk->lock);
    disk->options.dilation = dilation;
    pthread_mutex_unlock(&disk->lock);
}

void disk_set_survive(struct disk *disk, unsigned percent)
{
    pthread_mutex_lock(&disk->lock);
    disk->options.survive = percent;
    pthread_mutex_unlock(&disk->lock);
}

void disk_set_errors(struct disk *disk, unsigned percent)
{
    pthread_mutex_lock(&disk->lock);
    disk->errors = percent;
    pthread_mutex_unlock(&disk->lock);
}

void disk_set_bad(struct disk *disk, uint64_t sector)
{
    pthread_mutex_lock(&disk->lock);
    disk->bad = sector;
    pthread_mutex_unlock(&disk->lock);
}

uint64_t disk_last_sector(struct disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    uint64_t last = disk->last;
    pthread_mutex_unlock(&disk->lock);
    return last;
}

uint64_t disk_size(const struct disk *disk)
{
    return disk->size;
}

void disk_describe(struct disk *disk, char *text, size_t room)
{
    pthread_mutex_lock(&disk->lock);
    snprintf(text, room,
             "disk=%s dilation=%.2f mains=%s reads=%" PRIu64 " read_bytes=%" PRIu64
             " writes=%" PRIu64 " written_bytes=%" PRIu64 " flushes=%" PRIu64
             " cached_bytes=%" PRIu64 " cuts=%" PRIu64 " busy_ms=%" PRIu64,
             disk->kind->name, disk->options.dilation, disk->mains ? "on" : "off",
             disk->count.reads, disk->count.bytes_read, disk->count.writes,
             disk->count.bytes_written, disk->count.flushes, disk->cache.dirty_bytes, disk->cuts,
             disk->count.busy_ns / 1000000);
    pthread_mutex_unlock(&disk->lock);
}

static bool open_medium(struct disk *disk)
{
    disk->medium = open(disk->options.file, O_RDWR | O_CLOEXEC);
    if (disk->medium < 0)
        return false;
    struct stat status;
    if (fstat(disk->medium, &status) < 0)
        return false;
    disk->size = (uint64_t)status.st_size / SECTOR_BYTES * SECTOR_BYTES;
    return cache_open(&disk->cache, disk->size, disk->options.tears);
}

struct disk *disk_open(const struct disk_options *options)
{
    struct disk *disk = calloc(1, sizeof *disk);
    if (!disk)
        return NULL;
    disk->options = *options;
    disk->kind = options->kind;
    disk->mains = true;
    disk->medium = -1;
    disk->bad = DISK_NO_SECTOR;
    if (!open_medium(disk)) {
        int error = errno;
        if (disk->medium >= 0)
            close(disk->medium);
        free(disk);
        errno = error;
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&disk->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&disk->lock, NULL);
    return disk;
}

void disk_close(struct disk *disk)
{
    close(disk->medium);
    cache_close(&disk->cache);
    pthread_mutex_destroy(&disk->lock);
    pthread_cond_destroy(&disk->changed);
    free(disk);
}
