/*
 * A guest that does everything a driver must not: for a minute it writes random values to every register of every
 * device and to addresses where nothing is, sets up virtqueues full of random or nearly right
 * descriptors and rings their doorbells, changes them while they are being served, calls random
 * firmware functions and sends random interrupts. It survives its own exceptions by skipping the instruction.
 *
 * Ends with a line that counts what it did; the machine around it must not have noticed.
 */
#include "guest.h"

#define SECONDS 60
#define SLOTS 12 /* virtio-mmio transports looked at */
#define QUEUE_ENTRIES 16

enum virtio_register {
    VIRTIO_QUEUE_SEL = 0x030,
    VIRTIO_QUEUE_NUM = 0x038,
    VIRTIO_QUEUE_READY = 0x044,
    VIRTIO_QUEUE_NOTIFY = 0x050,
    VIRTIO_STATUS = 0x070,
    VIRTIO_QUEUE_DESC = 0x080,
    VIRTIO_QUEUE_DRIVER = 0x090,
    VIRTIO_QUEUE_DEVICE = 0x0a0,
    VIRTIO_DRIVER_FEATURES = 0x020,
    VIRTIO_DRIVER_FEATURES_SEL = 0x024,
};

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct queue {
    struct descriptor descriptors[QUEUE_ENTRIES];
    uint16_t available[2 + QUEUE_ENTRIES + 1];
    uint16_t padding[13];
    uint8_t used[8 * QUEUE_ENTRIES + 8];
};

static struct queue queues[SLOTS] __attribute__((aligned(4096)));
static uint8_t data[65536] __attribute__((aligned(4096)));
static uint64_t state, exceptions;

uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    exceptions++;
    return pc + 4;
}

static uint64_t random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Near the interesting values more often than not. */
static uint64_t random_value(void)
{
    static const uint64_t shifts[] = {0, 1, 3, 7, 12, 16, 31, 32, 47, 63};
    switch (random() % 4) {
    case 0:
        return random() % 8;
    case 1:
        return (UINT64_C(1) << shifts[random() % 10]) - random() % 2;
    case 2:
        return (uint64_t)data + random() % sizeof(data);
    default:
        return random();
    }
}

static void random_access(uint64_t address)
{
    uint64_t value = random_value();
    switch (random() % 8) {
    case 0:
        __asm__ volatile("strb %w0, [%1]" ::"r"(value), "r"(address) : "memory");
        break;
    case 1:
        __asm__ volatile("strh %w0, [%1]" ::"r"(value), "r"(address) : "memory");
        break;
    case 2:
    case 3:
        __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(address) : "memory");
        break;
    case 4:
        __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(address) : "memory");
        break;
    case 5:
        __asm__ volatile("stp %0, %0, [%1]" ::"r"(value), "r"(address & ~7UL) : "memory");
        break;
    case 6:
        __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
        break;
    default:
        __asm__ volatile("ldrsb %0, [%1]" : "=r"(value) : "r"(address) : "memory");
        break;
    }
}

static void random_register(void)
{
    static const uint64_t bases[] = {GIC_DISTRIBUTOR,   GIC_REDISTRIBUTOR, PL011,
                                     PL011 + 0x10000,   VIRTIO_MMIO,       VIRTIO_MMIO + 0x400,
                                     PL011 + 0x30000,   0x10000000,        0x4010000000,
                                     0x7fffffff000,     0x3f000000};
    static const uint64_t sizes[] = {0x10000, 0x40000, 0x1000, 0x1000, 0x1000, 0x800,
                                     0x1000,  0x10000, 0x1000, 0x1000, 0x2000};
    uint64_t which = random() % (sizeof(bases) / sizeof(bases[0]));
    uint64_t offset = random() % sizes[which];
    if (random() % 8 != 0) {
        offset &= ~3UL;
    }
    random_access(bases[which] + offset);
}

static void random_queue_contents(struct queue *queue)
{
    for (uint32_t i = 0; i < QUEUE_ENTRIES; i++) {
        struct descriptor *descriptor = &queue->descriptors[i];
        descriptor->address = random_value();
        descriptor->length = (uint32_t)random_value();
        descriptor->flags = (uint16_t)(random() % 8);
        descriptor->next = (uint16_t)(random() % (QUEUE_ENTRIES + 2));
        queue->available[2 + i] = (uint16_t)(random() % (QUEUE_ENTRIES + 2));
    }
    for (uint32_t i = 0; i < 64; i++) {
        data[random() % sizeof(data)] = (uint8_t)random();
    }
    queue->available[0] = (uint16_t)(random() % 2);
    queue->available[1] = (uint16_t)(queue->available[1] + random() % (QUEUE_ENTRIES * 2));
}

/* Brings a queue up the right way, so that what is in it gets read. */
static void set_up_queue(uint64_t slot, struct queue *queue)
{
    write32(slot + VIRTIO_STATUS, 0);
    write32(slot + VIRTIO_STATUS, 1);
    write32(slot + VIRTIO_STATUS, 3);
    write32(slot + VIRTIO_DRIVER_FEATURES_SEL, 1);
    write32(slot + VIRTIO_DRIVER_FEATURES, 1); /* VIRTIO_F_VERSION_1 */
    write32(slot + VIRTIO_DRIVER_FEATURES_SEL, 0);
    write32(slot + VIRTIO_DRIVER_FEATURES, (uint32_t)random());
    write32(slot + VIRTIO_STATUS, 11);
    write32(slot + VIRTIO_QUEUE_SEL, (uint32_t)(random() % 3));
    write32(slot + VIRTIO_QUEUE_NUM, QUEUE_ENTRIES);
    write32(slot + VIRTIO_QUEUE_DESC, (uint32_t)(uint64_t)queue->descriptors);
    write32(slot + VIRTIO_QUEUE_DESC + 4, 0);
    write32(slot + VIRTIO_QUEUE_DRIVER, (uint32_t)(uint64_t)queue->available);
    write32(slot + VIRTIO_QUEUE_DRIVER + 4, 0);
    write32(slot + VIRTIO_QUEUE_DEVICE, (uint32_t)(uint64_t)queue->used);
    write32(slot + VIRTIO_QUEUE_DEVICE + 4, 0);
    write32(slot + VIRTIO_QUEUE_READY, 1);
    write32(slot + VIRTIO_STATUS, 15);
}

static void random_virtio(void)
{
    uint64_t index = random() % SLOTS;
    uint64_t slot = VIRTIO_MMIO + index * 0x200;
    struct queue *queue = &queues[index];
    if (random() % 4 == 0) {
        random_queue_contents(queue);
        set_up_queue(slot, queue);
    }
    for (uint32_t i = 0; i < 4; i++) {
        random_queue_contents(queue);
        write32(slot + VIRTIO_QUEUE_NOTIFY, (uint32_t)(random() % 3));
    }
}

static void random_firmware_call(void)
{
    uint64_t function = 0x84000000UL + (random() % 2 << 30) + random() % 0x60;
    uint64_t low = function & 0xff;
    /* Not CPU_OFF, SYSTEM_OFF, SYSTEM_RESET(2), CPU_SUSPEND, SYSTEM_SUSPEND: it wants to go on. */
    if (low == 2 || low == 8 || low == 9 || low == 0x12 || low == 1 || low == 0xe || low == 0xc) {
        function = random();
    }
    if ((function & 0xbfffffff) != 0x84000003 || random() % 2) {
        firmware(function, random_value(), random_value(), random_value());
    }
}

static void random_interrupt(void)
{
    uint64_t value = random();
    __asm__ volatile("msr s3_0_c12_c11_5, %0" ::"r"(value)); /* ICC_SGI1R_EL1 */
}

void guest_main(uint64_t device_tree)
{
    state = counter() | 1;
    __asm__ volatile("msr daifset, #0xf");
    print("chaos: begins\n");
    uint64_t end = counter() + SECONDS * counter_frequency();
    uint64_t operations = 0;
    while (counter() < end) {
        switch (random() % 8) {
        case 0:
        case 1:
        case 2:
            random_register();
            break;
        case 3:
        case 4:
        case 5:
            random_virtio();
            break;
        case 6:
            random_firmware_call();
            break;
        default:
            random_interrupt();
            break;
        }
        operations++;
    }
    print("\nchaos: done after ");
    print_number(operations);
    print(" operations, ");
    print_number(exceptions);
    print(" exceptions\n");
    power_off();
}
