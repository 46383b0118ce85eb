/*
 * Chaos: everything that a driver must not do, at random: values to every register of every device and to addresses where nothing
 * is, virtqueues full of random or nearly right descriptors that change while they are being served, random firmware
 * calls and interrupts. The machine around it must not notice.
 */
#include "attack.h"
#include "say.h"
#include "virtio.h"

#define SLOTS 12u /* virtio-mmio transports looked at */
#define SLOT_SIZE 0x200u

static struct queue queues[SLOTS] __attribute__((aligned(4096)));

static void random_access(uint64_t address)
{
    uint64_t value = random_value();
    switch (random_number() % 8) {
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
    static const uint64_t bases[] = {GIC_DISTRIBUTOR, GIC_REDISTRIBUTOR, PL011,
                                     PL011 + 0x10000, VIRTIO_MMIO,       VIRTIO_MMIO + 0x400,
                                     PL011 + 0x30000, 0x10000000,        0x4010000000,
                                     0x7fffffff000,   0x3f000000};
    static const uint64_t sizes[] = {0x10000, 0x40000, 0x1000, 0x1000, 0x1000, 0x800,
                                     0x1000,  0x10000, 0x1000, 0x1000, 0x2000};
    uint64_t which = random_number() % (sizeof(bases) / sizeof(bases[0]));
    uint64_t offset = random_number() % sizes[which];
    if (random_number() % 8 != 0) {
        offset &= ~3UL;
    }
    random_access(bases[which] + offset);
}

/* Addresses and lengths that the device refuses, or that lie in `scratch`: it may overwrite only that. */
static void random_descriptor(struct descriptor *descriptor)
{
    uint64_t address = random_value(), length = (uint32_t)random_value();
    uint64_t offset = address - (uint64_t)scratch;
    if (address - RAM < ram_size) {
        offset %= sizeof(scratch);
        address = (uint64_t)scratch + offset;
        length = random_number() % 8 == 0 ? UINT32_MAX : length % (sizeof(scratch) - offset);
    }
    *descriptor = (struct descriptor){address, (uint32_t)length, (uint16_t)(random_number() % 8),
                                      (uint16_t)(random_number() % (QUEUE_ENTRIES + 2))};
}

static void random_queue_contents(struct queue *queue)
{
    for (uint32_t i = 0; i < QUEUE_ENTRIES; i++) {
        random_descriptor(&queue->descriptors[i]);
        queue->available[2 + i] = (uint16_t)(random_number() % (QUEUE_ENTRIES + 2));
    }
    queue->available[0] = (uint16_t)(random_number() % 2);
    queue->available[1] = (uint16_t)(queue->available[1] + random_number() % (QUEUE_ENTRIES * 2));
}

/* Brings a queue up the right way most of the time, so that what is in it gets read. */
static void random_virtio(void)
{
    uint64_t index = random_number() % SLOTS;
    uint64_t slot = VIRTIO_MMIO + index * SLOT_SIZE;
    struct queue *queue = &queues[index];
    if (random_number() % 4 == 0) {
        queue->available[1] = 0;
        random_queue_contents(queue);
        virtio_start_at(slot, (uint32_t)(random_number() % 3), QUEUE_ENTRIES,
                        (uint64_t)queue->descriptors, (uint64_t)queue->available,
                        (uint64_t)&queue->used_flags);
    }
    for (uint32_t i = 0; i < 4; i++) {
        random_queue_contents(queue);
        write32(slot + VIRTIO_QUEUE_NOTIFY, (uint32_t)(random_number() % 3));
    }
}

static void random_firmware_call(void)
{
    uint64_t function = 0x84000000UL + (random_number() % 2 << 30) + random_number() % 0x60;
    uint64_t low = function & 0xff;
    /* Not CPU_OFF, SYSTEM_OFF, SYSTEM_RESET(2), CPU_SUSPEND, SYSTEM_SUSPEND: it wants to go on. */
    if (low == 2 || low == 8 || low == 9 || low == 0x12 || low == 1 || low == 0xe || low == 0xc) {
        function = random_number();
    }
    if ((function & 0xbfffffff) != 0x84000003 || random_number() % 2) {
        firmware(function, random_value(), random_value(), random_value());
    }
}

static void random_interrupt(void)
{
    uint64_t value = random_number();
    __asm__ volatile("msr S3_0_C12_C11_5, %0" ::"r"(value)); /* ICC_SGI1R_EL1 */
}

void attack_chaos(struct outcome *outcome)
{
    uint64_t end = attack_end();
    end += 3 * (end - counter()); /* the most general one */
    (void)helper_start(HELPER_CHANGE_SCRATCH);
    while (counter() < end) {
        switch (random_number() % 8) {
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
        outcome->attempts++;
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        write32(VIRTIO_MMIO + i * SLOT_SIZE + VIRTIO_STATUS, 0);
    }
    say_lost_console();
    outcome->shows =
        "models answered errors, nothing stopped, nothing asserted; the victim went on";
}
