/*
 * The named disks and the mechanics of a rotating one. See latency.h.
 *
 * Where the figures come from: the rotation follows from the speed; seeks, track length and cache are those of
 * data sheets of 1 TB desktop disks (8.5 ms average, 1 ms track to track, 150 MB/s on an average track, 64 MB).
 * fsync on a consumer NVMe SSD without power-loss protection is measured by many at 0.9 to over
 * 5 ms: 1.5 ms here, a kind one. With power-loss protection a write is safe at once, fsync takes 12 to 58 us: 20 us.
 */
#include "latency.h"

#include <string.h>

#define MICROSECOND 1000ull
#define MILLISECOND 1000000ull
#define SECOND 1000000000ull
#define MEGABYTE 1000000ull
#define ROOT_SCALE 1024u /* a square root to three decimal places */

const struct disk_kind latency_kinds[] = {
    {
        .name = "7200rpm",
        .description = "SATA disk, 7200 turns a minute, 64 MB volatile write cache",
        .volatile_cache = true,
        .rotating = true,
        .cache_bytes = 64 * MEGABYTE,
        .command_ns = 100 * MICROSECOND,
        .read_ns = 100 * MICROSECOND,
        .interface_rate = 300 * MEGABYTE,
        .rotation_ns = 60 * SECOND / 7200,
        .track_bytes = 1250000,
        .capacity = 1000000 * MEGABYTE,
        .seek_nearest_ns = 1 * MILLISECOND,
        .seek_third_ns = 8500 * MICROSECOND,
    },
    {
        .name = "consumer-ssd",
        .description = "consumer SSD without power-loss protection, volatile write cache",
        .volatile_cache = true,
        .cache_bytes = 64 * MEGABYTE,
        .command_ns = 30 * MICROSECOND,
        .read_ns = 80 * MICROSECOND,
        .interface_rate = 2000 * MEGABYTE,
        .media_rate = 450 * MEGABYTE,
        .flush_ns = 1500 * MICROSECOND,
    },
    {
        .name = "plp-nvme",
        .description = "data-centre NVMe SSD with power-loss protection, no volatile cache",
        .parallel = true,
        .command_ns = 20 * MICROSECOND,
        .read_ns = 80 * MICROSECOND,
        .interface_rate = 2000 * MEGABYTE,
    },
    {
        .name = "network-2ms",
        .description = "block device over a network, 2 ms there and back, safe when answered",
        .parallel = true,
        .command_ns = 2 * MILLISECOND,
        .read_ns = 2 * MILLISECOND,
        .interface_rate = 1000 * MEGABYTE,
    },
    {
        .name = "memory",
        .description = "no latency at all, volatile write cache; for tests",
        .volatile_cache = true,
        .cache_bytes = 64 * MEGABYTE,
    },
    {.name = NULL},
};

const struct disk_kind *latency_kind(const char *name)
{
    for (const struct disk_kind *kind = latency_kinds; kind->name; kind++)
        if (strcmp(kind->name, name) == 0)
            return kind;
    return NULL;
}

uint64_t latency_transfer(uint64_t bytes, uint64_t rate)
{
    return rate ? bytes / rate * SECOND + bytes % rate * SECOND / rate : 0;
}

static uint64_t square_root(uint64_t value)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit != 0; bit >>= 1)
        if ((root | bit) * (root | bit) <= value)
            root |= bit;
    return root;
}

/* The usual square-root law: accelerating over most of the way. */
static uint64_t seek_time(const struct disk_kind *kind, uint64_t from, uint64_t to)
{
    if (from == to)
        return 0;
    uint64_t tracks = from > to ? from - to : to - from;
    uint64_t third = kind->capacity / kind->track_bytes / 3;
    uint64_t more = (kind->seek_third_ns - kind->seek_nearest_ns) *
                    square_root(tracks * ROOT_SCALE * ROOT_SCALE / third) / ROOT_SCALE;
    return kind->seek_nearest_ns + more;
}

uint64_t latency_medium(const struct disk_kind *kind, struct disk_arm *arm, uint64_t now,
                        uint64_t offset, uint64_t bytes)
{
    if (!kind->rotating)
        return now + latency_transfer(bytes, kind->media_rate);
    uint64_t track = offset / kind->track_bytes;
    uint64_t when = now + seek_time(kind, arm->track, track);
    uint64_t angle = offset % kind->track_bytes * kind->rotation_ns / kind->track_bytes;
    uint64_t turned = when % kind->rotation_ns;
    when += (angle + kind->rotation_ns - turned) % kind->rotation_ns;
    /* Tracks are skewed so that a long transfer goes on at the medium's rate. */
    when += latency_transfer(bytes, kind->track_bytes * SECOND / kind->rotation_ns);
    arm->track = (offset + bytes - 1) / kind->track_bytes;
    return when;
}
