/* Commands in flight; see transfer.h. */
#include "transfer.h"
#include <quoll/quoll.h>
#include <string.h>

/* Giving up too early loses what RapiLog has acknowledged, so this is much longer than a disk with moving parts takes to
 * start, to recover from an error of its own, or to write back a full cache. */
#define COMMAND_TIMEOUT_NS 120000000000ull
#define COMMAND_LATE_NS 10000000000ull
/* A dying disk must not drown the log. */
#define LOGGED_ERRORS 16u

void transfers_start(struct transfers *transfers, struct controller *controller,
                     const struct block_buffers *buffers, uint64_t *losses, bool flush_for_fua)
{
    *transfers = (struct transfers){
        .controller = controller,
        .buffers = buffers,
        .losses = losses,
        .flush_for_fua = flush_for_fua,
        .count = controller->io.depth - 1,
        .free_count = controller->io.depth - 1,
    };
    for (uint32_t i = 0; i < transfers->count; i++)
        transfers->free[i] = (uint8_t)i;
}

bool transfers_full(const struct transfers *transfers)
{
    return transfers->free_count == 0;
}

/* PRP entries (4.3): the first may start inside a page, the others are whole pages; from three on they are a list. */
static void describe_data(const struct controller *controller, struct nvme_command *command,
                          uint64_t address, uint64_t bytes)
{
    uint64_t first = CONTROLLER_PAGE - address % CONTROLLER_PAGE;
    command->prp1 = address;
    if (bytes <= first)
        return;
    uint64_t next = address + first;
    uint64_t rest = bytes - first;
    if (rest <= CONTROLLER_PAGE) {
        command->prp2 = next;
        return;
    }
    uint64_t *list = controller_list(controller, command->id);
    for (uint64_t done = 0; done < rest; done += CONTROLLER_PAGE)
        *list++ = next + done;
    command->prp2 = controller_list_physical(controller, command->id);
}

static struct nvme_command command_for(const struct transfers *transfers, uint32_t slot,
                                       const struct block_request *request)
{
    const struct controller *controller = transfers->controller;
    struct nvme_command command = {
        .opcode = NVME_FLUSH,
        .id = (uint16_t)slot,
        .namespace_id = controller->namespace_id,
    };
    if (request->operation == BLOCK_FLUSH)
        return command;

    uint64_t block = request->sector >> controller->sectors_shift;
    uint32_t blocks = request->count >> controller->sectors_shift;
    command.opcode = request->operation == BLOCK_WRITE ? NVME_WRITE : NVME_READ;
    command.dword10 = (uint32_t)block;
    command.dword11 = (uint32_t)(block >> 32);
    command.dword12 = blocks - 1;
    if ((request->flags & BLOCK_FUA) != 0)
        command.dword12 |= NVME_WRITE_FUA;
    describe_data(controller, &command,
                  transfers->buffers->buffer[request->buffer].physical + request->offset,
                  (uint64_t)request->count * BLOCK_SECTOR);
    return command;
}

static void issue(struct transfers *transfers, uint32_t number, const struct nvme_command *command)
{
    struct transfer_slot *slot = &transfers->slot[number];
    slot->started = quoll_now();
    slot->late = false;
    queue_put(&transfers->controller->io, command);
}

void transfer_begin(struct transfers *transfers, uint32_t client, struct block_mark mark,
                    const struct block_request *request)
{
    QUOLL_ASSERT(transfers->free_count > 0);
    uint32_t number = transfers->free[--transfers->free_count];
    bool fua = request->operation == BLOCK_WRITE && (request->flags & BLOCK_FUA) != 0;
    transfers->slot[number] = (struct transfer_slot){
        .command = command_for(transfers, number, request),
        .id = request->id,
        .mark = mark,
        .losses = *transfers->losses,
        .client = (uint8_t)client,
        .in_flight = true,
        .then_flush = fua && transfers->flush_for_fua,
    };
    transfers->in_flight++;
    issue(transfers, number, &transfers->slot[number].command);
}

static void release(struct transfers *transfers, uint32_t number)
{
    transfers->slot[number].in_flight = false;
    transfers->in_flight--;
    transfers->free[transfers->free_count++] = (uint8_t)number;
}

static enum block_status status_of(struct transfers *transfers,
                                   const struct nvme_completion *completion)
{
    uint32_t type = nvme_status_type(completion->status);
    uint32_t code = nvme_status_code(completion->status);
    uint32_t status = type << 8 | code;
    if (status == NVME_STATUS_OK)
        return BLOCK_OK;
    if (transfers->errors++ < LOGGED_ERRORS)
        quoll_log("the disk reports an error: status type %u, code 0x%02x", type, code);
    switch (status) {
    case NVME_STATUS_LBA_OUT_OF_RANGE:
        return BLOCK_OUT_OF_RANGE;
    case NVME_STATUS_WRITE_PROTECTED:
    case NVME_STATUS_READ_ONLY_RANGE:
        return BLOCK_READ_ONLY;
    default:
        return BLOCK_IO_ERROR;
    }
}

static void flush_after_write(struct transfers *transfers, uint32_t number)
{
    const struct block_request flush = {.operation = BLOCK_FLUSH};
    const struct nvme_command command = command_for(transfers, number, &flush);
    transfers->slot[number].flushing = true;
    issue(transfers, number, &command);
}

/* The end of the flush behind a write. A flush that has failed since the write was begun may have cost it as well. */
static enum block_status flushed_write(struct transfers *transfers, uint32_t number,
                                       enum block_status status)
{
    if (status != BLOCK_OK)
        (*transfers->losses)++;
    else if (transfers->slot[number].losses != *transfers->losses)
        return BLOCK_IO_ERROR;
    return status;
}

static struct transfer_result result_of(const struct transfer_slot *slot, enum block_status status)
{
    return (struct transfer_result){
        .id = slot->id,
        .client = slot->client,
        .status = status,
        .flush = slot->command.opcode == NVME_FLUSH,
        .mark = slot->mark,
    };
}

enum transfer_event transfer_next(struct transfers *transfers, struct transfer_result *result)
{
    struct nvme_completion completion;
    if (!queue_take(&transfers->controller->io, &completion))
        return TRANSFER_NOTHING;
    uint32_t number = completion.id;
    if (number >= transfers->count || !transfers->slot[number].in_flight)
        return TRANSFER_NONSENSE;
    struct transfer_slot *slot = &transfers->slot[number];
    enum block_status status = status_of(transfers, &completion);
    if (status == BLOCK_OK && slot->then_flush && !slot->flushing) {
        flush_after_write(transfers, number);
        return TRANSFER_GOES_ON;
    }
    if (slot->flushing)
        status = flushed_write(transfers, number, status);
    *result = result_of(slot, status);
    release(transfers, number);
    return TRANSFER_DONE;
}

bool transfers_overdue(struct transfers *transfers)
{
    uint64_t now = quoll_now();
    uint32_t late = 0;
    for (uint32_t i = 0; i < transfers->count; i++) {
        struct transfer_slot *slot = &transfers->slot[i];
        if (!slot->in_flight)
            continue;
        if (now - slot->started >= quoll_ticks_from_ns(COMMAND_TIMEOUT_NS))
            return true;
        if (!slot->late && now - slot->started >= quoll_ticks_from_ns(COMMAND_LATE_NS)) {
            slot->late = true;
            late++;
        }
    }
    if (late > 0)
        quoll_log("the disk is slow: %u commands have taken more than %u s so far", late,
                  (unsigned)(COMMAND_LATE_NS / 1000000000));
    return false;
}

void transfers_reissue(struct transfers *transfers)
{
    (*transfers->losses)++;
    for (uint32_t i = 0; i < transfers->count; i++) {
        struct transfer_slot *slot = &transfers->slot[i];
        slot->flushing = false;
        slot->losses = *transfers->losses; /* the write is carried out again, too */
        if (slot->in_flight)
            issue(transfers, i, &slot->command);
    }
}

bool transfer_abandon(struct transfers *transfers, struct transfer_result *result)
{
    for (uint32_t i = 0; i < transfers->count; i++) {
        const struct transfer_slot *slot = &transfers->slot[i];
        if (!slot->in_flight)
            continue;
        *result = result_of(slot, BLOCK_GONE);
        release(transfers, i);
        return true;
    }
    return false;
}
