/*
 * The queue of a virtio block device (virtio 1.2, 5.2.6): the guest's requests in, pieces for the disk out, answers back.
 * Its host is the VMM's device model (virtio/block.h), over a link to the disk, or a filter that serves
 * the guest's queue itself (quoll/guest_queue.h). The host gives `submit`, tells the disk's answers, and publishes the
 * queue when it is done.
 *
 * Data is copied between the guest's memory and an *extent* of the disk's buffer region, which the disk's driver reads
 * from and writes into. A request longer than the largest transfer goes through its extent in pieces, one after the other.
 * Where the host copies the bytes of a write itself (`direct_writes`), each of the guest's segments is a piece, all of
 * them go at once, and no extent is needed.
 *
 * A request is FREE, WAITING (at most one: for an extent or for room at the disk; nothing more is taken from the queue
 * meanwhile) or in FLIGHT (pieces are at the disk). When the driver resets the device, stops the queue or breaks its rules,
 * requests in flight become ORPHANs: their extents stay in use until the disk has answered, the guest's memory is not
 * touched any more, and no new request is taken before the last orphan is gone, so that an old write
 * cannot overtake a new one. One thread.
 *
 * A new guest begins with a FLUSH of the device's own, an orphan from the start: where the disk's cache was lost, the first FLUSH
 * of each client fails (quoll/block.h), and a guest that had not written anything yet would take that for a loss of its own. One
 * loss may be told more than once, so it is repeated until it succeeds, eight times at most.
 */
#ifndef VMM_VIRTIO_BLOCK_QUEUE_H
#define VMM_VIRTIO_BLOCK_QUEUE_H

#include "virtio/queue.h"
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
    uint32_t pieces;     /* at the disk now */
    uint32_t piece;      /* bytes of the last of them */
    bool direct;         /* a write whose segments are the pieces */
    bool flush_due;
    bool refused; /* the disk answered a piece with an error */
    uint64_t sector;
    uint64_t length, done; /* data bytes; of them, handed to the disk */
    uint32_t extent, extent_chunks;
    uint8_t *status; /* in guest RAM */
    struct virtqueue_chain chain;
};

/* Takes a piece; data: its bytes (NULL for FLUSH), of a direct write in guest RAM. False: there is no room now. The answer
 * comes later by block_queue_answered(), never from within. */
typedef bool block_queue_submit(void *host, const struct block_request *request, uint8_t *data);

struct block_queue_setup {
    block_queue_submit *submit;
    void *host;
    struct virtqueue *queue;
    const struct block_geometry *geometry; /* to be known before the first request */
    uint8_t *buffer;                       /* the disk's buffer: its memory ... */
    uint64_t buffer_size;
    uint32_t buffer_number; /* ... and number */
    bool read_only, direct_writes;
    const char *serial; /* VIRTIO_BLOCK_SERIAL_BYTES, or up to a zero */
};

struct block_queue {
    block_queue_submit *submit;
    void *host;
    struct virtqueue *queue;
    const struct block_geometry *geometry;
    uint8_t *buffer;
    uint32_t buffer_number;
    bool read_only, direct_writes;
    char serial[VIRTIO_BLOCK_SERIAL_BYTES];
    /* the host's, at any time */
    bool flushes;         /* the device offers VIRTIO_BLK_F_FLUSH */
    uint16_t write_flags; /* enum block_flag of every write */
    bool failed;          /* the disk is gone: everything is answered with an error */

    uint32_t chunks;     /* in the buffer */
    uint32_t next_chunk; /* where the search goes on */
    struct virtio_block_request *waiting;
    bool unfinished;           /* a request has a next piece to hand over: block_queue_resume() */
    uint32_t orphans, flights; /* requests; pieces at the disk */
    /* The FLUSH before a new guest's first request, an orphan; and how often it may be repeated. */
    struct virtio_block_request *settling;
    uint32_t settle_tries;
    /* large, so last */
    uint64_t in_use[VIRTIO_BLOCK_CHUNKS / 64]; /* chunks */
    struct virtio_block_request request[VIRTIO_BLOCK_REQUESTS];
};

/* What process() ended with. */
enum block_queue_end {
    BLOCK_QUEUE_QUIET,  /* everything has been taken; the driver will notify */
    BLOCK_QUEUE_FULL,   /* answers are needed first: call again after them */
    BLOCK_QUEUE_AGAIN,  /* many requests were taken: look at other things, then call again */
    BLOCK_QUEUE_BROKEN, /* the driver broke the rules: stop the queue, then forget */
};

/* The queue of a zeroed structure begins without requests; the virtqueue may be started and reset at any time. */
void block_queue_start(struct block_queue *block, const struct block_queue_setup *setup);
/* Takes the guest's requests and begins them. */
enum block_queue_end block_queue_process(struct block_queue *block);
/* The disk has answered a piece; ids of an earlier life are ignored. */
void block_queue_answered(struct block_queue *block, uint64_t id, uint32_t status);
/* Hands over the FLUSH that the first request of a new guest waits for; nothing of the guest before is at the disk. Where nothing is
 * flushed, or there is no room, there is none. */
void block_queue_settle(struct block_queue *block);
/* Goes on with requests that have further pieces, or wait. After answers, before process(). True when something was
 * handed to the disk. */
bool block_queue_resume(struct block_queue *block);
/* The driver's requests are dropped. */
void block_queue_forget(struct block_queue *block);
/* The disk will answer nothing any more. `failed` from now on. */
void block_queue_fail(struct block_queue *block);

#endif
