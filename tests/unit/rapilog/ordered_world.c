/* The world of the ordered crash-point test: the client, the engine, and what happens; see ordered_world.h. */
#include "ordered_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_SECTORS ((2 + 2 * (1 + DUMP_LEAST)) * DUMP_BLOCK_SECTORS)
#define CONTENTS (1u << 17)

static_assert(WORLD_VOLUMES * WORLD_SECTORS + DUMP_SECTORS <= DISK_PLACES, "volumes and dump area");

struct ordered_state own;
const struct world_own world_own = {&own, sizeof(own), WORLD_VOLUMES + 1};
const struct world_scenario *scenario;

/* ---- Contents: each different sector is kept once and known by its number; 0 is all zero ---- */

static uint8_t (*content)[BLOCK_SECTOR];
static uint32_t content_count, content_table[2 * CONTENTS];

uint32_t world_value(const uint8_t *sector)
{
    static const uint8_t zero[BLOCK_SECTOR];
    if (content == NULL) {
        content = calloc(CONTENTS, BLOCK_SECTOR);
        content_count = 1;
    }
    if (memcmp(sector, zero, BLOCK_SECTOR) == 0)
        return 0;
    uint32_t at = (uint32_t)(hash_words(1, sector, BLOCK_SECTOR) >> 20) % (2 * CONTENTS);
    for (; content_table[at] != 0; at = (at + 1) % (2 * CONTENTS))
        if (memcmp(content[content_table[at]], sector, BLOCK_SECTOR) == 0)
            return content_table[at];
    if (content_count == CONTENTS)
        abort();
    memcpy(content[content_count], sector, BLOCK_SECTOR);
    content_table[at] = content_count;
    return content_count++;
}

void world_fill(uint8_t *sector, uint32_t value)
{
    memcpy(sector, content[value], BLOCK_SECTOR);
}

uint64_t stamp_of_value(uint32_t value)
{
    return stamp_of(content[value]);
}

/* ---- The disk ---- */

uint32_t place_of(uint32_t volume, uint64_t sector)
{
    return volume * WORLD_SECTORS + (uint32_t)sector;
}

uint8_t *world_memory(const struct block_request *request)
{
    size_t offset = request->offset;
    return offset < sizeof(own.data) ? own.data + offset
                                     : own.journal + (offset - sizeof(own.data));
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    return disk_submit(&world.disk, volume, place_of(volume, request->sector), request) != NULL;
}

/* ---- What the engine asks for ---- */

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    if (world.ended && !scenario->drain)
        trouble("write %lu was answered after mains was lost", (unsigned long)id + 1);
    stamp_fill(own.memory[id], scenario->write[id].count, UINT64_MAX);
    own.answered++;
    own.done[id] = true;
    own.acknowledged[id] = status == BLOCK_OK;
}

/* ---- Mistakes: wrapped around the engine's parts by the linker ---- */

bool __real_buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number);
bool __wrap_buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number);
bool __real_engine_send(struct engine *with, struct engine_volume *volume,
                        const struct engine_command *like, struct block_request *request);
bool __wrap_engine_send(struct engine *with, struct engine_volume *volume,
                        const struct engine_command *like, struct block_request *request);

bool __wrap_buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number)
{
    if (!__real_buffer_seal_for_dump(buffer, volume, number))
        return false;
    if (planted == MISTAKE_DRAIN_OUT_OF_ORDER)
        buffer_place(buffer, volume);
    return true;
}

bool __wrap_engine_send(struct engine *with, struct engine_volume *volume,
                        const struct engine_command *like, struct block_request *request)
{
    if (planted == MISTAKE_FORGET_FLUSH && like->kind == ENGINE_COMMAND_JOURNAL &&
        request->operation == BLOCK_FLUSH) {
        journal_command_done(with, true);
        return true;
    }
    return __real_engine_send(with, volume, like, request);
}

/* ---- Events ---- */

static const char *name_of(uint32_t volume)
{
    if (volume > 0)
        return "log";
    return own.foreign ? "other" : "data";
}

void ordered_start(bool hold, enum kept_past past)
{
    uint32_t disks = WORLD_VOLUMES + (scenario->without_dump ? 0 : 1);
    world.disk.late_reads = true;
    const struct engine_setup setup = {
        .volume_count = WORLD_VOLUMES,
        .scratch_sectors = 64,
        .limits = {hold ? UINT64_C(1) << 39 : 0, 1, 1},
        .kept = &own.kept,
        .has_dump = !scenario->without_dump,
        .ordered = !scenario->held,
        .survives_reset = scenario->resets > 0,
        .journal_memory = own.journal,
        .journal_offset = sizeof(own.data),
        .journal_order = own.order,
        .gauges = &gauges,
    };
    engine_init(&engine, &setup, own.slot, scenario->slots != 0 ? scenario->slots : WORLD_SLOTS,
                own.bucket, BUCKETS, own.data);
    engine_restore(&engine, past);
    if (world.ended)
        parts_tell_end(scenario->drain);
    for (uint32_t number = 0; number < disks; number++) {
        /* Too small to be measured; the costs do not matter here. */
        engine_disk_ready(&engine, number, name_of(number),
                          number < WORLD_VOLUMES ? WORLD_SECTORS : DUMP_SECTORS + own.grown,
                          DISK_LARGEST, false, world.now);
        uint64_t head = number < WORLD_VOLUMES && scenario->slow_in_place ? 1000000 : 1000;
        engine.volume[number].rate = (struct rate){1000, head, 1000, true};
    }
    parts_step();
}

bool ordered_complete_first(void)
{
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (world.disk.command[i].used) {
            parts_complete(i, true);
            parts_step();
            return true;
        }
    return false;
}

static uint32_t newest_acknowledged(void)
{
    uint32_t number = WORLD_OPERATIONS;
    while (number > 0 && !own.acknowledged[number - 1])
        number--;
    return number;
}

static bool overlap(const struct world_write *one, const struct world_write *other)
{
    return one->volume == other->volume && one->sector < other->sector + other->count &&
           other->sector < one->sector + one->count;
}

static void submit(uint32_t number)
{
    const struct world_write *write = &scenario->write[number];
    const struct block_request request = {
        .id = number, .sector = write->sector, .count = write->count, .operation = BLOCK_WRITE};
    if (!own.asked[number])
        stamp_fill(own.memory[number], write->count, number + 1);
    own.asked[number] = true;
    engine_take(&engine, write->volume, &request, own.memory[number]);
}

void ordered_begin_anew(bool hold, enum kept_past past)
{
    disk_forget(&world.disk, past != KEPT_RESET);
    memset(own.asked, 0, sizeof(own.asked));
    ordered_start(hold, past);
}

static void restart(enum kept_past past)
{
    while (past == KEPT_RESET && engine_rest(&engine))
        continue;
    own.restarts += past == KEPT_RESTARTED ? 1 : 0;
    own.resets += past == KEPT_RESET ? 1 : 0;
    world.drained = false;
    for (uint32_t i = 0; i < world.next; i++)
        own.torn[i] = own.torn[i] || !own.done[i];
    ordered_begin_anew(!scenario->through, past);
}

static void ask_again(void)
{
    for (uint32_t i = 0; i < world.next; i++)
        if (!own.done[i] && !own.asked[i] && engine_can_take(&engine, 0) &&
            engine_can_take(&engine, 1)) {
            submit(i);
            parts_step();
        }
}

void world_do(const struct world_choice *choice)
{
    switch (choice->kind) {
    case CHOICE_OPERATION:
        own.after[world.next] = newest_acknowledged();
        submit(world.next++);
        break;
    case CHOICE_RESTART:
        restart(KEPT_RESTARTED);
        break;
    case CHOICE_RESET:
        restart(KEPT_RESET);
        break;
    default:
        parts_do(choice, scenario->drain);
    }
    parts_step();
    ask_again();
}

/* A client that may have to ask again has no two writes of one sector in flight: which of them is the later one would be open. */
static bool may_write(void)
{
    if (world.next == scenario->writes || world.ended || !engine_can_take(&engine, 0) ||
        !engine_can_take(&engine, 1))
        return false;
    for (uint32_t i = 0; i < world.next && scenario->restarts + scenario->resets > 0; i++)
        if (!own.done[i] && overlap(&scenario->write[i], &scenario->write[world.next]))
            return false;
    return scenario->slots == 0 || world.next == 0 || own.done[world.next - 1];
}

uint32_t world_choices(struct world_choice choices[WORLD_CHOICES])
{
    uint32_t count = 0;
    if (may_write())
        choices[count++] = (struct world_choice){CHOICE_OPERATION, 0};
    count = parts_choices(choices, count, scenario->errors, scenario->returns);
    if (scenario->stays_up && !world.ended && world.returns == scenario->returns)
        count--; /* the end is the last of them */
    if (own.restarts < scenario->restarts)
        choices[count++] = (struct world_choice){CHOICE_RESTART, 0};
    if (own.resets < scenario->resets)
        choices[count++] = (struct world_choice){CHOICE_RESET, 0};
    return count;
}

void world_begin(const struct world_scenario *with, enum world_mistake mistake)
{
    static const uint8_t zero[BLOCK_SECTOR];
    scenario = with;
    parts_begin(mistake);
    (void)world_value(zero);
    ordered_forget();
    ordered_start(!scenario->through, KEPT_NOTHING);
    while (ordered_complete_first())
        continue;
    if (engine.volume[0].state != VOLUME_SERVING)
        trouble("the volumes are not served");
}
