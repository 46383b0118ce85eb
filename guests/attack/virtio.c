/* See virtio.h. */
#include "virtio.h"

#define SLOTS 32u
#define SLOT_SIZE 0x200u
#define MAGIC 0x74726976u
#define VERSION_1 1u /* in the second word of features */
#define BLOCK_MILLISECONDS 5000u

uint64_t virtio_find(enum virtio_id id)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint64_t slot = VIRTIO_MMIO + i * SLOT_SIZE;
        if (read32(slot + VIRTIO_MAGIC) == MAGIC && read32(slot + VIRTIO_DEVICE_ID) == id) {
            return slot;
        }
    }
    return 0;
}

static void write_address(uint64_t where, uint64_t value)
{
    write32(where, (uint32_t)value);
    write32(where + 4, (uint32_t)(value >> 32));
}

uint32_t virtio_start_at(uint64_t slot, uint32_t number, uint32_t size, uint64_t descriptors,
                         uint64_t driver, uint64_t device)
{
    uint32_t status = VIRTIO_ACKNOWLEDGED | VIRTIO_DRIVER;
    write32(slot + VIRTIO_STATUS, 0);
    write32(slot + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGED);
    write32(slot + VIRTIO_STATUS, status);
    write32(slot + VIRTIO_DRIVER_FEATURES_SELECT, 0);
    write32(slot + VIRTIO_DRIVER_FEATURES, 1u << 28); /* indirect descriptors */
    write32(slot + VIRTIO_DRIVER_FEATURES_SELECT, 1);
    write32(slot + VIRTIO_DRIVER_FEATURES, VERSION_1);
    write32(slot + VIRTIO_STATUS, status | VIRTIO_FEATURES_OK);
    write32(slot + VIRTIO_QUEUE_SELECT, number);
    write32(slot + VIRTIO_QUEUE_SIZE, size);
    write_address(slot + VIRTIO_QUEUE_DESCRIPTORS, descriptors);
    write_address(slot + VIRTIO_QUEUE_DRIVER, driver);
    write_address(slot + VIRTIO_QUEUE_DEVICE, device);
    write32(slot + VIRTIO_QUEUE_READY, 1);
    write32(slot + VIRTIO_STATUS, status | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
    return read32(slot + VIRTIO_STATUS);
}

uint32_t virtio_start(struct virtio *device, uint64_t slot, uint32_t number, struct queue *queue)
{
    *device = (struct virtio){.slot = slot, .queue_number = number, .queue = queue};
    queue->available[0] = 1; /* no interrupts */
    queue->available[1] = 0;
    queue->used_index = 0;
    return virtio_start_at(slot, number, QUEUE_ENTRIES, (uint64_t)queue->descriptors,
                           (uint64_t)queue->available, (uint64_t)&queue->used_flags);
}

uint32_t virtio_status(uint64_t slot)
{
    return read32(slot + VIRTIO_STATUS);
}

void virtio_offer(struct virtio *device, uint16_t head)
{
    struct queue *queue = device->queue;
    uint16_t index = queue->available[1];
    queue->available[2 + index % QUEUE_ENTRIES] = head;
    __asm__ volatile("dmb sy" ::: "memory");
    queue->available[1] = (uint16_t)(index + 1);
    __asm__ volatile("dsb sy" ::: "memory");
    write32(device->slot + VIRTIO_QUEUE_NOTIFY, device->queue_number);
}

enum virtio_wait virtio_wait(struct virtio *device, uint64_t milliseconds)
{
    uint64_t end = counter() + milliseconds * counter_frequency() / 1000;
    uint64_t look = counter();
    for (;;) {
        if (device->queue->used_index != device->seen) {
            device->seen++;
            return VIRTIO_USED;
        }
        uint64_t now = counter();
        if (now > end) {
            return VIRTIO_SILENT;
        }
        if (now - look > counter_frequency() / 1000) { /* an exit: not too often */
            look = now;
            if (virtio_status(device->slot) & VIRTIO_NEEDS_RESET) {
                return VIRTIO_BROKEN;
            }
        }
    }
}

void block_describe(struct virtio *device, uint16_t first, struct block_header *header, void *data,
                    uint32_t bytes, volatile uint8_t *status)
{
    struct descriptor *chain = &device->queue->descriptors[first];
    uint16_t direction = header->type == BLOCK_OUT ? 0 : WRITE;
    uint16_t second = (uint16_t)(first + 1), third = (uint16_t)(first + 2);
    chain[0] = (struct descriptor){(uint64_t)header, sizeof(*header), NEXT, second};
    chain[1] = (struct descriptor){(uint64_t)data, bytes, (uint16_t)(NEXT | direction), third};
    chain[2] = (struct descriptor){(uint64_t)status, 1, WRITE, 0};
    *status = BLOCK_NO_ANSWER;
}

uint8_t block_request(struct virtio *device, uint32_t type, uint64_t sector, void *data,
                      uint32_t bytes)
{
    static struct block_header header;
    static volatile uint8_t status;
    header = (struct block_header){type, 0, sector};
    block_describe(device, 0, &header, data, bytes, &status);
    virtio_offer(device, 0);
    return virtio_wait(device, BLOCK_MILLISECONDS) == VIRTIO_USED ? status
                                                                  : (uint8_t)BLOCK_NO_ANSWER;
}

uint64_t block_sectors(uint64_t slot)
{
    return read32(slot + VIRTIO_CONFIG) | (uint64_t)read32(slot + VIRTIO_CONFIG + 4) << 32;
}
