/*
 * A virtio block device from whatever state it is found in to one working virtqueue (virtio 1.2, 3.1), and back to silence.
 *
 * Its memory, VIRTIO_BLK_QUEUES_BYTES, physically contiguous, holds the virtqueue, and for each command the header that the
 * device reads and the status that it writes:
 *
 *     0x0000  descriptors (three for each command)      0x3000  used ring
 *     0x2000  available ring                            0x4000  headers; from 0x6000 statuses
 *
 * Command N has the descriptors 3N to 3N + 2. Registers are where the device's capabilities say; what they say is checked.
 */
#ifndef VIRTIO_BLK_DEVICE_H
#define VIRTIO_BLK_DEVICE_H

#include "specification.h"
#include <quoll/block_io.h>

enum device_limit {
    DEVICE_QUEUE = 256, /* entries of the virtqueue, if the device has that many */
    DEVICE_CHAIN = 3,   /* descriptors of a command: header, data, status */
    DEVICE_COMMANDS = DEVICE_QUEUE / DEVICE_CHAIN,
};

struct device_memory { /* the layout above */
    struct virtio_descriptor descriptor[DEVICE_QUEUE];
    uint8_t unused0[0x2000 - DEVICE_QUEUE * sizeof(struct virtio_descriptor)];
    uint16_t available_flags, available_index, available[DEVICE_QUEUE];
    uint8_t unused1[0x1000 - 4 - 2 * DEVICE_QUEUE];
    uint16_t used_flags, used_index;
    struct virtio_used used[DEVICE_QUEUE];
    uint8_t unused2[0x1000 - 4 - DEVICE_QUEUE * sizeof(struct virtio_used)];
    struct virtio_block_header header[DEVICE_COMMANDS];
    uint8_t unused3[0x2000 - DEVICE_COMMANDS * sizeof(struct virtio_block_header)];
    uint8_t status[DEVICE_COMMANDS];
};
_Static_assert(sizeof(struct device_memory) <= VIRTIO_BLK_QUEUES_BYTES, "everything fits");

struct device { /* the register blocks, each of at least the size that is used of it */
    uint8_t *common, *isr, *config;
    uint8_t *notify;
    uint64_t notify_bytes;
    uint32_t notify_multiplier;
    struct device_memory *memory;
    uint64_t memory_physical;

    uint32_t queue_size;
    volatile uint16_t *doorbell;
    struct block_geometry geometry;
};

/* Register blocks and memory are set, the rest zero. NULL when the queue works; otherwise what is wrong, at most 71
 * characters, and the device is reset. */
const char *device_start(struct device *device);
/* No request is carried out and no memory touched afterwards. False: the device does not even reset. */
bool device_stop(const struct device *device);
/* The device asks to be reset, or is not there any more. */
bool device_needs_reset(const struct device *device);
/* It is as a driver has left it that was using it. Before it is started. */
bool device_works(const struct device *device);
/* Reading it takes the interrupt back (4.1.4.5). */
void device_take_interrupt(const struct device *device);

#endif
