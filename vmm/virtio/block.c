/*
 * The virtio block device; states and rules are in block.h.
 */
#include "virtio/block.h"
#include <quoll/quoll.h>

enum block_feature { /* 5.2.3, bit numbers */
                     FEATURE_SEG_MAX = 2,
                     FEATURE_READ_ONLY = 5,
                     FEATURE_BLOCK_SIZE = 6,
                     FEATURE_FLUSH = 9,
                     FEATURE_TOPOLOGY = 10,
};

enum block_config { /* 5.2.4, offsets */
                    CONFIG_CAPACITY = 0,
                    CONFIG_SEG_MAX = 12,
                    CONFIG_BLOCK_SIZE = 20,
                    CONFIG_PHYSICAL_EXPONENT = 24,
                    CONFIG_MIN_IO_SIZE = 26,
                    CONFIG_QUEUES = 34,
};

enum block_type { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8 };
enum block_answer { ANSWER_OK = 0, ANSWER_IOERR = 1, ANSWER_UNSUPPORTED = 2 };

struct block_header { /* 5.2.6 */
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};
_Static_assert(sizeof(struct block_header) == 16, "virtio 1.2, 5.2.6");

#define ID_BITS 8u /* of a request's id: its slot */

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct virtio_block *block_of(struct virtio_device *device)
{
    return (struct virtio_block *)(void *)device;
}

static struct virtqueue *queue_of(struct virtio_block *block)
{
    return &block->device.queue[0];
}

/* ---- extents ---- */

static bool chunk_used(const struct virtio_block *block, uint32_t chunk)
{
    return (block->in_use[chunk / 64] >> chunk % 64 & 1) != 0;
}

static void mark(struct virtio_block *block, uint32_t first, uint32_t count, bool used)
{
    for (uint32_t chunk = first; chunk < first + count; chunk++) {
        uint64_t bit = UINT64_C(1) << chunk % 64;
        block->in_use[chunk / 64] =
            used ? block->in_use[chunk / 64] | bit : block->in_use[chunk / 64] & ~bit;
    }
}

/* The first run of `count` free chunks in [from, to). */
static bool find_run(const struct virtio_block *block, uint32_t from, uint32_t to, uint32_t count,
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

static bool take_extent(struct virtio_block *block, struct virtio_block_request *request)
{
    uint64_t chunks = (request->length + VIRTIO_BLOCK_CHUNK - 1) / VIRTIO_BLOCK_CHUNK;
    uint32_t count = (uint32_t)min64(chunks, block->extent_limit), first;
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

static struct virtio_block_request *free_request(struct virtio_block *block)
{
    for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++)
        if (block->request[i].state == BLOCK_FREE)
            return &block->request[i];
    return NULL;
}

static void release(struct virtio_block *block, struct virtio_block_request *request)
{
    mark(block, request->extent, request->extent_chunks, false);
    request->extent_chunks = 0;
    request->state = BLOCK_FREE;
    request->generation++;
}

/* Tells the driver; it sees it after the next publish. */
static void answer(struct virtio_block *block, struct virtio_block_request *request,
                   enum block_answer status)
{
    bool complete = status == ANSWER_OK || request->chain.writable_bytes == 1;
    *request->status = (uint8_t)status;
    virtqueue_put(queue_of(block), request->chain.head,
                  complete ? (uint32_t)min64(request->chain.writable_bytes, UINT32_MAX) : 0);
    release(block, request);
}

static uint64_t request_id(const struct virtio_block *block,
                           const struct virtio_block_request *request)
{
    return (uint64_t)request->generation << ID_BITS | (uint64_t)(request - block->request);
}

/* A write must be durable at once when the driver cannot ask for a flush. */
static uint16_t write_flags(const struct virtio_block *block)
{
    uint32_t abilities = block->disk->geometry.abilities;
    bool cached = (abilities & BLOCK_VOLATILE_CACHE) && (abilities & BLOCK_CAN_FLUSH);
    bool flushes = (block->device.accepted >> FEATURE_FLUSH & 1) != 0;
    return cached && !flushes ? BLOCK_FUA : 0;
}

static void submit_piece(struct virtio_block *block, struct virtio_block_request *request)
{
    uint64_t offset = (uint64_t)request->extent * VIRTIO_BLOCK_CHUNK;
    struct block_request to_disk = {
        .id = request_id(block, request),
        .buffer = block->buffer_number,
        .offset = offset,
    };
    if (request->type == TYPE_FLUSH) {
        to_disk.operation = BLOCK_FLUSH;
        to_disk.offset = 0;
    } else {
        uint64_t room = min64((uint64_t)request->extent_chunks * VIRTIO_BLOCK_CHUNK,
                              (uint64_t)block->disk->geometry.max_sectors * BLOCK_SECTOR);
        request->piece = (uint32_t)min64(request->length - request->done, room);
        to_disk.sector = request->sector + request->done / BLOCK_SECTOR;
        to_disk.count = request->piece / BLOCK_SECTOR;
        to_disk.operation = request->type == TYPE_OUT ? BLOCK_WRITE : BLOCK_READ;
    }
    if (request->type == TYPE_OUT) {
        to_disk.flags = write_flags(block);
        chain_read(&request->chain, sizeof(struct block_header) + request->done,
                   block->buffer + offset, request->piece);
    }
    if (!block_client_submit(block->disk, &to_disk)) {
        answer(block, request, ANSWER_IOERR);
        return;
    }
    request->state = BLOCK_FLIGHT;
    block->flights++;
}

static void begin_transfer(struct virtio_block *block, struct virtio_block_request *request)
{
    if (request->length != 0 && !take_extent(block, request)) {
        request->state = BLOCK_WAITING;
        block->waiting = request;
        return;
    }
    submit_piece(block, request);
}

static bool range_acceptable(const struct virtio_block *block, uint64_t sector, uint64_t length)
{
    const struct block_geometry *geometry = &block->disk->geometry;
    uint64_t unit =
        geometry->abilities & BLOCK_WHOLE_BLOCKS ? geometry->physical_block : BLOCK_SECTOR;
    uint64_t count = length / BLOCK_SECTOR;
    return length % unit == 0 && sector % (unit / BLOCK_SECTOR) == 0 &&
           sector <= geometry->sectors && count <= geometry->sectors - sector;
}

static void begin_data(struct virtio_block *block, struct virtio_block_request *request)
{
    bool write = request->type == TYPE_OUT;
    request->length = write ? request->chain.readable_bytes - sizeof(struct block_header)
                            : request->chain.writable_bytes - 1;
    bool refused = write && (block->device.features >> FEATURE_READ_ONLY & 1);
    if (block->failed || refused || !range_acceptable(block, request->sector, request->length))
        answer(block, request, ANSWER_IOERR);
    else if (request->length == 0)
        answer(block, request, ANSWER_OK);
    else
        begin_transfer(block, request);
}

static void begin(struct virtio_block *block, struct virtio_block_request *request)
{
    switch (request->type) {
    case TYPE_IN:
    case TYPE_OUT:
        begin_data(block, request);
        break;
    case TYPE_FLUSH:
        if (!(block->device.features >> FEATURE_FLUSH & 1))
            answer(block, request, ANSWER_UNSUPPORTED);
        else if (block->failed)
            answer(block, request, ANSWER_IOERR);
        else
            begin_transfer(block, request);
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
    chain_read(chain, 0, &header, sizeof(header));
    struct virtqueue_segment *last = &chain->segment[chain->readable + chain->writable - 1];
    request->type = header.type;
    request->sector = header.sector;
    request->length = request->done = 0;
    request->extent_chunks = 0;
    request->status = last->bytes + last->length - 1;
    return true;
}

static void process(struct virtio_block *block)
{
    struct virtqueue *queue = queue_of(block);
    uint32_t turns = 0;
    block->device.again = false;
    while (block->waiting == NULL && block->orphans == 0 && virtio_turn(&block->device, &turns)) {
        struct virtio_block_request *request = free_request(block);
        if (request == NULL)
            break;
        enum virtqueue_taken taken = virtqueue_take(queue, &request->chain);
        if (taken == VIRTQUEUE_EMPTY) {
            if (virtqueue_listen(queue))
                break;
        } else if (taken == VIRTQUEUE_BROKEN || !decode(request)) {
            virtio_broken(&block->device);
        } else {
            begin(block, request);
        }
    }
    block_client_publish(block->disk);
    virtio_publish(&block->device, queue);
}

static void notify(struct virtio_device *device)
{
    process(block_of(device));
}

static void forget(struct virtio_device *device)
{
    struct virtio_block *block = block_of(device);
    if (block->waiting != NULL)
        release(block, block->waiting);
    block->waiting = NULL;
    for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++) {
        if (block->request[i].state == BLOCK_FLIGHT) {
            block->request[i].state = BLOCK_ORPHAN;
            block->orphans++;
        }
    }
}

/* ---- answers of the disk ---- */

static void piece_done(struct virtio_block *block, struct virtio_block_request *request,
                       uint32_t status)
{
    block->flights--;
    if (request->state == BLOCK_ORPHAN) {
        block->orphans--;
        release(block, request);
        return;
    }
    if (status != BLOCK_OK) {
        answer(block, request, ANSWER_IOERR);
        return;
    }
    if (request->type == TYPE_IN)
        chain_write(&request->chain, request->done,
                    block->buffer + (uint64_t)request->extent * VIRTIO_BLOCK_CHUNK, request->piece);
    request->done += request->piece;
    if (request->type == TYPE_FLUSH || request->done == request->length)
        answer(block, request, ANSWER_OK);
    else
        submit_piece(block, request);
}

static struct virtio_block_request *find_flight(struct virtio_block *block, uint64_t id)
{
    uint64_t slot = id & ((1u << ID_BITS) - 1);
    if (slot >= VIRTIO_BLOCK_REQUESTS)
        return NULL;
    struct virtio_block_request *request = &block->request[slot];
    bool at_disk = request->state == BLOCK_FLIGHT || request->state == BLOCK_ORPHAN;
    return at_disk && request_id(block, request) == id ? request : NULL;
}

/* The link is broken for good: what is at the disk will not be answered. */
static void fail(struct virtio_block *block)
{
    block->failed = true;
    quoll_log("disk %s is gone: %s; the guest gets I/O errors", block->disk->geometry.name,
              block->disk->reason);
    for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++) {
        struct virtio_block_request *request = &block->request[i];
        if (request->state == BLOCK_FLIGHT || request->state == BLOCK_ORPHAN)
            piece_done(block, request, BLOCK_GONE);
    }
}

void virtio_block_completions(struct virtio_block *block)
{
    enum block_link_state state = block_client_state(block->disk);
    struct block_completion completion;
    while (block_client_take(block->disk, &completion)) {
        struct virtio_block_request *request = find_flight(block, completion.id);
        if (request != NULL)
            piece_done(block, request, completion.status);
    }
    if (state == BLOCK_LINK_FAILED && !block->failed)
        fail(block);
    if (block->waiting != NULL) {
        struct virtio_block_request *request = block->waiting;
        block->waiting = NULL;
        begin_transfer(block, request);
    }
    process(block);
}

/* ---- start ---- */

static void put_config(struct virtio_block *block, uint32_t offset, uint64_t value, size_t size)
{
    memcpy(block->device.config + offset, &value, size);
}

static void describe(struct virtio_block *block)
{
    const struct block_geometry *geometry = &block->disk->geometry;
    uint32_t physical = geometry->physical_block;
    uint32_t logical = geometry->abilities & BLOCK_WHOLE_BLOCKS ? physical : BLOCK_SECTOR;
    put_config(block, CONFIG_CAPACITY, geometry->sectors, 8);
    put_config(block, CONFIG_SEG_MAX, VIRTQUEUE_MAX_SEGMENTS - 2, 4); /* less header and status */
    put_config(block, CONFIG_BLOCK_SIZE, logical, 4);
    put_config(block, CONFIG_PHYSICAL_EXPONENT, (uint64_t)__builtin_ctz(physical / logical), 1);
    put_config(block, CONFIG_MIN_IO_SIZE, physical / logical, 2);
    put_config(block, CONFIG_QUEUES, 1, 2);
}

/* FLUSH is offered only where it does something: on a disk whose completed writes are safe (RapiLog, a disk without volatile
 * cache) a driver that knows no FLUSH saves a request for each of its own flushes (virtio 1.2, 5.2.5.2). */
static uint64_t offered(const struct virtio_block_setup *setup)
{
    uint32_t abilities = setup->disk->geometry.abilities;
    uint64_t features =
        VIRTIO_F_COMMON | 1u << FEATURE_SEG_MAX | 1u << FEATURE_BLOCK_SIZE | 1u << FEATURE_TOPOLOGY;
    if (setup->read_only || (abilities & BLOCK_IS_READ_ONLY))
        features |= 1u << FEATURE_READ_ONLY;
    bool cached = (abilities & BLOCK_VOLATILE_CACHE) && (abilities & BLOCK_CAN_FLUSH);
    if (cached && !setup->write_through)
        features |= 1u << FEATURE_FLUSH;
    return features;
}

void virtio_block_start(struct virtio_block *block, const struct virtio_block_setup *setup)
{
    block->disk = setup->disk;
    block->chunks = (uint32_t)min64(setup->buffer_size / VIRTIO_BLOCK_CHUNK, VIRTIO_BLOCK_CHUNKS);
    block->failed = block_client_state(setup->disk) != BLOCK_LINK_READY || block->chunks == 0;
    if (block->failed) /* a disk of no size, so that the guest starts and can tell its user */
        block->disk->geometry = (struct block_geometry){
            .physical_block = BLOCK_SECTOR, .max_sectors = 1, .name = "(unavailable)"};
    block->device.id = VIRTIO_ID_BLOCK;
    block->device.queue_count = 1;
    block->device.notify = notify;
    block->device.forget = forget;
    block->device.features = offered(setup);
    block->buffer = setup->buffer;
    block->buffer_number = setup->buffer_number;
    /* One piece takes a quarter of the buffer at most, so that several requests are at the disk. */
    uint64_t largest = (uint64_t)setup->disk->geometry.max_sectors * BLOCK_SECTOR;
    uint64_t limit = min64(largest / VIRTIO_BLOCK_CHUNK, block->chunks / 4);
    block->extent_limit = limit == 0 ? 1 : (uint32_t)limit;
    for (size_t i = 0; i < sizeof(block->serial) && setup->serial[i] != 0; i++)
        block->serial[i] = setup->serial[i];
    describe(block);
}
