/* What both worlds are made of; see world_parts.h. */
#include "world_parts.h"

#include <quoll/quoll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *world_trouble;
char world_said[400];
uint64_t world_cuts;
struct world_state world;
struct engine engine;
struct rapilog_gauges gauges;
enum world_mistake planted;

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

/* ---- Events ---- */

void parts_reset(void)
{
    memset(&world, 0, sizeof(world));
    memset(world_own.memory, 0, world_own.size);
    world.now = 1;
}

void parts_begin(enum world_mistake mistake)
{
    planted = mistake;
    world_trouble = NULL;
    parts_reset();
}

void parts_step(void)
{
    world.deadline = engine_step(&engine, world.now);
}

void parts_complete(uint32_t number, bool ok)
{
    const struct disk_command command = disk_complete(&world.disk, number, ok);
    engine_disk_done(&engine, command.volume, command.request.id, ok ? BLOCK_OK : BLOCK_IO_ERROR,
                     world.now);
}

void parts_tell_end(bool drain)
{
    if (drain)
        engine_drain(&engine);
    else
        engine_mains(&engine);
}

uint32_t parts_choices(struct world_choice choices[WORLD_CHOICES], uint32_t count, uint32_t errors,
                       uint32_t returns)
{
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++) {
        const struct disk_command *command = &world.disk.command[i];
        if (!command->used)
            continue;
        choices[count++] = (struct world_choice){CHOICE_COMPLETE, i};
        if (world.errors < errors && command->request.operation != BLOCK_READ)
            choices[count++] = (struct world_choice){CHOICE_REFUSE, i};
    }
    if (world.deadline != ENGINE_NEVER)
        choices[count++] = (struct world_choice){CHOICE_TIME, 0};
    if (!world.ended)
        choices[count++] = (struct world_choice){CHOICE_END, 0};
    else if (world.returns < returns)
        choices[count++] = (struct world_choice){CHOICE_BACK, 0};
    return count;
}

void parts_do(const struct world_choice *choice, bool drain)
{
    switch (choice->kind) {
    case CHOICE_COMPLETE:
        parts_complete(choice->command, true);
        break;
    case CHOICE_REFUSE:
        world.errors++;
        parts_complete(choice->command, false);
        break;
    case CHOICE_TIME:
        world.now = world.deadline;
        break;
    case CHOICE_END:
        world.ended = true;
        parts_tell_end(drain);
        break;
    case CHOICE_BACK:
        world.returns++;
        world.ended = world.drained = false;
        engine_mains_back(&engine);
        break;
    case CHOICE_OPERATION:
    case CHOICE_RESTART:
    case CHOICE_RESET:
        break; /* not of the disk, time or the mains */
    }
}

void parts_check_end(void)
{
    if (world.ended && !world.drained)
        trouble("\"drained\" was never signalled");
    if (!world.ended && engine.buffer.slots != 0)
        trouble("the drain stands still with %u slots in the buffer", engine.buffer.slots);
}

/* ---- Copies: the engine up to its last volume, and the world ---- */

static size_t engine_size(void)
{
    return offsetof(struct engine, volume) + world_own.volumes * sizeof(engine.volume[0]);
}

size_t world_size(void)
{
    return engine_size() + sizeof(world) + world_own.size;
}

void world_save(void *snapshot)
{
    uint8_t *to = snapshot;
    memcpy(to, &engine, engine_size());
    memcpy(to + engine_size(), &world, sizeof(world));
    memcpy(to + engine_size() + sizeof(world), world_own.memory, world_own.size);
}

void world_restore(const void *snapshot)
{
    const uint8_t *from = snapshot;
    memcpy(&engine, from, engine_size());
    memcpy(&world, from + engine_size(), sizeof(world));
    memcpy(world_own.memory, from + engine_size() + sizeof(world), world_own.size);
}

uint64_t world_hash(void)
{
    uint64_t hash = hash_words(UINT64_C(0xcbf29ce484222325), &engine, engine_size());
    hash = hash_words(hash, &world, sizeof(world));
    return hash_words(hash, world_own.memory, world_own.size);
}

/* ---- A mistake: wrapped around the buffer by the linker ---- */

uint32_t __real_buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number,
                             uint64_t sector, uint32_t count, const uint8_t *data, bool promise);
uint32_t __wrap_buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number,
                             uint64_t sector, uint32_t count, const uint8_t *data, bool promise);

static uint32_t write_late(struct late_write *late, struct buffer *buffer, uint32_t volume,
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

uint32_t __wrap_buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number,
                             uint64_t sector, uint32_t count, const uint8_t *data, bool promise)
{
    if (planted != MISTAKE_ACKNOWLEDGE_BEFORE_COPY || !promise)
        return __real_buffer_write(buffer, volume, number, sector, count, data, promise);
    return write_late(&world.late, buffer, volume, number, sector, count, data);
}

/* ---- What the engine asks for ---- */

void engine_port_serving(uint32_t volume) {}

void engine_port_refused(uint32_t volume, const char *reason)
{
    trouble("volume %u was refused: %s", volume, reason);
}

void engine_port_drained(void)
{
    if (world.drained)
        trouble("\"drained\" was signalled twice");
    world.drained = true;
}

void quoll_log(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world_said, sizeof(world_said), format, arguments);
    va_end(arguments);
}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return (size_t)length;
}
