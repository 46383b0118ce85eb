/*
 * The virtio block device (virtio 1.2, section 5.2) over a block link (quoll/block_io.h). Device thread only.
 *
 * What happens to requests is told in block_queue.h. The device thread serves the queue itself; or, where the disk's server
 * can do that (quoll/guest_queue.h), it *lends* the queue while the driver uses the device, and waits on a reset until
 * the server has let go of it.
 */
#ifndef VMM_VIRTIO_BLOCK_H
#define VMM_VIRTIO_BLOCK_H

#include "virtio/block_queue.h"
#include "virtio/mmio.h"
#include <quoll/guest_queue.h>

struct virtio_block {
    struct virtio_device device; /* first */
    struct block_client *disk;
    struct guest_queue *lent; /* NULL: served here */
    uint32_t setting;         /* the last one told to the server */
    uint64_t missed;          /* signals that arrived while it was waited for */
    struct block_queue data;
};

struct virtio_block_setup {
    struct block_client *disk; /* its link READY, or FAILED: a disk of no size */
    uint8_t *buffer;           /* its memory ... */
    uint64_t buffer_size;
    uint32_t buffer_number; /* ... and number */
    bool read_only, write_through;
    const char *serial;       /* VIRTIO_BLOCK_SERIAL_BYTES, or up to a zero */
    struct guest_queue *lent; /* NULL: the disk's server does not serve the queue */
};

/* `device` has its constants id, features, queue_count, notify and forget set by this. */
void virtio_block_start(struct virtio_block *block, const struct virtio_block_setup *setup);
/* The disk has answered, or its link has changed. */
void virtio_block_completions(struct virtio_block *block);
/* A device that has just been started has got its driver's settings from a former life. */
void virtio_block_resume(struct virtio_block *block);
/* A new guest is about to start; the device has been reset and is quiet. What the disk lost before is none of its concern. */
void virtio_block_new_guest(struct virtio_block *block);
/* Nothing of the guest before is at the disk. */
static inline bool virtio_block_is_quiet(const struct virtio_block *block)
{
    return block->data.orphans == (block->data.settling != NULL ? 1u : 0u);
}
/* Signals that arrived while the device waited for the disk's server; for the caller to act on. */
uint64_t virtio_block_missed_signals(struct virtio_block *block);

#endif
