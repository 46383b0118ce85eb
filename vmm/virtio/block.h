/*
 * The virtio block device (virtio 1.2, section 5.2) over a block link (quoll/block_io.h).
 *
 * The guest's data is copied between its memory and an extent of the disk's buffer region, from which the
 * disk's driver reads and into which it writes. A request longer than the largest transfer goes to the
 * disk in pieces, one after the other, through the same extent.
 *
 * A request is FREE, then either WAITING (for an extent; at most one, and nothing more is taken from the
 * queue meanwhile) or in FLIGHT (a piece is at the disk). When the driver resets the device, stops the queue or
 * breaks its rules, requests in flight become ORPHANs: their extents stay in use until the disk has answered, the guest's memory is not
 * touched any more, and no new request is taken before the last orphan is gone, so that an old write
 * cannot overtake a new one. Device thread only.
 */
#ifndef VMM_VIRTIO_BLOCK_H
#define VMM_VIRTIO_BLOCK_H

#include "virtio/mmio.h"
#include <quoll/block_io.h>

#define VIRTIO_BLOCK_REQUESTS 64u
#define VIRTIO_BLOCK_CHUNK 4096u  /* what extents of the buffer are made of */
#define VIRTIO_BLOCK_CHUNKS 4096u /* so at most 16 MiB of a buffer are used */
#define VIRTIO_BLOCK_SERIAL_BYTES 20u

enum virtio_block_state { BLOCK_FREE, BLOCK_WAITING, BLOCK_FLIGHT, BLOCK_ORPHAN };

struct virtio_block_request {
    enum virtio_block_state state;
    uint32_t type;
    uint32_t generation; /* tells an answer to this use of the slot from one to an earlier use */
    uint32_t piece;      /* bytes at the disk now */
    uint64_t sector;
    uint64_t length, done; /* data bytes */
    uint32_t extent, extent_chunks;
    uint8_t *status; /* in guest RAM */
    struct virtqueue_chain chain;
};

struct virtio_block {
    struct virtio_device device; /* first */
    struct block_client *disk;
    uint8_t *buffer;
    uint32_t buffer_number;
    uint32_t chunks, extent_limit; /* chunks in the buffer; of one extent */
    uint64_t in_use[VIRTIO_BLOCK_CHUNKS / 64];
    uint32_t next_chunk; /* where the search goes on */
    char serial[VIRTIO_BLOCK_SERIAL_BYTES];
    bool failed; /* the link is FAILED: everything is answered with an error */
    struct virtio_block_request *waiting;
    uint32_t orphans, flights;
    struct virtio_block_request request[VIRTIO_BLOCK_REQUESTS];
};

struct virtio_block_setup {
    struct block_client *disk; /* its link READY, or FAILED: a disk of no size */
    uint8_t *buffer;           /* its memory ... */
    uint64_t buffer_size;
    uint32_t buffer_number; /* ... and number */
    bool read_only, write_through;
    const char *serial; /* VIRTIO_BLOCK_SERIAL_BYTES, or up to a zero */
};

/* `device` has its constants id, features, queue_count, notify and forget set by this. */
void virtio_block_start(struct virtio_block *block, const struct virtio_block_setup *setup);
/* The disk has answered, or its link has changed. */
void virtio_block_completions(struct virtio_block *block);
/* Nothing of an earlier life is at the disk. */
static inline bool virtio_block_is_quiet(const struct virtio_block *block)
{
    return block->orphans == 0;
}

#endif
