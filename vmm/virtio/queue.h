/*
 * The split virtqueue, device side (virtio 1.2, section 2.7), with indirect descriptors and event index.
 *
 * The driver is not trusted: a descriptor is copied once, then checked, then used; every segment handed to a model lies in
 * guest RAM; walks are bounded. What breaks the rules makes the queue BROKEN, which the
 * transport reports as DEVICE_NEEDS_RESET. Device thread only.
 */
#ifndef VMM_VIRTIO_QUEUE_H
#define VMM_VIRTIO_QUEUE_H

#include "guest_ram.h"
#include <stdbool.h>

#define VIRTQUEUE_MAX_SIZE 256u
#define VIRTQUEUE_MAX_SEGMENTS 130u /* descriptors of one chain that a device accepts */

/* What must be known of a queue to serve it on after whoever serves it was restarted, in memory that survives that. A chain
 * is *held* from when it is taken until its answer is in the used ring; those that were held are taken once more. Each step
 * leaves the record such that the next life neither loses a chain nor answers one twice (queue.c). It may hold anything:
 * then this queue's driver gets wrong answers, or none. */
struct virtqueue_record {
    uint16_t taken, put; /* as next_available and next_used */
    uint32_t reserved;
    uint64_t
        answering; /* while a chain goes from held to put: 1 << 32 | put before that << 16 | head; else 0 */
    uint64_t held[VIRTQUEUE_MAX_SIZE / 64]; /* bit n: the chain with head n */
};

struct virtqueue {
    /* as the driver sets it up through the transport */
    uint32_t size;
    bool ready;
    uint64_t descriptors, driver,
        device; /* guest-physical: descriptor table, available and used ring */
    /* from virtqueue_start on */
    const struct guest_ram *ram;
    uint8_t *table;
    uint16_t *available; /* flags, idx, ring[size], used_event */
    uint8_t *used;       /* u16 flags, u16 idx, { u32 id, u32 len }[size], u16 avail_event */
    bool event_index;
    uint16_t next_available;         /* taken so far */
    uint16_t next_used;              /* put so far */
    uint16_t published;              /* ... and visible to the driver */
    struct virtqueue_record *record; /* constant; NULL: there is none */
    uint32_t again_count;            /* chains of a former life that are to be taken once more: */
    uint64_t again[VIRTQUEUE_MAX_SIZE / 64];
};

struct virtqueue_segment {
    uint8_t *bytes;
    uint32_t length;
};

/* A chain of buffers: first those that the device reads, then those that it writes. */
struct virtqueue_chain {
    uint16_t head;
    uint16_t readable, writable; /* number of segments of either kind */
    uint64_t readable_bytes, writable_bytes;
    struct virtqueue_segment segment[VIRTQUEUE_MAX_SEGMENTS];
};

enum virtqueue_taken { VIRTQUEUE_EMPTY, VIRTQUEUE_TAKEN, VIRTQUEUE_BROKEN };

/* False when size, alignment or place of the rings is not acceptable; the queue is then not ready. */
bool virtqueue_start(struct virtqueue *queue, const struct guest_ram *ram, bool event_index);
/* The same for a queue that a former life has served: goes on where its record says. */
bool virtqueue_resume(struct virtqueue *queue, const struct guest_ram *ram, bool event_index);
/* Not ready, and without size and addresses. */
void virtqueue_reset(struct virtqueue *queue);

enum virtqueue_taken virtqueue_take(struct virtqueue *queue, struct virtqueue_chain *chain);
/* After EMPTY: asks for a notification of the next buffer. False when one has arrived meanwhile. */
bool virtqueue_listen(struct virtqueue *queue);
/* Gives a chain back, `written` bytes of it filled; the driver sees it after the next publish. */
void virtqueue_put(struct virtqueue *queue, uint16_t head, uint32_t written);
/* True when the driver wants an interrupt for what has become visible. */
bool virtqueue_publish(struct virtqueue *queue);

/* The readable bytes from `offset` on, as far as they are in one piece (*length); NULL when there are none. */
uint8_t *chain_segment(const struct virtqueue_chain *chain, uint64_t offset, uint64_t *length);
/* Copies from the readable, or to the writable, part of a chain, starting `offset` bytes into that part.
 * Return how many bytes were there to copy. */
uint64_t chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *to, uint64_t size);
uint64_t chain_write(const struct virtqueue_chain *chain, uint64_t offset, const void *from,
                     uint64_t size);

#endif
