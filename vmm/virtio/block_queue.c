/*
 * The queue of a virtio block device; states and rules are in block_queue.h.
 */
#include "virtio/block_queue.h"

enum block_type { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8 };
enum block_answer { ANSWER_OK = 0, ANSWER_IOERR = 1, ANSWER_UNSUPPORTED = 2 };

struct block_header { /* 5.2.6 */
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};
_Static_assert(sizeof(struct block_header) == 16, "virtio 1.2, 5.2.6");

#define ID_BITS 8u /* of a request's id: its slot */
#define TURNS 256u /* requests taken in one go */
#define SETTLE_TRIES 8u

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- extents ---- */

static bool chunk_used(const struct block_queue *block, uint32_t chunk)
{
    return (block->in_use[chunk / 64] >> chunk % 64 & 1) != 0;
}

static void mark(struct block_queue *block, uint32_t first, uint32_t count, bool used)
{
    for (uint32_t chunk = first; chunk < first + count; chunk++) {
        uint64_t bit = UINT64_C(1) << chunk % 64;
        block->in_use[chunk / 64] =
            used ? block->in_use[chunk / 64] | bit : block->in_use[chunk / 64] & ~bit;
    }
}

/* The first run of `count` free chunks in [from, to). */
static bool find_run(const struct block_queue *block, uint32_t from, uint32_t to, uint32_t count,
                     uint32_t *first)
{
    uint32_t run = 0;
    for (uint32_t chunk = from; chunk < to; chunk++) {
        run = chunk_used(block, chunk) ? 0 : run + 1;
        if (run == count) {
            *first = chunk + 1 - count;
            return true;
        }
    }
    return false;
}

static uint64_t largest_piece(const struct block_queue *block)
{
    return (uint64_t)block->geometry->max_sectors * BLOCK_SECTOR;
}

/* Of one extent: a quarter of the buffer at most, so that several requests are at the disk. */
static uint64_t most_chunks(const struct block_queue *block)
{
    uint64_t most = min64(largest_piece(block) / VIRTIO_BLOCK_CHUNK, block->chunks / 4);
    return most == 0 ? 1 : most;
}

static bool take_extent(struct block_queue *block, struct virtio_block_request *request)
{
    uint64_t chunks = (request->length + VIRTIO_BLOCK_CHUNK - 1) / VIRTIO_BLOCK_CHUNK;
    uint32_t count = (uint32_t)min64(chunks, most_chunks(block)), first;
    if (!find_run(block, block->next_chunk, block->chunks, count, &first) &&
        !find_run(block, 0, block->chunks, count, &first))
        return false;
    mark(block, first, count, true);
    block->next_chunk = first + count;
    request->extent = first;
    request->extent_chunks = count;
    return true;
}

/* ---- requests ---- */

static struct virtio_block_request *free_request(struct block_queue *block)
{
    for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++)
        if (block->request[i].state == BLOCK_FREE)
            return &block->request[i];
    return NULL;
}

static void release(struct block_queue *block, struct virtio_block_request *request)
{
    mark(block, request->extent, request->extent_chunks, false);
    request->extent_chunks = 0;
    request->state = BLOCK_FREE;
    request->generation++;
}

/* Tells the driver; it sees it after the next publish. */
static void answer(struct block_queue *block, struct virtio_block_request *request,
                   enum block_answer status)
{
    bool complete = status == ANSWER_OK || request->chain.writable_bytes == 1;
    *request->status = (uint8_t)status;
    virtqueue_put(block->queue, request->chain.head,
                  complete ? (uint32_t)min64(request->chain.writable_bytes, UINT32_MAX) : 0);
    release(block, request);
}

static uint64_t request_id(const struct block_queue *block,
                           const struct virtio_block_request *request)
{
    return (uint64_t)request->generation << ID_BITS | (uint64_t)(request - block->request);
}

/* The next piece of a direct write: as much of a segment as a transfer may hold. */
static uint8_t *direct_piece(const struct block_queue *block, struct virtio_block_request *request)
{
    uint64_t length;
    uint8_t *bytes =
        chain_segment(&request->chain, sizeof(struct block_header) + request->done, &length);
    request->piece = (uint32_t)min64(length, largest_piece(block));
    return bytes;
}

/* The next piece that goes through the request's extent; false when there is no free one. */
static bool extent_piece(struct block_queue *block, struct virtio_block_request *request)
{
    if (request->extent_chunks == 0 && !take_extent(block, request))
        return false;
    uint64_t room = (uint64_t)request->extent_chunks * VIRTIO_BLOCK_CHUNK;
    request->piece =
        (uint32_t)min64(request->length - request->done, min64(room, largest_piece(block)));
    return true;
}

/* Hands the next piece to the disk; false: not now. */
static bool submit_data(struct block_queue *block, struct virtio_block_request *request)
{
    bool write = request->type == TYPE_OUT;
    uint64_t offset = 0;
    uint8_t *data;
    if (request->direct) {
        data = direct_piece(block, request);
    } else {
        if (!extent_piece(block, request))
            return false;
        offset = (uint64_t)request->extent * VIRTIO_BLOCK_CHUNK;
        data = block->buffer + offset;
        if (write)
            chain_read(&request->chain, sizeof(struct block_header) + request->done, data,
                       request->piece);
    }
    const struct block_request to_disk = {
        .id = request_id(block, request),
        .operation = write ? BLOCK_WRITE : BLOCK_READ,
        .flags = write ? block->write_flags : 0,
        .buffer = block->buffer_number,
        .offset = offset,
        .sector = request->sector + request->done / BLOCK_SECTOR,
        .count = request->piece / BLOCK_SECTOR,
    };
    if (!block->submit(block->host, &to_disk, data))
        return false;
    request->done += request->piece;
    return true;
}

static bool submit_flush(struct block_queue *block, struct virtio_block_request *request)
{
    const struct block_request to_disk = {
        .id = request_id(block, request),
        .operation = BLOCK_FLUSH,
        .buffer = block->buffer_number,
    };
    request->flush_due = !block->submit(block->host, &to_disk, NULL);
    return !request->flush_due;
}

static bool has_more(const struct virtio_block_request *request)
{
    return !request->refused && (request->flush_due || request->done < request->length);
}

/* One request holds up the queue; others that cannot go on are those that were begun before it, and go on first. */
static void wait(struct block_queue *block, struct virtio_block_request *request)
{
    bool first = block->waiting == NULL;
    if (first)
        block->waiting = request;
    else
        block->unfinished = true;
    request->state = first && request->pieces == 0 ? BLOCK_WAITING : BLOCK_FLIGHT;
}

/* Hands over what can be handed over, and answers the request when nothing is left of it. True when something was
 * handed over. */
static bool advance(struct block_queue *block, struct virtio_block_request *request)
{
    bool any = false;
    while (has_more(request) && (request->direct || request->pieces == 0)) {
        if (!(request->flush_due ? submit_flush(block, request) : submit_data(block, request))) {
            wait(block, request);
            return any;
        }
        request->pieces++;
        block->flights++;
        any = true;
    }
    request->state = BLOCK_FLIGHT;
    if (request->pieces == 0)
        answer(block, request, request->refused ? ANSWER_IOERR : ANSWER_OK);
    return any;
}

static bool range_acceptable(const struct block_queue *block, uint64_t sector, uint64_t length)
{
    const struct block_geometry *geometry = block->geometry;
    uint64_t unit =
        geometry->abilities & BLOCK_WHOLE_BLOCKS ? geometry->physical_block : BLOCK_SECTOR;
    uint64_t count = length / BLOCK_SECTOR;
    return length % unit == 0 && sector % (unit / BLOCK_SECTOR) == 0 &&
           sector <= geometry->sectors && count <= geometry->sectors - sector;
}

/* Whether every segment of a write holds whole units of the disk. */
static bool in_whole_units(const struct block_queue *block,
                           const struct virtio_block_request *request)
{
    const struct block_geometry *geometry = block->geometry;
    uint32_t unit =
        geometry->abilities & BLOCK_WHOLE_BLOCKS ? geometry->physical_block : BLOCK_SECTOR;
    uint64_t length, offset = sizeof(struct block_header);
    const uint64_t end = offset + request->length;
    while (offset < end) {
        if (chain_segment(&request->chain, offset, &length) == NULL || length % unit != 0)
            return false;
        offset += length;
    }
    return true;
}

static void begin_data(struct block_queue *block, struct virtio_block_request *request)
{
    bool write = request->type == TYPE_OUT;
    request->length = write ? request->chain.readable_bytes - sizeof(struct block_header)
                            : request->chain.writable_bytes - 1;
    bool refused = block->failed || (write && block->read_only);
    if (refused || !range_acceptable(block, request->sector, request->length)) {
        answer(block, request, ANSWER_IOERR);
        return;
    }
    request->direct = write && block->direct_writes && in_whole_units(block, request);
    (void)advance(block, request);
}

static void begin_flush(struct block_queue *block, struct virtio_block_request *request)
{
    if (!block->flushes) {
        answer(block, request, ANSWER_UNSUPPORTED);
    } else if (block->failed) {
        answer(block, request, ANSWER_IOERR);
    } else {
        request->flush_due = true;
        (void)advance(block, request);
    }
}

static void begin(struct block_queue *block, struct virtio_block_request *request)
{
    switch (request->type) {
    case TYPE_IN:
    case TYPE_OUT:
        begin_data(block, request);
        break;
    case TYPE_FLUSH:
        begin_flush(block, request);
        break;
    case TYPE_GET_ID:
        chain_write(&request->chain, 0, block->serial,
                    min64(sizeof(block->serial), request->chain.writable_bytes - 1));
        answer(block, request, ANSWER_OK);
        break;
    default:
        answer(block, request, ANSWER_UNSUPPORTED);
        break;
    }
}

/* Reads the header of a taken chain. False: there is no place for it, or for the answer. */
static bool decode(struct virtio_block_request *request)
{
    struct virtqueue_chain *chain = &request->chain;
    struct block_header header;
    if (chain->writable == 0 || chain->readable_bytes < sizeof(header))
        return false;
    if (chain->segment[0].length >= sizeof(header))
        guest_copy(&header, chain->segment[0].bytes, sizeof(header));
    else
        chain_read(chain, 0, &header, sizeof(header));
    struct virtqueue_segment *last = &chain->segment[chain->readable + chain->writable - 1];
    request->type = header.type;
    request->sector = header.sector;
    request->length = request->done = 0;
    request->pieces = request->piece = 0;
    request->direct = request->flush_due = request->refused = false;
    request->extent_chunks = 0;
    request->status = last->bytes + last->length - 1;
    return true;
}

enum block_queue_end block_queue_process(struct block_queue *block)
{
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        struct virtio_block_request *request = free_request(block);
        if (block->waiting != NULL || block->orphans != 0 || request == NULL)
            return BLOCK_QUEUE_FULL;
        enum virtqueue_taken taken = virtqueue_take(block->queue, &request->chain);
        if (taken == VIRTQUEUE_EMPTY) {
            if (virtqueue_listen(block->queue))
                return BLOCK_QUEUE_QUIET;
        } else if (taken == VIRTQUEUE_BROKEN || !decode(request)) {
            return BLOCK_QUEUE_BROKEN;
        } else {
            begin(block, request);
        }
    }
    return BLOCK_QUEUE_AGAIN;
}

void block_queue_forget(struct block_queue *block)
{
    for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++) {
        struct virtio_block_request *request = &block->request[i];
        if (request->state == BLOCK_WAITING ||
            (request->state == BLOCK_FLIGHT && request->pieces == 0)) {
            release(block, request);
        } else if (request->state == BLOCK_FLIGHT) {
            request->state = BLOCK_ORPHAN;
            block->orphans++;
        }
    }
    block->waiting = NULL;
}

void block_queue_settle(struct block_queue *block)
{
    block->settle_tries = SETTLE_TRIES;
    /* That of a guest which did not come to its first request is early enough for this one, too. */
    if (block->settling != NULL)
        return;
    struct virtio_block_request *request = free_request(block);
    if (!block->flushes || request == NULL || !submit_flush(block, request))
        return;
    request->pieces = 1;
    request->state = BLOCK_ORPHAN;
    block->flights++;
    block->orphans++;
    block->settling = request;
}

/* ---- answers of the disk ---- */

/* Another FLUSH in place of the one that a new guest waits for. */
static bool settle_again(struct block_queue *block, struct virtio_block_request *request,
                         uint32_t status)
{
    if (request != block->settling || status != BLOCK_IO_ERROR || block->settle_tries == 0)
        return false;
    block->settle_tries--;
    return submit_flush(block, request);
}

static void orphan_done(struct block_queue *block, struct virtio_block_request *request,
                        uint32_t status)
{
    if (settle_again(block, request, status)) {
        request->pieces++;
        block->flights++;
    }
    if (request->pieces != 0)
        return;
    if (request == block->settling)
        block->settling = NULL;
    block->orphans--;
    release(block, request);
}

static void piece_done(struct block_queue *block, struct virtio_block_request *request,
                       uint32_t status)
{
    block->flights--;
    request->pieces--;
    if (request->state == BLOCK_ORPHAN) {
        orphan_done(block, request, status);
        return;
    }
    request->refused = request->refused || status != BLOCK_OK;
    if (request->type == TYPE_IN && status == BLOCK_OK)
        chain_write(&request->chain, request->done - request->piece,
                    block->buffer + (uint64_t)request->extent * VIRTIO_BLOCK_CHUNK, request->piece);
    if (has_more(request))
        block->unfinished = true;
    else if (request->pieces == 0 && block->waiting != request)
        answer(block, request, request->refused ? ANSWER_IOERR : ANSWER_OK);
}

static struct virtio_block_request *find_flight(struct block_queue *block, uint64_t id)
{
    uint64_t slot = id & ((1u << ID_BITS) - 1);
    if (slot >= VIRTIO_BLOCK_REQUESTS)
        return NULL;
    struct virtio_block_request *request = &block->request[slot];
    return request->pieces != 0 && request_id(block, request) == id ? request : NULL;
}

void block_queue_answered(struct block_queue *block, uint64_t id, uint32_t status)
{
    struct virtio_block_request *request = find_flight(block, id);
    if (request != NULL)
        piece_done(block, request, status);
}

static bool resume_waiting(struct block_queue *block)
{
    struct virtio_block_request *request = block->waiting;
    block->waiting = NULL;
    return request != NULL && advance(block, request);
}

bool block_queue_resume(struct block_queue *block)
{
    bool any = false;
    if (block->unfinished) {
        block->unfinished = false;
        for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++) {
            struct virtio_block_request *request = &block->request[i];
            if (request->state == BLOCK_FLIGHT && request->pieces == 0 && block->waiting != request)
                any = advance(block, request) || any;
        }
    }
    return resume_waiting(block) || any;
}

void block_queue_fail(struct block_queue *block)
{
    block->failed = true;
    block->waiting = NULL;
    for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++) {
        struct virtio_block_request *request = &block->request[i];
        if (request->state == BLOCK_FREE)
            continue;
        request->refused = true;
        if (request->pieces == 0)
            answer(block, request, ANSWER_IOERR);
        while (request->pieces != 0)
            piece_done(block, request, BLOCK_GONE);
    }
}

/* ---- start ---- */

void block_queue_start(struct block_queue *block, const struct block_queue_setup *setup)
{
    block->submit = setup->submit;
    block->host = setup->host;
    block->queue = setup->queue;
    block->geometry = setup->geometry;
    block->buffer = setup->buffer;
    block->buffer_number = setup->buffer_number;
    block->read_only = setup->read_only;
    block->direct_writes = setup->direct_writes;
    block->chunks = (uint32_t)min64(setup->buffer_size / VIRTIO_BLOCK_CHUNK, VIRTIO_BLOCK_CHUNKS);
    for (size_t i = 0; i < sizeof(block->serial) && setup->serial[i] != 0; i++)
        block->serial[i] = setup->serial[i];
}
