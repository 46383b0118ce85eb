/* Commands in flight; see commands.h. */
#include "commands.h"
#include "barrier.h"
#include <quoll/quoll.h>

/* Giving up too early loses what RapiLog has acknowledged. */
#define COMMAND_TIMEOUT_NS 120000000000ull
#define NOT_ANSWERED 0xffu
/* A dying disk must not drown the log. */
#define LOGGED_ERRORS 16u

void commands_start(struct commands *commands, struct device *device,
                    const struct block_buffers *buffers, uint64_t *losses)
{
    *commands = (struct commands){
        .device = device,
        .buffers = buffers,
        .losses = losses,
        .count = device->queue_size / DEVICE_CHAIN,
    };
}

bool commands_full(const struct commands *commands)
{
    return commands->in_flight == commands->count;
}

/* ---- To the device ---- */

static bool is_cached(const struct commands *commands)
{
    return (commands->device->geometry.abilities & BLOCK_VOLATILE_CACHE) != 0;
}

static uint32_t type_of(const struct command *command)
{
    if (command->flushing || command->request.operation == BLOCK_FLUSH)
        return TYPE_FLUSH;
    return command->request.operation == BLOCK_WRITE ? TYPE_OUT : TYPE_IN;
}

static uint64_t physical(const struct commands *commands, const void *place)
{
    const struct device *device = commands->device;
    return device->memory_physical +
           (uint64_t)((const uint8_t *)place - (const uint8_t *)device->memory);
}

/* The chain of a command: header, data (not of a flush), status. */
static void describe(const struct commands *commands, uint32_t number, uint32_t type)
{
    struct device_memory *memory = commands->device->memory;
    const struct block_request *request = &commands->command[number].request;
    uint16_t first = (uint16_t)(number * DEVICE_CHAIN);
    struct virtio_descriptor *chain = &memory->descriptor[first];
    bool data = type != TYPE_FLUSH;
    memory->header[number] =
        (struct virtio_block_header){.type = type, .sector = data ? request->sector : 0};
    memory->status[number] = NOT_ANSWERED;
    chain[0] = (struct virtio_descriptor){
        .address = physical(commands, &memory->header[number]),
        .length = sizeof(struct virtio_block_header),
        .flags = DESCRIPTOR_NEXT,
        .next = (uint16_t)(first + (data ? 1 : 2)),
    };
    if (data)
        chain[1] = (struct virtio_descriptor){
            .address = commands->buffers->buffer[request->buffer].physical + request->offset,
            .length = request->count * BLOCK_SECTOR,
            .flags = (uint16_t)(DESCRIPTOR_NEXT | (type == TYPE_IN ? DESCRIPTOR_WRITE : 0)),
            .next = (uint16_t)(first + 2),
        };
    chain[2] = (struct virtio_descriptor){
        .address = physical(commands, &memory->status[number]),
        .length = 1,
        .flags = DESCRIPTOR_WRITE,
    };
}

static void issue(struct commands *commands, uint32_t number)
{
    struct command *command = &commands->command[number];
    struct device_memory *memory = commands->device->memory;
    command->started = quoll_now();
    describe(commands, number, type_of(command));
    memory->available[commands->available % commands->device->queue_size] =
        (uint16_t)(number * DEVICE_CHAIN);
    commands->available++;
    commands->unannounced = true;
}

void commands_begin(struct commands *commands, uint32_t client, struct block_mark mark,
                    const struct block_request *request)
{
    uint32_t number = 0;
    while (number < commands->count && commands->command[number].in_flight)
        number++;
    QUOLL_ASSERT(number < commands->count);
    commands->command[number] = (struct command){
        .request = *request,
        .mark = mark,
        .losses = *commands->losses,
        .client = (uint8_t)client,
        .in_flight = true,
    };
    commands->in_flight++;
    issue(commands, number);
}

void commands_announce(struct commands *commands)
{
    if (!commands->unannounced)
        return;
    commands->unannounced = false;
    barrier_before_doorbell();
    *(volatile uint16_t *)&commands->device->memory->available_index = commands->available;
    barrier_before_doorbell();
    *commands->device->doorbell = 0; /* the queue's number */
}

/* ---- From the device ---- */

static enum block_status status_of(struct commands *commands, uint8_t answer)
{
    if (answer == ANSWER_OK)
        return BLOCK_OK;
    if (commands->errors++ < LOGGED_ERRORS)
        quoll_log("the disk reports an error: virtio status %u", answer);
    return BLOCK_IO_ERROR;
}

static void release(struct commands *commands, uint32_t number)
{
    commands->command[number].in_flight = false;
    commands->in_flight--;
}

/* The end of the flush behind a write. A flush that has failed since the write was begun may have cost it as well. */
static enum block_status flushed_write(struct commands *commands, const struct command *command,
                                       enum block_status status)
{
    if (status != BLOCK_OK)
        (*commands->losses)++;
    else if (command->losses != *commands->losses)
        return BLOCK_IO_ERROR;
    return status;
}

static struct command_result result_of(const struct command *command, enum block_status status)
{
    return (struct command_result){
        .id = command->request.id,
        .client = command->client,
        .status = status,
        .flush = command->request.operation == BLOCK_FLUSH,
        .mark = command->mark,
    };
}

/* The number of an answered command; false when the device names none that is in flight. */
static bool find_answered(const struct commands *commands, uint32_t *number)
{
    const struct device_memory *memory = commands->device->memory;
    uint32_t place = commands->used % commands->device->queue_size;
    uint32_t id = *(const volatile uint32_t *)&memory->used[place].id;
    *number = id / DEVICE_CHAIN;
    return id % DEVICE_CHAIN == 0 && *number < commands->count &&
           commands->command[*number].in_flight;
}

enum command_event commands_next(struct commands *commands, struct command_result *result)
{
    struct device_memory *memory = commands->device->memory;
    uint32_t number;
    if (*(const volatile uint16_t *)&memory->used_index == commands->used)
        return COMMAND_NOTHING;
    barrier_after_flag();
    if (!find_answered(commands, &number))
        return COMMAND_NONSENSE;
    commands->used++;
    struct command *command = &commands->command[number];
    uint8_t answer = *(const volatile uint8_t *)&memory->status[number];
    bool durable = command->request.operation == BLOCK_WRITE &&
                   (command->request.flags & BLOCK_FUA) != 0 && is_cached(commands);
    if (answer == ANSWER_OK && durable && !command->flushing) {
        command->flushing = true;
        issue(commands, number);
        return COMMAND_GOES_ON;
    }
    enum block_status status = status_of(commands, answer);
    if (command->flushing)
        status = flushed_write(commands, command, status);
    *result = result_of(command, status);
    release(commands, number);
    return COMMAND_DONE;
}

bool commands_overdue(const struct commands *commands)
{
    uint64_t now = quoll_now(), limit = quoll_ticks_from_ns(COMMAND_TIMEOUT_NS);
    for (uint32_t i = 0; i < commands->count; i++)
        if (commands->command[i].in_flight && now - commands->command[i].started >= limit)
            return true;
    return false;
}

void commands_again(struct commands *commands)
{
    commands->available = commands->used = 0;
    (*commands->losses)++;
    for (uint32_t i = 0; i < commands->count; i++) {
        struct command *command = &commands->command[i];
        command->flushing = false;
        command->losses = *commands->losses; /* the write is carried out again, too */
        if (command->in_flight)
            issue(commands, i);
    }
}

bool commands_abandon(struct commands *commands, struct command_result *result)
{
    for (uint32_t i = 0; i < commands->count; i++) {
        const struct command *command = &commands->command[i];
        if (!command->in_flight)
            continue;
        *result = result_of(command, BLOCK_GONE);
        release(commands, i);
        return true;
    }
    return false;
}
