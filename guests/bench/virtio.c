/*
 * The benchmarks' virtio driver; see virtio.h. What it marks for the plugins (tests/bench): 3 the notification, 4 the
 * interrupt taken, 5 served.
 */
#include "virtio.h"

#define SLOTS 32u
#define STRIDE 0x200u
#define FIRST_INTID 48u
#define MAGIC 0x74726976u

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
#define FEATURES_HIGH_VERSION_1 1u /* bit 32 */

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static struct {
    struct descriptor descriptors[VIRTIO_QUEUE_MOST];
    struct {
        uint16_t flags, index, ring[VIRTIO_QUEUE_MOST], event;
    } driver;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, length;
        } ring[VIRTIO_QUEUE_MOST];
        uint16_t event;
    } device __attribute__((aligned(8)));
} queue __attribute__((aligned(4096)));

static uint64_t base; /* of the open transport */
static uint32_t size; /* of the queue */
static volatile uint32_t interrupts;

static void acknowledge(uint32_t intid)
{
    MARK(4);
    write32(base + INTERRUPT_ACK, read32(base + INTERRUPT_STATUS));
    MARK(5);
    interrupts = interrupts + 1;
}

static void write_address(uint32_t offset, const volatile void *address)
{
    write32(base + offset, (uint32_t)(uint64_t)address);
    write32(base + offset + 4, (uint32_t)((uint64_t)address >> 32));
}

bool virtio_open(uint32_t type, uint32_t number, uint32_t queue_size)
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
    size = queue_size;
    write32(base + STATUS, 0);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER);
    write32(base + DRIVER_FEATURES_SELECT, 1);
    write32(base + DRIVER_FEATURES, FEATURES_HIGH_VERSION_1);
    write32(base + DRIVER_FEATURES_SELECT, 0);
    write32(base + DRIVER_FEATURES, 0);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    write32(base + QUEUE_SELECT, 0);
    write32(base + QUEUE_NUMBER, queue_size);
    write_address(QUEUE_DESCRIPTORS, queue.descriptors);
    write_address(QUEUE_DRIVER, &queue.driver);
    write_address(QUEUE_DEVICE, &queue.device);
    write32(base + QUEUE_READY, 1);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    serve_device = acknowledge;
    interrupt_enable(FIRST_INTID + slot);
    return true;
}

void virtio_close(void)
{
    write32(base + STATUS, 0);
    serve_device = NULL;
}

void virtio_describe(uint32_t index, const volatile void *place, uint32_t length, uint32_t flags)
{
    queue.descriptors[index] =
        (struct descriptor){(uint64_t)place, length, (uint16_t)flags, (uint16_t)(index + 1)};
}

void virtio_offer(uint32_t head)
{
    queue.driver.ring[queue.driver.index % size] = (uint16_t)head;
    sync();
    *(volatile uint16_t *)&queue.driver.index = (uint16_t)(queue.driver.index + 1);
}

/* Whether the device has given back up to `wanted`, and has said so. */
static bool is_answered(uint32_t before, uint16_t wanted)
{
    return interrupts != before && *(volatile uint16_t *)&queue.device.index == wanted;
}

void virtio_round_trip(bool asleep)
{
    uint32_t before = interrupts;
    uint16_t wanted = queue.driver.index;
    interrupts_off();
    sync();
    MARK(3);
    write32(base + QUEUE_NOTIFY, 0);
    while (!is_answered(before, wanted)) {
        if (asleep) {
            wait_for_interrupt();
        }
        interrupts_on();
        relax();
        interrupts_off();
    }
    interrupts_on();
}
