/* What a new engine makes of what a power cut leaves; see ordered_world.h. */
#include "ordered_parts.h"

#include <stdlib.h>
#include <string.h>

#define RESULTS (1u << 18)

uint64_t world_recoveries;
static uint32_t image[DISK_PLACES];

/* What is found once for a disk is kept. */
struct result {
    uint64_t key;
    uint8_t stamp[SECTORS];
};
static struct result *results;

void ordered_read_all(uint8_t stamp[SECTORS])
{
    uint8_t bytes[BLOCK_SECTOR];
    for (uint32_t place = 0; place < SECTORS; place++) {
        bool held;
        buffer_read(&engine.buffer, place / WORLD_SECTORS, place % WORLD_SECTORS, 1, bytes, &held);
        uint64_t seen = held ? stamp_of(bytes) : stamp_of_value(disk_has(&world.disk, place));
        stamp[place] = (uint8_t)seen;
    }
}

/* RapiLog is killed so often, each time after some commands that `when` decides. */
static void be_killed(uint32_t kills, uint32_t when)
{
    for (; kills > 0; kills--, when /= 32) {
        for (uint32_t commands = when % 32; commands > 0 && ordered_complete_first(); commands--)
            continue;
        ordered_begin_anew(false, KEPT_RESTARTED);
    }
}

/* Mains lost, and the power after so many commands more. */
static void lose_mains(uint32_t commands)
{
    engine_mains(&engine);
    parts_step();
    while (commands > 0 && ordered_complete_first())
        commands--;
}

/* Whatever was found: who writes now is answered. */
static void write_once_more(void)
{
    const struct block_request request = {.count = 1, .operation = BLOCK_WRITE};
    own.done[0] = false;
    if (engine_can_take(&engine, 0))
        engine_take(&engine, 0, &request, own.memory[0]);
    parts_step();
    while (!own.done[0] && ordered_complete_first())
        continue;
    if (!own.done[0])
        trouble("after a power cut a write is never answered");
}

/* Starts an engine on `image`, which is killed and restarted so often, and is lost after `commands` more commands, or has lost its mains
 * then (`when` is not 0); UINT32_MAX: never, then all of it gets in place. `image` is then what is there. */
static void start_on_image(uint32_t kills, uint32_t when, uint32_t commands, uint8_t stamp[SECTORS])
{
    parts_reset();
    memcpy(world.disk.durable, image, sizeof(image));
    ordered_start(false, KEPT_NOTHING);
    be_killed(kills, when);
    while (commands > 0 && engine.volume[0].state != VOLUME_SERVING && ordered_complete_first())
        commands--;
    if (engine.volume[0].state != VOLUME_SERVING && commands > 0)
        trouble("after a power cut the volumes are not served");
    if (commands > 0)
        ordered_read_all(stamp);
    while (commands > 0 && ordered_complete_first())
        commands--;
    if (commands == 0 && when != 0)
        lose_mains(when);
    if (commands > 0 && engine.buffer.slots > 0)
        trouble("after a power cut %u slots do not get in place", engine.buffer.slots);
    disk_flush(&world.disk, UINT32_MAX);
    memcpy(image, world.disk.durable, sizeof(image));
    if (commands > 0)
        write_once_more();
}

static void recover(const uint32_t left[DISK_PLACES], struct result *result)
{
    uint8_t again[SECTORS] = {0};
    const uint64_t key = result->key;
    memcpy(image, left, sizeof(image));
    start_on_image(0, (uint32_t)(key >> 36) % 16, (uint32_t)(key >> 40) % 16, again);
    start_on_image((uint32_t)(key >> 44) % 4, (uint32_t)(key >> 48), UINT32_MAX, result->stamp);
    for (uint32_t place = 0; place < SECTORS && world_trouble == NULL; place++)
        if (stamp_of_value(image[place]) != result->stamp[place])
            trouble("after a start, sector %u was read as version %u and then put in place as %lu",
                    place, result->stamp[place], (unsigned long)stamp_of_value(image[place]));
}

const uint8_t *ordered_recover(const uint32_t left[DISK_PLACES])
{
    uint64_t key = hash_words(7, left, sizeof(image)) | 1;
    uint32_t at = (uint32_t)(key >> 20) % RESULTS;
    if (results == NULL)
        results = calloc(RESULTS, sizeof(results[0]));
    while (results[at].key != 0 && results[at].key != key)
        at = (at + 1) % RESULTS;
    if (results[at].key == key)
        return results[at].stamp;
    const enum world_mistake mistake = planted;
    uint8_t *snapshot = malloc(world_size());
    world_recoveries++;
    world_save(snapshot);
    planted = MISTAKE_NONE;
    results[at].key = key;
    recover(left, &results[at]);
    planted = mistake;
    world_restore(snapshot);
    free(snapshot);
    return results[at].stamp;
}

void ordered_forget(void)
{
    if (results != NULL)
        memset(results, 0, RESULTS * sizeof(results[0]));
}
