/*
 * A hostile virtio block device below the driver: registers, configuration, used ring and statuses, all of which change
 * between any two reads of the driver.
 *
 * What must hold: the driver touches nothing outside registers and queue memory; a geometry that it accepts is one that a disk can have;
 * descriptors name only the client's buffer and the driver's own memory; each request is answered exactly once, also over
 * a reset.
 *
 * Input: 4 bytes: offered features; 2: queue size; 2: place of the doorbell; 1: its multiplier; 1: block size and exponent; 1: how many
 * bytes of changes between reads follow; these; then steps.
 */
#include "calls.h"
#include "commands.h"
#include "hostile.h"

#define COMMON 0x000u
#define ISR 0x100u
#define CONFIG 0x200u
#define NOTIFY 0x300u
#define NOTIFY_BYTES 0x100u
#define PHYSICAL 0x80000000ull
#define DATA 0x90000000ull
#define DATA_BYTES (4ull << 20)
#define SECOND 1000000u /* calls.now counts microseconds */

static uint8_t *registers;
static struct device_memory *memory;
static struct device device;
static struct commands commands;
static struct block_buffers buffers;
static struct input *input;
static uint32_t waits;
static uint64_t losses;
static bool in_flight[256];
static uint32_t in_flight_count;

static void put(uint32_t offset, uint64_t value, uint32_t width)
{
    memcpy(registers + offset, &value, width);
}

/* While the driver waits, the device may do anything to its registers; in the end time is over. */
static uint64_t wait(void)
{
    HOLDS(++waits < 400);
    uint8_t choice = input_8(input);
    if (choice & 1)
        put(input_8(input) * 4u % 0x400, input_32(input), 4);
    else
        put(COMMON + COMMON_STATUS, 0, 1);
    calls.now += input_more(input) ? (choice >> 3) * 10000u : 20 * SECOND;
    return 1;
}

static void check_geometry(void)
{
    const struct block_geometry *geometry = &device.geometry;
    uint32_t block = geometry->physical_block;
    HOLDS(block >= 512 && block <= 65536 && (block & (block - 1)) == 0);
    HOLDS(geometry->sectors != 0 && geometry->sectors <= UINT64_MAX / BLOCK_SECTOR);
    HOLDS(geometry->max_sectors != 0 && geometry->max_sectors <= BLOCK_MAX_SECTORS);
    uint32_t unit = geometry->abilities & BLOCK_WHOLE_BLOCKS ? block / BLOCK_SECTOR : 1;
    HOLDS(geometry->sectors % unit == 0 && geometry->max_sectors % unit == 0);
    HOLDS(device.queue_size >= DEVICE_CHAIN && device.queue_size <= DEVICE_QUEUE &&
          (device.queue_size & (device.queue_size - 1)) == 0);
    uint64_t doorbell = (uint64_t)((volatile uint8_t *)device.doorbell - registers);
    HOLDS(doorbell >= NOTIFY && doorbell + 2 <= NOTIFY + NOTIFY_BYTES);
}

/* What the newest entry of the available ring makes the device do. */
static void check_chain(const struct block_request *request)
{
    uint16_t head = memory->available[(uint16_t)(commands.available - 1) % device.queue_size];
    HOLDS(head % DEVICE_CHAIN == 0 && head + 2u < device.queue_size);
    for (uint32_t i = head;; i = memory->descriptor[i].next) {
        const struct virtio_descriptor *part = &memory->descriptor[i];
        bool own = part->address - PHYSICAL < sizeof(*memory) &&
                   part->length <= sizeof(*memory) - (part->address - PHYSICAL);
        bool data = part->address - DATA < DATA_BYTES &&
                    part->length <= DATA_BYTES - (part->address - DATA);
        HOLDS(i < device.queue_size && (own || data));
        HOLDS(!data || part->length == request->count * BLOCK_SECTOR);
        HOLDS(!data || ((part->flags & 2) != 0) == (request->operation == BLOCK_READ));
        if ((part->flags & 1) == 0)
            break;
    }
}

static void ask(void)
{
    uint8_t choice = input_8(input), id = input_8(input);
    if (commands_full(&commands) || in_flight[id])
        return;
    struct block_request request = {.id = id,
                                    .operation = (uint16_t)(BLOCK_READ + choice % 3),
                                    .offset = input_8(input) * 4096ull};
    if (request.operation != BLOCK_FLUSH) {
        request.count = (choice >> 2) * 8u + 8;
        if (request.count > device.geometry.max_sectors)
            request.count = device.geometry.max_sectors;
        request.flags = request.operation == BLOCK_WRITE && (id & 1) ? BLOCK_FUA : 0;
    }
    in_flight[id] = true;
    in_flight_count++;
    commands_begin(&commands, 0, (struct block_mark){.told = losses}, &request);
    check_chain(&request);
    commands_announce(&commands);
}

static void answered(const struct command_result *result)
{
    HOLDS(result->id < 256 && in_flight[result->id] && result->status < BLOCK_STATUS_COUNT);
    in_flight[result->id] = false;
    in_flight_count--;
}

/* As the driver's main.c. False: the device is not to be believed any more. */
static bool take(void)
{
    struct command_result result;
    for (uint32_t i = 0; i < 1000; i++) {
        switch (commands_next(&commands, &result)) {
        case COMMAND_NOTHING:
            commands_announce(&commands);
            return true;
        case COMMAND_DONE:
            answered(&result);
            break;
        case COMMAND_GOES_ON:
            break;
        case COMMAND_NONSENSE:
            return false;
        }
    }
    return false;
}

static bool start_again(void)
{
    struct block_geometry before = device.geometry;
    uint32_t size = device.queue_size;
    waits = 0;
    if (device_start(&device) != NULL || device.queue_size != size ||
        memcmp(&before, &device.geometry, sizeof(before)) != 0)
        return false;
    check_geometry();
    commands_again(&commands);
    commands_announce(&commands);
    return true;
}

static void device_answers(uint32_t number, uint8_t status)
{
    memory->used[memory->used_index % device.queue_size].id = number;
    memory->used_index++;
    if (number / DEVICE_CHAIN < DEVICE_COMMANDS)
        memory->status[number / DEVICE_CHAIN] = status;
}

static bool work_step(void)
{
    uint8_t choice = input_8(input);
    switch (choice & 7) {
    case 0:
    case 1:
        device_answers((choice >> 3) % 8u * DEVICE_CHAIN, choice >> 6);
        break;
    case 2:
        device_answers(input_16(input), input_8(input));
        break;
    case 3:
        calls.now += (uint64_t)(choice >> 3) * 5 * SECOND;
        return !commands_overdue(&commands) || start_again();
    case 4:
        return take() || start_again();
    case 5:
        device_take_interrupt(&device);
        if (choice == 5 || device_needs_reset(&device))
            return start_again();
        break;
    default:
        ask();
        break;
    }
    HOLDS(commands.in_flight == in_flight_count);
    return true;
}

static void begin(struct input *bytes)
{
    if (memory == NULL) {
        registers = hostile_allocate(4096);
        memory = (struct device_memory *)(void *)hostile_allocate(sizeof(*memory));
    }
    memset(registers, 0, 0x400);
    memset(memory, 0, sizeof(*memory));
    memset(in_flight, 0, sizeof(in_flight));
    in_flight_count = waits = 0;
    calls.now = 0;
    calls.wait = wait;
    input = bytes;
    put(COMMON + COMMON_DEVICE_FEATURE, input_32(input) | 1,
        4); /* both halves read this: VERSION_1 is in it */
    put(COMMON + COMMON_QUEUE_SIZE, input_16(input), 2);
    put(COMMON + COMMON_QUEUE_NOTIFY_OFFSET, input_16(input), 2);
    uint32_t multiplier = input_8(input), blocks = input_8(input);
    put(CONFIG + CONFIG_CAPACITY, 0x800, 8);
    put(CONFIG + CONFIG_SIZE_MAX, 512u << (blocks >> 5), 4);
    put(CONFIG + CONFIG_BLOCK_SIZE, 512u << (blocks & 3), 4);
    put(CONFIG + CONFIG_PHYSICAL_EXPONENT, blocks >> 2 & 7, 1);
    hostile_begin(input_part(input, input_8(input)));
    hostile_area(registers, 4096);
    hostile_area((uint8_t *)memory, sizeof(*memory));
    buffers.buffer[0] = (struct block_buffer){NULL, DATA_BYTES, DATA};
    device = (struct device){.common = registers + COMMON,
                             .isr = registers + ISR,
                             .config = registers + CONFIG,
                             .notify = registers + NOTIFY,
                             .notify_bytes = NOTIFY_BYTES,
                             .notify_multiplier = multiplier,
                             .memory = memory,
                             .memory_physical = PHYSICAL};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input all = input_of(bytes, size);
    struct command_result result;
    begin(&all);
    const char *problem = device_start(&device);
    HOLDS(problem == NULL || strlen(problem) <= 71);
    if (problem != NULL)
        return 0;
    check_geometry();
    commands_start(&commands, &device, &buffers, &losses);
    while (input_more(input))
        if (!work_step())
            break;
    device_stop(&device);
    while (commands_abandon(&commands, &result))
        answered(&result);
    HOLDS(in_flight_count == 0 && commands.in_flight == 0);
    return 0;
}
