/* A driver for virtio-mmio devices that lets its user put anything into rings and registers. No interrupts: it polls. */
#ifndef ATTACK_VIRTIO_H
#define ATTACK_VIRTIO_H

#include "guest.h"

#pragma GCC visibility push(hidden)

enum virtio_id { VIRTIO_BLOCK = 2, VIRTIO_CONSOLE = 3, VIRTIO_ENTROPY = 4 };

enum virtio_register {
    VIRTIO_MAGIC = 0x000,
    VIRTIO_DEVICE_ID = 0x008,
    VIRTIO_DRIVER_FEATURES = 0x020,
    VIRTIO_DRIVER_FEATURES_SELECT = 0x024,
    VIRTIO_QUEUE_SELECT = 0x030,
    VIRTIO_QUEUE_SIZE = 0x038,
    VIRTIO_QUEUE_READY = 0x044,
    VIRTIO_QUEUE_NOTIFY = 0x050,
    VIRTIO_INTERRUPT_ACK = 0x064,
    VIRTIO_STATUS = 0x070,
    VIRTIO_QUEUE_DESCRIPTORS = 0x080,
    VIRTIO_QUEUE_DRIVER = 0x090,
    VIRTIO_QUEUE_DEVICE = 0x0a0,
    VIRTIO_CONFIG = 0x100,
};

enum virtio_status {
    VIRTIO_ACKNOWLEDGED = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
};

enum descriptor_flag { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

#define QUEUE_ENTRIES 64u

/* One queue in memory, each part where an ordinary driver has it. */
struct queue {
    struct descriptor descriptors[QUEUE_ENTRIES];
    volatile uint16_t available[2 + QUEUE_ENTRIES + 1]; /* flags, idx, ring, used_event */
    volatile uint16_t used_flags __attribute__((aligned(8)));
    volatile uint16_t used_index;
    volatile struct {
        uint32_t id, length;
    } used[QUEUE_ENTRIES];
    volatile uint16_t available_event;
};

struct virtio {
    uint64_t slot; /* address; 0: there is no such device */
    uint32_t queue_number;
    struct queue *queue;
    uint16_t seen; /* used entries so far */
};

/* The first device of this kind. */
uint64_t virtio_find(enum virtio_id id);
/* Resets it and brings one queue up at these places, as a good driver would. Returns its status. */
uint32_t virtio_start_at(uint64_t slot, uint32_t number, uint32_t size, uint64_t descriptors,
                         uint64_t driver, uint64_t device);
/* The same with everything in its place; `device` is then ready to use. */
uint32_t virtio_start(struct virtio *device, uint64_t slot, uint32_t number, struct queue *queue);
uint32_t virtio_status(uint64_t slot);
/* Makes the chain that begins at `head` available, and tells the device. */
void virtio_offer(struct virtio *device, uint16_t head);
/* Until a chain comes back, or the device needs a reset, or time is up. */
enum virtio_wait { VIRTIO_USED, VIRTIO_BROKEN, VIRTIO_SILENT };
enum virtio_wait virtio_wait(struct virtio *device, uint64_t milliseconds);

/* ---- a disk ---- */

#define SECTOR 512u
enum block_type { BLOCK_IN = 0, BLOCK_OUT = 1, BLOCK_FLUSH = 4, BLOCK_GET_ID = 8 };
enum block_answer { BLOCK_OK = 0, BLOCK_IOERR = 1, BLOCK_UNSUPPORTED = 2, BLOCK_NO_ANSWER = 0xff };

struct block_header {
    uint32_t type, reserved;
    uint64_t sector;
};

/* One request with the chain in descriptors first, first + 1, first + 2. */
void block_describe(struct virtio *device, uint16_t first, struct block_header *header, void *data,
                    uint32_t bytes, volatile uint8_t *status);
/* A whole request; the answer, or BLOCK_NO_ANSWER. */
uint8_t block_request(struct virtio *device, uint32_t type, uint64_t sector, void *data,
                      uint32_t bytes);
uint64_t block_sectors(uint64_t slot);

#pragma GCC visibility pop

#endif
