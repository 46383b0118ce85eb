/*
 * A hostile NVMe controller: registers, what Identify tells, completions; and queue memory that changes between any two reads
 * of the driver.
 *
 * What must hold: the driver touches nothing outside registers and queue memory; it gives up after a bounded time; a geometry that it
 * accepts is one that a disk can have; commands name only memory of the client's buffer; each request is answered exactly once,
 * also over a reset.
 *
 * Input: 2 bytes: queue entries; 1 byte: the rest of CAP, bits 0..2 doorbell stride; 1 byte: how many bytes of changes between reads
 * follow; these; then steps of the controller while it is brought up, then of both.
 */
#include "calls.h"
#include "hostile.h"
#include "transfer.h"

#define REGISTER_BYTES 8192u
#define QUEUES 0x6000u /* of the memory: all but the PRP lists */
#define PHYSICAL 0x80000000ull
#define DATA 0x90000000ull
#define DATA_BYTES (4ull << 20)
#define SECOND 1000000u /* calls.now counts microseconds */

static uint8_t *registers, *memory;
static struct controller controller;
static struct transfers transfers;
static struct block_buffers buffers;
static struct input *input;
static uint32_t admin_head, admin_tail, io_head, io_tail, waits;
static bool in_flight[256];
static uint32_t in_flight_count;
static uint64_t losses;

static uint32_t register_read(uint32_t offset)
{
    uint32_t value;
    memcpy(&value, registers + offset, 4);
    return value;
}

static void register_write(uint32_t offset, uint32_t value)
{
    memcpy(registers + offset, &value, 4);
}

/* ---- the controller ---- */

static void complete(uint32_t ring, uint32_t depth, uint32_t *tail, uint16_t id, uint16_t status)
{
    if (depth == 0)
        return;
    uint16_t phase = (*tail / depth) % 2 == 0 ? NVME_COMPLETION_PHASE : 0;
    struct nvme_completion entry = {.id = id, .status = (uint16_t)(status << 1 | phase)};
    memcpy(memory + ring + (*tail % depth) * sizeof(entry), &entry, sizeof(entry));
    ++*tail;
}

static void identify(const struct nvme_command *command, uint8_t choice)
{
    uint8_t *answer = memory + 0x2000;
    memset(answer, 0, 4096);
    if (command->dword10 == NVME_IDENTIFY_CONTROLLER) {
        memcpy(answer + NVME_CONTROLLER_MODEL, "Hostile                                 ",
               NVME_MODEL_BYTES);
        answer[NVME_CONTROLLER_MDTS] = choice >> 3;
        answer[NVME_CONTROLLER_VWC] = choice & 1;
    } else if (command->dword10 == NVME_IDENTIFY_ACTIVE_NAMESPACES) {
        answer[0] = (choice >> 3) % 4;
    } else {
        answer[NVME_NAMESPACE_SIZE + 1] = 8;
        answer[NVME_NAMESPACE_ATTRIBUTES] = choice & 1;
        answer[NVME_NAMESPACE_FORMATS + 2] = choice & 2 ? 9 : 12;
    }
    if ((choice & 0x84) == 0x84) { /* and what it likes in it */
        uint32_t place = input_16(input) % 4096;
        answer[place] = input_8(input);
    }
}

/* Carries out what the driver rang for on the admin queue, if anything, more or less. */
static void admin_step(uint8_t choice)
{
    struct nvme_command command;
    uint32_t rung = register_read(NVME_DOORBELLS) % 16;
    if (admin_head % 16 == rung)
        return;
    memcpy(&command, memory + (admin_head++ % 16) * sizeof(command), sizeof(command));
    if (command.opcode == NVME_ADMIN_IDENTIFY)
        identify(&command, input_8(input));
    uint16_t id = choice == 0xfe ? input_8(input) : command.id;
    complete(0x1000, 16, &admin_tail, id, choice == 0xff ? input_16(input) : 0);
}

static uint64_t wait(void)
{
    HOLDS(++waits < 400);
    uint32_t before = register_read(NVME_CC);
    if (!input_more(input)) {
        calls.now += 20 * SECOND;
        return 1;
    }
    uint8_t choice = input_8(input);
    if ((before & NVME_CC_ENABLE) == 0)
        admin_head = admin_tail = io_head = io_tail = 0;
    switch (choice & 7) {
    case 0:
        calls.now += (uint64_t)(choice >> 3) * SECOND;
        break;
    case 1:
        register_write(NVME_CSTS, choice >> 3);
        break;
    case 2:
        register_write(input_8(input) * 4u, input_32(input));
        break;
    default:
        register_write(NVME_CSTS, before & NVME_CC_ENABLE ? NVME_CSTS_READY : 0);
        admin_step(choice);
        break;
    }
    return 1;
}

/* ---- the driver ---- */

static void check_geometry(void)
{
    const struct block_geometry *geometry = &controller.geometry;
    HOLDS(geometry->physical_block == 512 || geometry->physical_block == 4096);
    HOLDS(geometry->sectors != 0 && geometry->sectors <= UINT64_MAX / BLOCK_SECTOR);
    HOLDS(geometry->max_sectors != 0 && geometry->max_sectors <= BLOCK_MAX_SECTORS);
    HOLDS(memchr(geometry->name, 0, sizeof(geometry->name)) != NULL);
    HOLDS(controller.io.depth >= 2 && controller.io.depth <= CONTROLLER_DEPTH);
}

static bool in_buffer(uint64_t address, uint64_t size)
{
    return address >= DATA && size <= DATA_BYTES && address - DATA <= DATA_BYTES - size;
}

static void check_command(const struct block_request *request)
{
    uint32_t depth = controller.io.depth, index = (controller.io.tail + depth - 1) % depth;
    struct nvme_command command = controller.io.submissions[index];
    if (request->operation == BLOCK_FLUSH)
        return;
    uint64_t bytes = request->count * 512ull, first = 4096 - command.prp1 % 4096;
    first = bytes < first ? bytes : first;
    HOLDS(in_buffer(command.prp1, first));
    bytes -= first;
    if (bytes == 0)
        return;
    if (bytes <= 4096) {
        HOLDS(in_buffer(command.prp2, bytes));
        return;
    }
    uint64_t offset = command.prp2 - PHYSICAL;
    HOLDS(offset >= QUEUES && offset + (bytes + 4095) / 4096 * 8 <= NVME_QUEUES_BYTES);
    for (; bytes > 0; offset += 8) {
        uint64_t entry, part = bytes < 4096 ? bytes : 4096;
        memcpy(&entry, memory + offset, 8);
        HOLDS(entry % 4096 == 0 && in_buffer(entry, part));
        bytes -= part;
    }
}

static void ask(void)
{
    uint8_t choice = input_8(input), id = input_8(input);
    if (transfers_full(&transfers) || in_flight[id])
        return;
    uint32_t unit = controller.geometry.physical_block / BLOCK_SECTOR;
    struct block_request request = {
        .id = id, .operation = BLOCK_READ + choice % 3, .offset = input_8(input) * 512ull * unit};
    if (request.operation != BLOCK_FLUSH) {
        request.count = ((choice >> 2) * 32u + unit) / unit * unit;
        if (request.count > controller.geometry.max_sectors)
            request.count = controller.geometry.max_sectors / unit * unit;
        if (request.count == 0)
            return;
        request.flags = request.operation == BLOCK_WRITE && (id & 1) ? BLOCK_FUA : 0;
    }
    in_flight[id] = true;
    in_flight_count++;
    transfer_begin(&transfers, 0, (struct block_mark){.told = losses}, &request);
    check_command(&request);
    queue_ring(&controller.io);
}

static void answered(const struct transfer_result *result)
{
    HOLDS(result->id < 256 && in_flight[result->id] && result->status < BLOCK_STATUS_COUNT);
    in_flight[result->id] = false;
    in_flight_count--;
}

/* As main.c's take_completions(). False: the controller is not to be believed any more. */
static bool take(void)
{
    struct transfer_result result;
    for (uint32_t i = 0; i < 1000; i++) {
        switch (transfer_next(&transfers, &result)) {
        case TRANSFER_NOTHING:
            queue_release(&controller.io);
            return true;
        case TRANSFER_DONE:
            answered(&result);
            break;
        case TRANSFER_GOES_ON:
            queue_ring(&controller.io);
            break;
        case TRANSFER_NONSENSE:
            return false;
        }
    }
    return false; /* memory that changes all the time can go on for ever; a thread has its budget */
}

/* As main.c's start_again(). */
static bool start_again(void)
{
    struct block_geometry before = controller.geometry;
    uint32_t namespace_id = controller.namespace_id, depth = controller.io.depth;
    waits = 0;
    if (controller_start(&controller) != NULL ||
        memcmp(&before, &controller.geometry, sizeof(before)) != 0 ||
        namespace_id != controller.namespace_id || depth != controller.io.depth)
        return false;
    check_geometry();
    transfers_reissue(&transfers);
    return true;
}

static bool work_step(void)
{
    uint8_t choice = input_8(input);
    switch (choice & 7) {
    case 0:
        complete(0x5000, controller.io.depth, &io_tail, choice >> 3, 0);
        break;
    case 1:
        complete(0x5000, controller.io.depth, &io_tail, input_16(input), input_16(input));
        break;
    case 2:
        complete(0x5000, controller.io.depth, &io_tail,
                 (uint16_t)(transfers.count - 1 - (choice >> 3)), 0);
        break;
    case 3:
        calls.now += (uint64_t)(choice >> 3) * 5 * SECOND;
        return !transfers_overdue(&transfers) || start_again();
    case 4:
        return take() || start_again();
    case 5:
        if (choice == 5)
            return start_again();
        break;
    default:
        ask();
        break;
    }
    HOLDS(transfers.in_flight == in_flight_count);
    return true;
}

static void begin(struct input *bytes)
{
    if (memory == NULL) {
        registers = hostile_allocate(REGISTER_BYTES);
        memory = hostile_allocate(NVME_QUEUES_BYTES);
    }
    memset(registers, 0, REGISTER_BYTES);
    memset(memory, 0, QUEUES);
    memset(in_flight, 0, sizeof(in_flight));
    in_flight_count = admin_head = admin_tail = io_head = io_tail = waits = 0;
    calls.now = 0;
    calls.wait = wait;
    input = bytes;
    uint32_t entries = input_16(input);
    uint8_t capabilities = input_8(input);
    register_write(NVME_CAP, entries | (capabilities & 0x80 ? 0xff000000u : 0x01000000u));
    register_write(NVME_CAP + 4, (capabilities & 7) | (capabilities & 8 ? 0 : 1u << 5) |
                                     (uint32_t)(capabilities & 0x10) << 12);
    hostile_begin(input_part(input, input_8(input)));
    hostile_area(registers, REGISTER_BYTES);
    hostile_area(memory, QUEUES);
    buffers.buffer[0] = (struct block_buffer){NULL, DATA_BYTES, DATA};
    controller = (struct controller){.registers = registers,
                                     .register_bytes = REGISTER_BYTES,
                                     .memory = memory,
                                     .memory_physical = PHYSICAL};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input all = input_of(bytes, size);
    struct transfer_result result;
    begin(&all);
    const char *problem = controller_start(&controller);
    HOLDS(problem == NULL || strlen(problem) <= 71);
    if (problem != NULL)
        return 0;
    check_geometry();
    transfers_start(&transfers, &controller, &buffers, &losses, size & 1);
    while (input_more(input))
        if (!work_step())
            break;
    controller_stop(&controller);
    while (transfer_abandon(&transfers, &result))
        answered(&result);
    HOLDS(in_flight_count == 0 && transfers.in_flight == 0);
    return 0;
}
