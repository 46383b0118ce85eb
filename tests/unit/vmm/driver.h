/* A guest's virtio driver, as simple as it can be: what the tests drive the models with. */
#ifndef TEST_DRIVER_H
#define TEST_DRIVER_H

#include "fake.h"
#include "virtio/mmio.h"

struct buffer { /* one descriptor */
    uint64_t address;
    uint32_t length;
    bool device_writes;
};

struct used {
    uint32_t head, length;
};

struct driver_queue {
    uint32_t size;
    uint64_t descriptors, driver, device; /* guest-physical */
    uint16_t added, seen;                 /* available, used entries */
    uint16_t next_descriptor;
};

struct driver {
    struct virtio_device *device;
    struct driver_queue queue[VIRTIO_MAX_QUEUES];
    uint64_t free_memory; /* guest-physical, grows */
};

uint32_t driver_read(struct driver *driver, uint64_t offset);
void driver_write(struct driver *driver, uint64_t offset, uint32_t value);
uint64_t driver_allocate(struct driver *driver, uint64_t size);

/* Places a queue's rings in guest RAM. */
void driver_place(struct driver *driver, struct driver_queue *queue, uint32_t size);
/* Adds a chain, directly or through an indirect table; returns its head. */
uint16_t driver_add(struct driver *driver, struct driver_queue *queue, const struct buffer *buffers,
                    uint32_t count, bool indirect);
void driver_set_descriptor(struct driver_queue *queue, uint16_t index, uint64_t address,
                           uint32_t length, uint16_t flags, uint16_t next);
/* Makes descriptor `head` available as it is. */
void driver_offer(struct driver_queue *queue, uint16_t head);
bool driver_take_used(struct driver_queue *queue, struct used *used);
void driver_set_used_event(struct driver_queue *queue, uint16_t event);
uint16_t driver_avail_event(const struct driver_queue *queue);

/* Reset, features, queues of 8 entries, DRIVER_OK; as the specification's 3.1.1 says. */
void driver_start(struct driver *driver, struct virtio_device *device, uint64_t features);

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

#endif
