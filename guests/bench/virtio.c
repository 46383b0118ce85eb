/*
 * Round trips through virtio devices (virtio 1.2, 4.2 "Virtio Over MMIO"): one request at a time in one queue, from its
 * notification to the guest's handler and back. The guest's memory is not cached (its MMU is off), so there is
 * nothing to clean; the device must see what is written, which QEMU's do.
 */
#include "bench.h"

#define SLOTS 32u
#define STRIDE 0x200u
#define FIRST_INTID 48u
#define QUEUE_SIZE 8u
#define ROUNDS 300u
#define MAGIC 0x74726976u
#define DEVICE_ENTROPY 4u
#define DEVICE_BLOCK 2u
#define BLOCK_BYTES 4096u
#define BLOCK_READ 0u
#define BLOCK_WRITE 1u
#define SECTORS_USED 2048u /* of the disk, from its start */
#define SECTOR 512u

enum register_offset {
    MAGIC_VALUE = 0x00,
    DEVICE_ID = 0x08,
    DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SELECT = 0x24,
    QUEUE_SELECT = 0x30,
    QUEUE_NUMBER = 0x38,
    QUEUE_READY = 0x44,
    QUEUE_NOTIFY = 0x50,
    INTERRUPT_STATUS = 0x60,
    INTERRUPT_ACK = 0x64,
    STATUS = 0x70,
    QUEUE_DESCRIPTORS = 0x80,
    QUEUE_DRIVER = 0x90,
    QUEUE_DEVICE = 0xa0,
};

enum status_bit { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum descriptor_flag { NEXT = 1, DEVICE_WRITES = 2 };
#define FEATURES_HIGH_VERSION_1 1u /* bit 32 */

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static struct {
    struct descriptor descriptors[QUEUE_SIZE];
    struct {
        uint16_t flags, index, ring[QUEUE_SIZE], event;
    } driver;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, length;
        } ring[QUEUE_SIZE];
        uint16_t event;
    } device __attribute__((aligned(8)));
} queue __attribute__((aligned(4096)));

static struct {
    uint32_t type, reserved;
    uint64_t sector;
} header;
static volatile uint8_t status;
static uint8_t data[BLOCK_BYTES] __attribute__((aligned(4096)));

static uint64_t base; /* of the open transport */
static volatile uint32_t interrupts;

static void acknowledge(uint32_t intid)
{
    write32(base + INTERRUPT_ACK, read32(base + INTERRUPT_STATUS));
    interrupts = interrupts + 1;
}

static void write_address(uint32_t offset, const volatile void *address)
{
    write32(base + offset, (uint32_t)(uint64_t)address);
    write32(base + offset + 4, (uint32_t)((uint64_t)address >> 32));
}

/* Opens device number `number` of that type; false: there is none. */
static bool open_device(uint32_t type, uint32_t number)
{
    uint32_t slot = 0;
    for (;; slot++) {
        if (slot == SLOTS) {
            return false;
        }
        base = VIRTIO_MMIO + slot * STRIDE;
        if (read32(base + MAGIC_VALUE) == MAGIC && read32(base + DEVICE_ID) == type &&
            number-- == 0) {
            break;
        }
    }
    memset(&queue, 0, sizeof queue);
    write32(base + STATUS, 0);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER);
    write32(base + DRIVER_FEATURES_SELECT, 1);
    write32(base + DRIVER_FEATURES, FEATURES_HIGH_VERSION_1);
    write32(base + DRIVER_FEATURES_SELECT, 0);
    write32(base + DRIVER_FEATURES, 0);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    write32(base + QUEUE_SELECT, 0);
    write32(base + QUEUE_NUMBER, QUEUE_SIZE);
    write_address(QUEUE_DESCRIPTORS, queue.descriptors);
    write_address(QUEUE_DRIVER, &queue.driver);
    write_address(QUEUE_DEVICE, &queue.device);
    write32(base + QUEUE_READY, 1);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    serve_device = acknowledge;
    interrupt_enable(FIRST_INTID + slot);
    return true;
}

static void close_device(void)
{
    write32(base + STATUS, 0);
    serve_device = NULL;
}

static void describe(uint32_t index, const volatile void *place, uint32_t length, uint32_t flags)
{
    queue.descriptors[index] =
        (struct descriptor){(uint64_t)place, length, (uint16_t)flags, (uint16_t)(index + 1)};
}

/* Sends the chain that begins at descriptor 0 and waits for the interrupt. */
static void round_trip(bool asleep)
{
    uint32_t before = interrupts;
    queue.driver.ring[queue.driver.index % QUEUE_SIZE] = 0;
    sync();
    *(volatile uint16_t *)&queue.driver.index = (uint16_t)(queue.driver.index + 1);
    sync();
    interrupts_off();
    write32(base + QUEUE_NOTIFY, 0);
    while (interrupts == before) {
        if (asleep) {
            wait_for_interrupt();
        }
        interrupts_on();
        relax();
        interrupts_off();
    }
    interrupts_on();
}

static void measure_entropy(const char *name, bool asleep)
{
    if (!open_device(DEVICE_ENTROPY, 0)) {
        return;
    }
    describe(0, data, 8, DEVICE_WRITES);
    round_trip(asleep);
    uint64_t start = counter();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        round_trip(asleep);
    }
    result(name, counter() - start, ROUNDS);
    close_device();
}

/* The CPU sleeps while the disk works, for as long as that takes; a plugin counts the instructions. */
static void measure_disk(const char *name, uint32_t number, uint32_t type)
{
    uint64_t start = 0;
    uint32_t wrong = 0;
    if (!open_device(DEVICE_BLOCK, number)) {
        return;
    }
    describe(0, &header, sizeof header, NEXT);
    describe(1, data, sizeof data, type == BLOCK_READ ? NEXT | DEVICE_WRITES : NEXT);
    describe(2, &status, 1, DEVICE_WRITES);
    for (uint32_t i = 0; i <= ROUNDS; i++) {
        if (i == 1) {
            start = counter(); /* the first is not counted */
            MARK(1);
        }
        header.type = type;
        header.sector = i * (BLOCK_BYTES / SECTOR) % SECTORS_USED;
        status = UINT8_MAX;
        round_trip(true);
        wrong += status != 0;
    }
    MARK(2);
    result(wrong == 0 ? name : "disk_errors", counter() - start, ROUNDS);
    close_device();
}

void measure_entropy_device(void)
{
    measure_entropy("device_irq_running", false);
    measure_entropy("device_irq_sleeping", true);
}

void measure_entropy_one_core(void)
{
    measure_entropy("device_irq_one_core", true);
}

void measure_disks(void)
{
    measure_disk("block_write", 0, BLOCK_WRITE);
    measure_disk("block_read", 0, BLOCK_READ);
    measure_disk("rapilog_write", 1, BLOCK_WRITE);
    measure_disk("rapilog_read", 1, BLOCK_READ);
}
