/*
 * Attacks on device models through virtqueues: descriptors, tables and rings with everything in them that a driver must not put
 * there. What a device may do is refuse the queue (DEVICE_NEEDS_RESET) or answer with an error; what it may not is touch memory outside of
 * this VM, hang, or stop working for its next driver.
 */
#include "attack.h"
#include "say.h"
#include "virtio.h"

#define WAIT_MILLISECONDS 1000u
#define INPUT_MILLISECONDS 1u /* nothing to read: no answer is right */
#define KINDS 4u

static struct queue queue __attribute__((aligned(4096)));
static struct block_header header;
static uint64_t slots[VIRTIO_ENTROPY + 1]; /* by device */
static volatile uint8_t status;

struct target {
    enum virtio_id id;
    uint32_t number; /* of the queue */
};
static const struct target targets[KINDS] = {
    {VIRTIO_BLOCK, 0}, {VIRTIO_ENTROPY, 0}, {VIRTIO_CONSOLE, 1}, {VIRTIO_CONSOLE, 0}};

/* The device is asked with the chain at `head`: true when it refused or answered an error. */
static bool refuses(struct virtio *device, uint16_t head, uint64_t milliseconds)
{
    virtio_offer(device, head);
    switch (virtio_wait(device, milliseconds)) {
    case VIRTIO_BROKEN:
        return true;
    case VIRTIO_USED:
        return status != BLOCK_OK;
    default:
        return false;
    }
}

/* A good request is served: the device is none the worse. */
static void check_disk_works(struct outcome *outcome)
{
    struct virtio device;
    uint64_t slot = virtio_find(VIRTIO_BLOCK);
    virtio_start(&device, slot, 0, &queue);
    outcome_add(outcome, block_request(&device, BLOCK_GET_ID, 0, scratch, 20) == BLOCK_OK,
                "the disk does not work any more", slot);
}

static const uint32_t lengths[] = {512, 1, 4096, 65536, 0x10000000, UINT32_MAX};

/* One descriptor that the device must not follow, in the data part of an else good request, for reading and for writing. */
static void bad_descriptor(struct outcome *outcome, const struct target *target, uint64_t address,
                           uint32_t length, bool write)
{
    struct virtio device;
    uint64_t slot = slots[target->id];
    virtio_start(&device, slot, target->number, &queue);
    status = BLOCK_NO_ANSWER;
    if (target->id == VIRTIO_BLOCK) {
        header = (struct block_header){write ? BLOCK_OUT : BLOCK_IN, 0, 0};
        block_describe(&device, 0, &header, (void *)address, length, &status);
    } else {
        uint16_t direction = target->number == 0 ? WRITE : 0;
        queue.descriptors[0] = (struct descriptor){address, length, direction, 0};
    }
    bool input = target->id == VIRTIO_CONSOLE && target->number == 0;
    bool refused = refuses(&device, 0, input ? INPUT_MILLISECONDS : WAIT_MILLISECONDS);
    outcome_add(outcome, refused || input, "a device followed a descriptor out of this VM",
                address);
}

void attack_descriptors_outside(struct outcome *outcome)
{
    for (enum virtio_id id = VIRTIO_BLOCK; id <= VIRTIO_ENTROPY; id++) {
        slots[id] = virtio_find(id);
    }
    uint64_t end = RAM + ram_size;
    const struct descriptor edges[] = {
        {end, 512, 0, 0},
        {end - 256, 4096, 0, 0},
        {end - 1, 512, 0, 0},
        {RAM - 1, 512, 0, 0},
        {RAM - 256, 4096, 0, 0},
        {0, 512, 0, 0},
        {UINT64_MAX, 512, 0, 0},
        {UINT64_MAX - 511, 512, 0, 0},         /* base + length is 0 */
        {UINT64_MAX - 4095, RAM + 8192, 0, 0}, /* ... or in RAM again */
        {RAM + 4096, UINT32_MAX, 0, 0},
        {UINT64_C(1) << 63, 512, 0, 0},
        {UINT64_C(1) << 40 | RAM, 512, 0, 0},
        {UINT64_C(1) << 32 | RAM, 512, 0, 0},
    };
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        for (uint32_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
            bool wraps = edges[i].address + edges[i].length < edges[i].address;
            if (!wraps && kind != 0 && is_left_out()) {
                continue;
            }
            bad_descriptor(outcome, &targets[kind], edges[i].address, edges[i].length, i % 2);
        }
        for (uint32_t i = 0; i < 20; i++) {
            uint64_t address = probe_address((uint32_t)random_number() % 200);
            if (address - RAM < ram_size || is_left_out()) {
                continue;
            }
            bad_descriptor(outcome, &targets[kind], address, lengths[i % 6], i % 2);
        }
    }
    say_lost_console();
    check_disk_works(outcome);
    outcome->shows =
        "the model checks base and length against RAM: DEVICE_NEEDS_RESET, nothing copied";
}

/* Links of the chain of a disk request, bent; the device must come to an end. */
static void bent_chain(struct virtio *device, uint32_t n)
{
    struct descriptor *chain = queue.descriptors;
    header = (struct block_header){BLOCK_OUT, 0, 0};
    block_describe(device, 0, &header, scratch, SECTOR, &status);
    switch (n) {
    case 0: /* itself */
        chain[0].next = 0;
        break;
    case 1: /* back to the first */
        chain[2] = (struct descriptor){(uint64_t)&status, 1, NEXT, 0};
        break;
    case 2: /* all of the table in a ring */
        for (uint16_t i = 1; i < QUEUE_ENTRIES; i++) {
            chain[i] = (struct descriptor){(uint64_t)scratch, 16, NEXT,
                                           (uint16_t)((i + 1) % QUEUE_ENTRIES)};
        }
        break;
    case 3:
        chain[1].next = QUEUE_ENTRIES;
        break;
    case 4:
        chain[1].next = UINT16_MAX;
        break;
    case 5: /* what the device writes before what it reads */
        chain[0].flags |= WRITE;
        break;
    case 6: /* no place for the answer */
        chain[1].flags = 0;
        break;
    case 7: /* no header */
        chain[0].length = 3;
        break;
    case 8: /* ring of indirect ones */
        chain[0] = (struct descriptor){(uint64_t)chain, 16, INDIRECT, 0};
        break;
    case 9: /* nothing at all */
        chain[0].length = chain[1].length = chain[2].length = 0;
        break;
    default: /* every flag there is and is not */
        chain[0].flags = (uint16_t)(1u << n % 16 | NEXT | WRITE);
        break;
    }
}

void attack_descriptor_loops(struct outcome *outcome)
{
    struct virtio device;
    uint64_t slot = virtio_find(VIRTIO_BLOCK);
    for (uint32_t n = 0; n < 26; n++) {
        virtio_start(&device, slot, 0, &queue);
        bent_chain(&device, n);
        outcome_add(outcome, refuses(&device, 0, WAIT_MILLISECONDS), "a bent chain was served", n);
    }
    static const uint16_t heads[] = {QUEUE_ENTRIES, QUEUE_ENTRIES + 1, 255, 256,
                                     0x8000,        UINT16_MAX};
    for (uint32_t i = 0; i < 6; i++) {
        virtio_start(&device, slot, 0, &queue);
        status = BLOCK_NO_ANSWER;
        outcome_add(outcome, refuses(&device, heads[i], WAIT_MILLISECONDS),
                    "a head outside of the table was served", heads[i]);
    }
    for (uint32_t jump = QUEUE_ENTRIES + 1; jump < UINT16_MAX; jump = jump * 2 + 1) {
        virtio_start(&device, slot, 0, &queue);
        queue.available[1] = (uint16_t)(jump - 1); /* more than the ring holds */
        status = BLOCK_NO_ANSWER;
        outcome_add(outcome, refuses(&device, 0, WAIT_MILLISECONDS),
                    "an available index that jumps was followed", jump);
    }
    check_disk_works(outcome);
    outcome->shows = "walks are bounded and checked at each step: DEVICE_NEEDS_RESET";
}

void attack_indirect(struct outcome *outcome)
{
    struct virtio device;
    uint64_t slot = virtio_find(VIRTIO_BLOCK), end = RAM + ram_size;
    struct descriptor *table = (struct descriptor *)(void *)scratch;
    const struct descriptor bad[] = {
        {(uint64_t)table, 0, INDIRECT, 0},
        {(uint64_t)table, 1, INDIRECT, 0},
        {(uint64_t)table, 17, INDIRECT, 0},
        {(uint64_t)table, 16, INDIRECT, 0}, /* its own entry is indirect again */
        {(uint64_t)table, 48, INDIRECT | NEXT, 1},
        {(uint64_t)table, UINT32_MAX & ~15u, INDIRECT, 0},
        {end, 16, INDIRECT, 0},
        {end - 16, 32, INDIRECT, 0},
        {end - 8, 16, INDIRECT, 0},
        {0, 4096, INDIRECT, 0},
        {GIC_DISTRIBUTOR, 4096, INDIRECT, 0},
        {PL011, 4096, INDIRECT, 0},
        {UINT64_MAX - 15, 16, INDIRECT, 0},
        {UINT64_MAX - 15, 4096, INDIRECT, 0},
        {(1UL << 40) | RAM, 48, INDIRECT, 0},
    };
    for (uint32_t n = 0; n < 2 * sizeof(bad) / sizeof(bad[0]); n++) {
        virtio_start(&device, slot, 0, &queue);
        for (uint16_t i = 0; i < 64; i++) { /* a long ring of tables that lead to each other */
            uint16_t flags = n % 2 ? INDIRECT : NEXT;
            table[i] = (struct descriptor){(uint64_t)table, 48, flags, (uint16_t)((i + 1) % 64)};
        }
        status = BLOCK_NO_ANSWER;
        queue.descriptors[0] = bad[n / 2];
        outcome_add(outcome, refuses(&device, 0, WAIT_MILLISECONDS),
                    "a bad indirect table was followed", n / 2);
    }
    /* A good request, but two levels down. */
    virtio_start(&device, slot, 0, &queue);
    header = (struct block_header){BLOCK_GET_ID, 0, 0};
    block_describe(&device, 0, &header, scratch + 4096, 20, &status);
    for (uint16_t i = 0; i < 3; i++) {
        table[8 + i] = queue.descriptors[i];
    }
    table[0] = (struct descriptor){(uint64_t)(table + 8), 48, INDIRECT, 0};
    queue.descriptors[0] = (struct descriptor){(uint64_t)table, 16, INDIRECT, 0};
    outcome_add(outcome, refuses(&device, 0, WAIT_MILLISECONDS), "a nested table was followed", 0);
    check_disk_works(outcome);
    outcome->shows = "one level, inside of RAM, whole entries, bounded: DEVICE_NEEDS_RESET";
}

static void bad_ring(struct outcome *outcome, uint64_t slot, uint32_t size, uint64_t descriptors,
                     uint64_t driver, uint64_t device)
{
    if (is_left_out()) {
        return;
    }
    uint32_t state = virtio_start_at(slot, 0, size, descriptors, driver, device);
    write32(slot + VIRTIO_QUEUE_NOTIFY, 0);
    bool refused = (state & VIRTIO_NEEDS_RESET) != 0 || read32(slot + VIRTIO_QUEUE_READY) == 0;
    outcome_add(outcome, refused, "rings outside of this VM were accepted",
                descriptors != (uint64_t)queue.descriptors ? descriptors
                : driver != (uint64_t)queue.available      ? driver
                                                           : device);
}

void attack_rings_outside(struct outcome *outcome)
{
    uint64_t slot = virtio_find(VIRTIO_BLOCK), end = RAM + ram_size;
    uint64_t table = (uint64_t)queue.descriptors, available = (uint64_t)queue.available;
    uint64_t used = (uint64_t)&queue.used_flags;
    for (uint32_t n = 0; n < 60; n++) {
        uint64_t place = n == 0   ? end
                         : n == 1 ? end - 64
                         : n == 2 ? RAM - 64
                         : n == 3 ? UINT64_MAX & ~15UL
                                  : probe_address((uint32_t)random_number() % 200) & ~15UL;
        if (place - RAM < ram_size && place != end - 64) {
            continue;
        }
        bad_ring(outcome, slot, QUEUE_ENTRIES, place, available, used);
        bad_ring(outcome, slot, QUEUE_ENTRIES, table, place, used);
        bad_ring(outcome, slot, QUEUE_ENTRIES, table, available, place);
    }
    static const uint32_t sizes[] = {0, 3, 63, 257, 512, 0x8000, 0x10000, UINT32_MAX};
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        bad_ring(outcome, slot, sizes[i], table, available, used);
    }
    for (uint32_t i = 1; i < 16; i++) {
        bad_ring(outcome, slot, QUEUE_ENTRIES, table + i, available, used);
    }
    check_disk_works(outcome);
    outcome->shows = "place, size and alignment are checked once for all: DEVICE_NEEDS_RESET";
}

/* Rings over each other, and over what the device is asked to write: it may get confused, but only with this VM's memory. */
void attack_rings_overlap(struct outcome *outcome)
{
    struct virtio device = {.queue = &queue};
    uint64_t slot = virtio_find(VIRTIO_BLOCK), table = (uint64_t)queue.descriptors;
    for (uint32_t n = 0; n < 40; n++) {
        if (is_left_out()) {
            continue;
        }
        uint64_t driver = n % 3 == 0 ? table : (uint64_t)queue.available;
        uint64_t used = n % 3 == 1 ? driver : table + n % 4 * 64;
        virtio_start(&device, slot, 0, &queue);
        header = (struct block_header){BLOCK_IN, 0, 0};
        void *data = n % 2 ? (void *)&queue : scratch;
        block_describe(&device, 0, &header, data, SECTOR, &status);
        (void)virtio_start_at(slot, 0, QUEUE_ENTRIES, table, driver, used);
        for (uint32_t i = 0; i < 4; i++) {
            virtio_offer(&device, (uint16_t)(i * 3 % 7));
        }
        outcome->attempts += 4;
    }
    spin_for(5 * MILLISECOND);
    check_disk_works(outcome);
    outcome->shows = "confusion stays inside of this VM's memory; after a reset the disk works";
}
