/*
 * A guest's virtqueue that another component than the VMM serves: a filter that stores a virtual disk takes the requests from
 * the guest's memory and puts its answers there, and the VMM is not on the way of either.
 *
 * One page per disk, between the VMM (the transport's registers) and the server; beside it the server has the guest's
 * memory mapped, receives the doorbell of QueueNotify under the signal of the disk's link, and raises the device's
 * interrupt through a line. Both signal each other over the link (quoll/block.h), whose geometry and state hold here too; its rings
 * stay empty.
 *
 * The VMM describes the queue, then changes `wanted`, and signals. The server acts on it and sets `served` to the same number.
 * Odd: the queue is served. Even: it is not, and once `served` says so, the server does not touch guest memory for
 * any earlier setting. Numbers ascend, so each change is one of a kind. The guest's driver broke the queue's
 * rules: the server stops by itself and sets `broken` to the setting's number.
 *
 * A server that was restarted finds what it had set and goes on; chains that it held are taken again. A VMM that was restarted finds
 * the setting as it left it, and the queue was served meanwhile.
 *
 * Neither side trusts the other: fields are copied once, then checked. What a wrong one can harm is this VM's.
 */
#ifndef QUOLL_GUEST_QUEUE_H
#define QUOLL_GUEST_QUEUE_H

#include <stdint.h>

#define GUEST_QUEUE_SERIAL_BYTES 20u
#define GUEST_QUEUE_RECORD_WORDS 6u

struct guest_queue {
    /* the VMM's */
    uint32_t wanted; /* number of the setting; atomic */
    uint32_t size;
    uint64_t descriptors, driver,
        device;           /* guest-physical: descriptor table, available ring, used ring */
    uint32_t event_index; /* VIRTIO_F_RING_EVENT_IDX was accepted */
    uint32_t flushes;     /* VIRTIO_BLK_F_FLUSH is offered */
    uint32_t read_only;
    char serial[GUEST_QUEUE_SERIAL_BYTES]; /* VIRTIO_BLK_T_GET_ID */
    /* the server's */
    uint32_t served; /* atomic */
    uint32_t broken; /* atomic */
    /* the server's own: struct virtqueue_record (vmm/virtio/queue.h), from which it goes on after a restart */
    uint64_t record[GUEST_QUEUE_RECORD_WORDS];
    /* both: InterruptStatus of the transport; who changes it from 0 raises the line; atomic */
    uint32_t interrupts;
};

static inline int guest_queue_is_served(uint32_t setting)
{
    return (setting & 1) != 0;
}

#endif
