/* The world of the ordered crash-point test; see ordered_world.h. */
#include "ordered_world.h"

#include "kept.h"
#include "world_parts.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 4u
#define JOURNAL_BLOCKS 4u
#define DUMP_SECTORS ((2 + 2 * (1 + DUMP_LEAST)) * DUMP_BLOCK_SECTORS)
#define DISK_SECTORS (WORLD_VOLUMES * WORLD_SECTORS + DUMP_SECTORS)
#define MAX_COUNT 64u
#define CACHED 512u
#define CONTENTS (1u << 17)
#define RESULTS (1u << 18)
#define SMALL_SUBSETS 7u
#define RANDOM_SUBSETS 24u
#define SECTORS (WORLD_VOLUMES * WORLD_SECTORS)

/* ---- Contents: each different sector is kept once and known by its number; 0 is all zero ---- */

static uint8_t (*content)[BLOCK_SECTOR];
static uint32_t content_count, content_table[2 * CONTENTS];

static uint32_t content_of(const uint8_t *sector)
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

/* ---- State ---- */

struct command {
    bool used;
    uint32_t volume, serial; /* serial: FLUSH covers cached writes up to this one */
    struct block_request request;
    uint32_t content[MAX_COUNT]; /* WRITE: when submitted */
};

struct cached {
    uint32_t sector, serial, content;
};

static struct {
    struct kept_header kept;
    struct buffer_slot slot[WORLD_SLOTS];
    uint32_t bucket[BUCKETS];
    uint32_t order[WORLD_SLOTS];
    uint8_t journal[JOURNAL_BLOCKS * DUMP_BLOCK];
    uint8_t data[WORLD_SLOTS * BUFFER_BLOCK];
    uint8_t memory[WORLD_OPERATIONS][8 * BLOCK_SECTOR]; /* the client's */
    uint64_t now, deadline;

    struct command command[WORLD_COMMANDS];
    struct cached cached[CACHED];
    uint32_t cached_count, serial;
    uint32_t durable[DISK_SECTORS];
    uint32_t next, errors, returns, restarts, resets;
    bool asked[WORLD_OPERATIONS]; /* in this life of the engine */
    bool done[WORLD_OPERATIONS];
    bool acknowledged[WORLD_OPERATIONS];
    bool torn[WORLD_OPERATIONS]; /* not answered when RapiLog was restarted */
    uint32_t
        after[WORLD_OPERATIONS]; /* so many writes before it were acknowledged when it was made */
    uint32_t answered;           /* writes */
    bool ended, drained;
    struct late_write late;
} world;

static struct engine engine;
static struct rapilog_gauges gauges;
static const struct world_scenario *scenario;
static enum world_mistake mistake;

static uint32_t image[DISK_SECTORS];
uint64_t world_recoveries;

/* ---- The disk ---- */

static uint32_t place_of(uint32_t volume, uint64_t sector)
{
    return volume * WORLD_SECTORS + (uint32_t)sector;
}

static uint8_t *memory_of(const struct block_request *request)
{
    size_t offset = request->offset;
    return offset < sizeof(world.data) ? world.data + offset
                                       : world.journal + (offset - sizeof(world.data));
}

static uint32_t disk_has(uint32_t place)
{
    uint32_t has = world.durable[place];
    for (uint32_t i = 0; i < world.cached_count; i++)
        if (world.cached[i].sector == place)
            has = world.cached[i].content;
    return has;
}

static void read_into(const struct block_request *request, uint32_t volume, const uint32_t *from)
{
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t place = place_of(volume, request->sector + i);
        memcpy(memory_of(request) + (size_t)i * BLOCK_SECTOR,
               content[from != NULL ? from[place] : disk_has(place)], BLOCK_SECTOR);
    }
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    uint32_t number = 0;
    while (number < WORLD_COMMANDS && world.command[number].used)
        number++;
    if (number == WORLD_COMMANDS || request->count > MAX_COUNT)
        return false;
    struct command *command = &world.command[number];
    memset(command, 0, sizeof(*command));
    command->used = true;
    command->volume = volume;
    command->request = *request;
    command->serial = world.serial;
    for (uint32_t i = 0; i < request->count && request->operation == BLOCK_WRITE; i++)
        command->content[i] = content_of(memory_of(request) + (size_t)i * BLOCK_SECTOR);
    return true;
}

static void write_reaches_cache(const struct command *command)
{
    world.serial++;
    for (uint32_t i = 0; i < command->request.count; i++) {
        if (content_of(memory_of(&command->request) + (size_t)i * BLOCK_SECTOR) !=
            command->content[i])
            trouble("the bytes of a write changed while the disk was reading them");
        if (world.cached_count == CACHED) {
            trouble("the simulated cache is too small");
            return;
        }
        world.cached[world.cached_count++] =
            (struct cached){place_of(command->volume, command->request.sector + i), world.serial,
                            command->content[i]};
    }
}

static void flush_cache(uint32_t serial)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < world.cached_count; i++) {
        if (world.cached[i].serial <= serial)
            world.durable[world.cached[i].sector] = world.cached[i].content;
        else
            world.cached[kept++] = world.cached[i];
    }
    memset(&world.cached[kept], 0, (world.cached_count - kept) * sizeof(world.cached[0]));
    world.cached_count = kept;
}

static void execute(const struct command *command, bool ok)
{
    switch (command->request.operation) {
    case BLOCK_WRITE:
        if (ok)
            write_reaches_cache(command);
        break;
    case BLOCK_READ:
        read_into(&command->request, command->volume, NULL);
        break;
    default:
        if (ok)
            flush_cache(command->serial);
        else
            flush_cache(0), memset(world.cached, 0, sizeof(world.cached)), world.cached_count = 0;
    }
}

static void complete(uint32_t number, bool ok)
{
    const struct command command = world.command[number];
    execute(&command, ok);
    memset(&world.command[number], 0, sizeof(command));
    engine_disk_done(&engine, command.volume, command.request.id, ok ? BLOCK_OK : BLOCK_IO_ERROR,
                     world.now);
}

/* ---- What the engine asks for ---- */

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    if (world.ended && !scenario->drain)
        trouble("write %lu was answered after mains was lost", (unsigned long)id + 1);
    stamp_fill(world.memory[id], scenario->write[id].count, UINT64_MAX);
    world.answered++;
    world.done[id] = true;
    world.acknowledged[id] = status == BLOCK_OK;
}

void engine_port_serving(uint32_t volume) {}

void engine_port_refused(uint32_t volume, const char *reason)
{
    trouble("the dump area was refused");
}

void engine_port_drained(void)
{
    world.drained = true;
}

/* ---- Mistakes: wrapped around the engine's parts by the linker ---- */

bool __real_buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number);
bool __wrap_buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number);
bool __real_engine_send(struct engine *with, struct engine_volume *volume,
                        const struct engine_command *like, struct block_request *request);
bool __wrap_engine_send(struct engine *with, struct engine_volume *volume,
                        const struct engine_command *like, struct block_request *request);

uint32_t __wrap_buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number,
                             uint64_t sector, uint32_t count, const uint8_t *data, bool promise)
{
    if (mistake != MISTAKE_ACKNOWLEDGE_BEFORE_COPY || !promise)
        return __real_buffer_write(buffer, volume, number, sector, count, data, promise);
    return late_write(&world.late, buffer, volume, number, sector, count, data);
}

bool __wrap_buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number)
{
    if (!__real_buffer_seal_for_dump(buffer, volume, number))
        return false;
    if (mistake == MISTAKE_DRAIN_OUT_OF_ORDER)
        buffer_place(buffer, volume);
    return true;
}

bool __wrap_engine_send(struct engine *with, struct engine_volume *volume,
                        const struct engine_command *like, struct block_request *request)
{
    if (mistake == MISTAKE_FORGET_FLUSH && like->kind == ENGINE_COMMAND_JOURNAL &&
        request->operation == BLOCK_FLUSH) {
        journal_command_done(with, true);
        return true;
    }
    return __real_engine_send(with, volume, like, request);
}

/* ---- Events ---- */

static void tell_end(void)
{
    if (scenario->drain)
        engine_drain(&engine);
    else
        engine_mains(&engine);
}

static void start_engine(bool hold, enum kept_past past)
{
    uint32_t disks = WORLD_VOLUMES + (scenario->without_dump ? 0 : 1);
    const struct engine_setup setup = {
        .volume_count = WORLD_VOLUMES,
        .scratch_sectors = 64,
        .limits = {hold ? UINT64_C(1) << 39 : 0, 1, 1},
        .kept = &world.kept,
        .has_dump = !scenario->without_dump,
        .ordered = !scenario->held,
        .survives_reset = scenario->resets > 0,
        .journal_memory = world.journal,
        .journal_offset = sizeof(world.data),
        .journal_order = world.order,
        .gauges = &gauges,
    };
    engine_init(&engine, &setup, world.slot, WORLD_SLOTS, world.bucket, BUCKETS, world.data);
    engine_restore(&engine, past);
    if (world.ended)
        tell_end();
    for (uint32_t number = 0; number < disks; number++) {
        /* Too small to be measured; the costs do not matter here. */
        engine_disk_ready(&engine, number, number == 0 ? "data" : "log",
                          number < WORLD_VOLUMES ? WORLD_SECTORS : DUMP_SECTORS, MAX_COUNT, false,
                          world.now);
        uint64_t head = number < WORLD_VOLUMES && scenario->slow_in_place ? 1000000 : 1000;
        engine.volume[number].rate = (struct rate){1000, head, 1000, true};
    }
    world.deadline = engine_step(&engine, world.now);
}

static bool complete_first(void)
{
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (world.command[i].used) {
            complete(i, true);
            world.deadline = engine_step(&engine, world.now);
            return true;
        }
    return false;
}

static uint32_t newest_acknowledged(void)
{
    uint32_t number = WORLD_OPERATIONS;
    while (number > 0 && !world.acknowledged[number - 1])
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
    if (!world.asked[number])
        stamp_fill(world.memory[number], write->count, number + 1);
    world.asked[number] = true;
    engine_take(&engine, write->volume, &request, world.memory[number]);
}

/* RapiLog begins anew on what it finds in memory. */
static void begin_anew(bool hold, enum kept_past past)
{
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (world.command[i].used && past != KEPT_RESET)
            execute(&world.command[i], true);
    memset(world.command, 0, sizeof(world.command));
    memset(world.asked, 0, sizeof(world.asked));
    start_engine(hold, past);
}

static void restart(enum kept_past past)
{
    while (past == KEPT_RESET && engine_rest(&engine))
        continue;
    world.restarts += past == KEPT_RESTARTED ? 1 : 0;
    world.resets += past == KEPT_RESET ? 1 : 0;
    world.drained = false;
    for (uint32_t i = 0; i < world.next; i++)
        world.torn[i] = world.torn[i] || !world.done[i];
    begin_anew(!scenario->through, past);
}

static void ask_again(void)
{
    for (uint32_t i = 0; i < world.next; i++)
        if (!world.done[i] && !world.asked[i] && engine_can_take(&engine, 0) &&
            engine_can_take(&engine, 1)) {
            submit(i);
            world.deadline = engine_step(&engine, world.now);
        }
}

void world_do(const struct world_choice *choice)
{
    switch (choice->kind) {
    case CHOICE_OPERATION:
        world.after[world.next] = newest_acknowledged();
        submit(world.next++);
        break;
    case CHOICE_COMPLETE:
        complete(choice->command, true);
        break;
    case CHOICE_REFUSE:
        world.errors++;
        complete(choice->command, false);
        break;
    case CHOICE_TIME:
        world.now = world.deadline;
        break;
    case CHOICE_END:
        world.ended = true;
        tell_end();
        break;
    case CHOICE_BACK:
        world.returns++;
        world.ended = world.drained = false;
        engine_mains_back(&engine);
        break;
    case CHOICE_RESTART:
        restart(KEPT_RESTARTED);
        break;
    case CHOICE_RESET:
        restart(KEPT_RESET);
        break;
    }
    world.deadline = engine_step(&engine, world.now);
    ask_again();
}

/* A client that may have to ask again has no two writes of one sector in flight: which of them is the later one would be open. */
static bool may_write(void)
{
    if (world.next == scenario->writes || world.ended || !engine_can_take(&engine, 0) ||
        !engine_can_take(&engine, 1))
        return false;
    for (uint32_t i = 0; i < world.next && scenario->restarts + scenario->resets > 0; i++)
        if (!world.done[i] && overlap(&scenario->write[i], &scenario->write[world.next]))
            return false;
    return true;
}

uint32_t world_choices(struct world_choice choices[WORLD_CHOICES])
{
    uint32_t count = 0;
    if (may_write())
        choices[count++] = (struct world_choice){CHOICE_OPERATION, 0};
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++) {
        const struct command *command = &world.command[i];
        if (!command->used)
            continue;
        choices[count++] = (struct world_choice){CHOICE_COMPLETE, i};
        if (world.errors < scenario->errors && command->request.operation != BLOCK_READ)
            choices[count++] = (struct world_choice){CHOICE_REFUSE, i};
    }
    if (world.deadline != ENGINE_NEVER)
        choices[count++] = (struct world_choice){CHOICE_TIME, 0};
    if (!world.ended)
        choices[count++] = (struct world_choice){CHOICE_END, 0};
    else if (world.returns < scenario->returns)
        choices[count++] = (struct world_choice){CHOICE_BACK, 0};
    if (world.restarts < scenario->restarts)
        choices[count++] = (struct world_choice){CHOICE_RESTART, 0};
    if (world.resets < scenario->resets)
        choices[count++] = (struct world_choice){CHOICE_RESET, 0};
    return count;
}

/* ---- Copies ---- */

#define ENGINE_SIZE offsetof(struct engine, volume[WORLD_VOLUMES + 1])

size_t world_size(void)
{
    return ENGINE_SIZE + sizeof(world);
}

void world_save(void *snapshot)
{
    memcpy(snapshot, &engine, ENGINE_SIZE);
    memcpy((uint8_t *)snapshot + ENGINE_SIZE, &world, sizeof(world));
}

void world_restore(const void *snapshot)
{
    memcpy(&engine, snapshot, ENGINE_SIZE);
    memcpy(&world, (const uint8_t *)snapshot + ENGINE_SIZE, sizeof(world));
}

uint64_t world_hash(void)
{
    uint64_t hash = hash_words(UINT64_C(0xcbf29ce484222325), &engine, ENGINE_SIZE);
    return hash_words(hash, &world, sizeof(world));
}

/* ---- Start after a power cut ---- */

struct result {
    uint64_t key;
    uint8_t stamp[SECTORS];
};
static struct result *results;

/* What a client of the engine that has just started reads. */
static void read_all(uint8_t stamp[SECTORS])
{
    uint8_t bytes[BLOCK_SECTOR];
    for (uint32_t place = 0; place < SECTORS; place++) {
        bool held;
        buffer_read(&engine.buffer, place / WORLD_SECTORS, place % WORLD_SECTORS, 1, bytes, &held);
        stamp[place] = (uint8_t)stamp_of(held ? bytes : content[disk_has(place)]);
    }
}

/* RapiLog is killed so often, each time after some commands that `when` decides. */
static void be_killed(uint32_t kills, uint32_t when)
{
    for (; kills > 0; kills--, when /= 16) {
        for (uint32_t commands = when % 16; commands > 0 && complete_first(); commands--)
            continue;
        begin_anew(false, KEPT_RESTARTED);
    }
}

/* Starts an engine on `image`, which is killed and restarted so often, and is lost after `commands` more commands; UINT32_MAX:
 * never, then all of it gets in place. `image` is then what is there. */
static void start_on_image(uint32_t kills, uint32_t when, uint32_t commands, uint8_t stamp[SECTORS])
{
    memset(&world, 0, sizeof(world));
    world.now = 1;
    memcpy(world.durable, image, sizeof(image));
    start_engine(false, KEPT_NOTHING);
    be_killed(kills, when);
    while (commands > 0 && engine.volume[0].state != VOLUME_SERVING && complete_first())
        commands--;
    if (engine.volume[0].state != VOLUME_SERVING && commands > 0)
        trouble("after a power cut the volumes are not served");
    if (commands > 0)
        read_all(stamp);
    while (commands > 0 && complete_first())
        commands--;
    if (commands > 0 && engine.buffer.slots > 0)
        trouble("after a power cut %u slots do not get in place", engine.buffer.slots);
    flush_cache(UINT32_MAX);
    memcpy(image, world.durable, sizeof(image));
}

/* The stamps that an engine which starts on `image` serves. It is itself cut off once, and the one after that killed a few times;
 * what is in place in the end is compared. */
static const struct result *recover(void)
{
    static uint8_t snapshot[sizeof(engine) + sizeof(world)];
    uint64_t key = hash_words(7, image, sizeof(image)) | 1;
    uint32_t at = (uint32_t)(key >> 20) % RESULTS;
    if (results == NULL)
        results = calloc(RESULTS, sizeof(results[0]));
    while (results[at].key != 0 && results[at].key != key)
        at = (at + 1) % RESULTS;
    if (results[at].key == key)
        return &results[at];
    struct result *result = &results[at];
    uint8_t again[SECTORS] = {0};
    const enum world_mistake planted = mistake;
    world_recoveries++;
    world_save(snapshot);
    mistake = MISTAKE_NONE;
    start_on_image(0, 0, (uint32_t)(key >> 40) % 16, again);
    start_on_image((uint32_t)(key >> 44) % 4, (uint32_t)(key >> 48), UINT32_MAX, result->stamp);
    for (uint32_t place = 0; place < SECTORS && world_trouble == NULL; place++)
        if (stamp_of(content[image[place]]) != result->stamp[place])
            trouble("after a start, sector %u was read as version %u and then put in place as %lu",
                    place, result->stamp[place], (unsigned long)stamp_of(content[image[place]]));
    mistake = planted;
    world_restore(snapshot);
    result->key = key;
    return result;
}

/* ---- Checks ---- */

static bool covers(uint32_t number, uint32_t place)
{
    const struct world_write *write = &scenario->write[number];
    uint32_t first = place_of(write->volume, write->sector);
    return place >= first && place < first + write->count;
}

/* The newest version of a sector among the first `writes` writes, or among those of them that were acknowledged. */
static uint32_t version_after(uint32_t place, uint32_t writes, bool acknowledged)
{
    uint32_t version = 0;
    for (uint32_t i = 0; i < writes; i++)
        if (covers(i, place) && (!acknowledged || world.acknowledged[i]))
            version = i + 1;
    return version;
}

/* Of a write that was not answered when RapiLog was restarted, what had taken the place of promised sectors was kept and the rest
 * not: as of any write in flight, a part may be there, but only with everything that was acknowledged before it was made. */
static bool may_be_torn(uint32_t version, uint32_t writes)
{
    return world.torn[version - 1] && world.after[version - 1] <= writes;
}

/* All of the first `writes` writes and nothing later. A write that was answered with an error, or not yet, may be missing where
 * that can come about: with disk errors, or when it is acknowledged later than what came after it. */
static bool is_state_after(const uint8_t stamp[SECTORS], uint32_t writes)
{
    bool lenient = scenario->errors > 0 || scenario->through || scenario->returns > 0 ||
                   scenario->restarts > 0 || scenario->resets > 0;
    for (uint32_t place = 0; place < SECTORS; place++)
        if ((stamp[place] > version_after(place, writes, false) &&
             !may_be_torn(stamp[place], writes)) ||
            stamp[place] < version_after(place, writes, lenient))
            return false;
    return true;
}

static void check_lost(const uint8_t stamp[SECTORS])
{
    for (uint32_t place = 0; place < SECTORS; place++)
        if (stamp[place] < version_after(place, world.next, true))
            trouble("power off after \"drained\": sector %u has version %u, acknowledged was %u",
                    place, stamp[place], version_after(place, world.next, true));
}

/* After a clean end nobody needs the dump area to read the volumes. */
static void check_in_place(void)
{
    for (uint32_t place = 0; place < SECTORS; place++) {
        uint64_t stamp = stamp_of(content[image[place]]);
        if (stamp < version_after(place, world.next, true))
            trouble("power off after a clean end: sector %u has version %lu in place, acknowledged "
                    "was %u",
                    place, (unsigned long)stamp, version_after(place, world.next, true));
    }
}

static void check_cut(void)
{
    world_cuts++;
    if (world.drained && scenario->drain)
        check_in_place();
    const struct result *result = recover();
    if (world.drained)
        check_lost(result->stamp);
    if (scenario->held)
        return;
    for (uint32_t writes = 0; writes <= world.next; writes++)
        if (is_state_after(result->stamp, writes))
            return;
    trouble("after a cut with %u writes the volumes hold no prefix of them", world.next);
}

static uint32_t collect_units(struct cached units[static 2 * CACHED])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world.cached_count; i++)
        units[count++] = world.cached[i];
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++) {
        const struct command *command = &world.command[i];
        if (!command->used || command->request.operation != BLOCK_WRITE)
            continue;
        for (uint32_t n = 0; n < command->request.count && count < 2 * CACHED; n++)
            units[count++] = (struct cached){place_of(command->volume, command->request.sector + n),
                                             0, command->content[n]};
    }
    return count;
}

/* Few units: every subset. Many: every beginning, every one alone missing, every one alone there, and some at random. */
static bool survives(uint32_t cut, uint32_t unit, uint32_t count, uint32_t random)
{
    if (count <= SMALL_SUBSETS)
        return (cut >> unit & 1) != 0;
    if (cut <= count)
        return unit < cut;
    if (cut <= 2 * count)
        return unit != cut - count - 1;
    if (cut <= 3 * count)
        return unit == cut - 2 * count - 1;
    return random >> 31 != 0;
}

static void check_cuts(void)
{
    static struct cached units[2 * CACHED];
    uint32_t count = collect_units(units);
    uint32_t cuts = count <= SMALL_SUBSETS ? 1u << count : 3 * count + 1 + RANDOM_SUBSETS;
    uint32_t random = 1;
    for (uint32_t cut = 0; cut < cuts && world_trouble == NULL; cut++) {
        memcpy(image, world.durable, sizeof(image));
        for (uint32_t i = 0; i < count; i++) {
            random = random * 1664525u + 1013904223u;
            if (survives(cut, i, count, random))
                image[units[i].sector] = units[i].content;
        }
        check_cut();
    }
}

static void check_reads(void)
{
    uint8_t stamp[SECTORS];
    if (engine.volume[0].state != VOLUME_SERVING)
        return;
    read_all(stamp);
    for (uint32_t place = 0; place < SECTORS; place++)
        if (stamp[place] < version_after(place, world.next, true))
            trouble("sector %u reads as version %u, acknowledged was %u", place, stamp[place],
                    version_after(place, world.next, true));
}

const char *world_check(void)
{
    check_reads();
    check_cuts();
    return world_trouble;
}

const char *world_check_end(void)
{
    if (world.ended && !world.drained)
        trouble("\"drained\" was never signalled");
    if (world.answered < world.next && (!world.ended || scenario->drain))
        trouble("a write was never answered");
    if (!world.ended && engine.buffer.slots != 0)
        trouble("the drain stands still with %u slots in the buffer", engine.buffer.slots);
    return world_trouble;
}

/* ---- Begin ---- */

void world_begin(const struct world_scenario *with, enum world_mistake planted)
{
    static const uint8_t zero[BLOCK_SECTOR];
    scenario = with;
    mistake = planted;
    world_trouble = NULL;
    (void)content_of(zero);
    if (results != NULL)
        memset(results, 0, RESULTS * sizeof(results[0]));
    memset(&world, 0, sizeof(world));
    world.now = 1;
    start_engine(!scenario->through, KEPT_NOTHING);
    while (complete_first())
        continue;
    if (engine.volume[0].state != VOLUME_SERVING)
        trouble("the volumes are not served");
}
