/* The disk of both worlds; see world_disk.h. */
#include "world_disk.h"

#include "world_parts.h"

#include <string.h>

uint32_t disk_has(const struct world_disk *disk, uint32_t place)
{
    uint32_t value = disk->durable[place];
    for (uint32_t i = 0; i < disk->cached_count; i++)
        if (disk->cached[i].place == place)
            value = disk->cached[i].value;
    return value;
}

static uint8_t *memory_of(const struct disk_command *command, uint32_t sector)
{
    return world_memory(&command->request) + (size_t)sector * BLOCK_SECTOR;
}

static uint32_t value_at_submission(const struct world_disk *disk,
                                    const struct disk_command *command, uint32_t sector)
{
    if (command->request.operation == BLOCK_WRITE)
        return world_value(memory_of(command, sector));
    return disk->late_reads ? 0 : disk_has(disk, command->place + sector);
}

const struct disk_command *disk_submit(struct world_disk *disk, uint32_t volume, uint32_t place,
                                       const struct block_request *request)
{
    uint32_t number = 0;
    while (number < WORLD_COMMANDS && disk->command[number].used)
        number++;
    if (number == WORLD_COMMANDS || request->count > DISK_LARGEST)
        return NULL;
    struct disk_command *command = &disk->command[number];
    memset(command, 0, sizeof(*command));
    command->used = true;
    command->volume = volume;
    command->place = place;
    command->request = *request;
    command->serial = disk->serial;
    for (uint32_t i = 0; i < request->count; i++)
        command->value[i] = value_at_submission(disk, command, i);
    return command;
}

static void write_reaches_cache(struct world_disk *disk, const struct disk_command *command)
{
    disk->serial++;
    for (uint32_t i = 0; i < command->request.count; i++) {
        if (world_value(memory_of(command, i)) != command->value[i])
            trouble("the bytes of a write changed while the disk was reading them");
        if (disk->cached_count == DISK_CACHED) {
            trouble("the simulated cache is too small");
            return;
        }
        disk->cached[disk->cached_count++] =
            (struct disk_cached){command->place + i, disk->serial, command->value[i]};
    }
}

static void keep_cached(struct world_disk *disk, uint32_t count)
{
    memset(&disk->cached[count], 0, (disk->cached_count - count) * sizeof(disk->cached[0]));
    disk->cached_count = count;
}

void disk_flush(struct world_disk *disk, uint32_t serial)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < disk->cached_count; i++) {
        if (disk->cached[i].serial <= serial)
            disk->durable[disk->cached[i].place] = disk->cached[i].value;
        else
            disk->cached[kept++] = disk->cached[i];
    }
    keep_cached(disk, kept);
}

static void execute(struct world_disk *disk, const struct disk_command *command, bool ok)
{
    switch (command->request.operation) {
    case BLOCK_WRITE:
        if (ok)
            write_reaches_cache(disk, command);
        break;
    case BLOCK_READ:
        for (uint32_t i = 0; i < command->request.count; i++)
            world_fill(memory_of(command, i),
                       disk->late_reads ? disk_has(disk, command->place + i) : command->value[i]);
        break;
    default:
        if (ok)
            disk_flush(disk, command->serial);
        else
            keep_cached(disk, 0);
    }
}

struct disk_command disk_complete(struct world_disk *disk, uint32_t number, bool ok)
{
    const struct disk_command command = disk->command[number];
    execute(disk, &command, ok);
    memset(&disk->command[number], 0, sizeof(command));
    return command;
}

void disk_forget(struct world_disk *disk, bool done)
{
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (disk->command[i].used && done)
            execute(disk, &disk->command[i], true);
    memset(disk->command, 0, sizeof(disk->command));
}

/* ---- Power cuts ---- */

#define MOST_UNITS (2 * DISK_CACHED)

/* What may or may not survive: the cache, and what is in flight. */
static uint32_t collect_units(const struct world_disk *disk, struct disk_cached units[MOST_UNITS])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < disk->cached_count; i++)
        units[count++] = disk->cached[i];
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++) {
        const struct disk_command *command = &disk->command[i];
        if (!command->used || command->request.operation != BLOCK_WRITE)
            continue;
        for (uint32_t n = 0; n < command->request.count && count < MOST_UNITS; n++)
            units[count++] = (struct disk_cached){command->place + n, 0, command->value[n]};
    }
    return count;
}

uint32_t disk_least(const struct world_disk *disk, uint32_t place)
{
    static struct disk_cached units[MOST_UNITS];
    uint32_t count = collect_units(disk, units);
    uint32_t least = disk->durable[place];
    for (uint32_t i = 0; i < count; i++)
        if (units[i].place == place && units[i].value < least)
            least = units[i].value;
    return least;
}

static uint32_t cuts_of(const struct disk_cuts *cuts, uint32_t units)
{
    if (units <= cuts->few)
        return 1u << units;
    return (cuts->singles ? 3 : 1) * units + 1 + cuts->random;
}

static bool survives(const struct disk_cuts *cuts, uint32_t cut, uint32_t unit, uint32_t units,
                     uint32_t random)
{
    if (units <= cuts->few)
        return (cut >> unit & 1) != 0;
    if (cut <= units)
        return unit < cut;
    if (cuts->singles && cut <= 2 * units)
        return unit != cut - units - 1;
    if (cuts->singles && cut <= 3 * units)
        return unit == cut - 2 * units - 1;
    return random >> 31 != 0;
}

void disk_cut(const struct world_disk *disk, const struct disk_cuts *cuts,
              void (*check)(const uint32_t left[DISK_PLACES]))
{
    static struct disk_cached units[MOST_UNITS];
    uint32_t count = collect_units(disk, units);
    uint32_t all = cuts_of(cuts, count);
    uint32_t random = 1;
    for (uint32_t cut = 0; cut < all && world_trouble == NULL; cut++) {
        uint32_t left[DISK_PLACES];
        memcpy(left, disk->durable, sizeof(left));
        for (uint32_t i = 0; i < count; i++) {
            random = random * 1664525u + 1013904223u;
            if (survives(cuts, cut, i, count, random))
                left[units[i].place] = units[i].value;
        }
        check(left);
    }
}
