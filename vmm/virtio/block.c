/*
 * The virtio block device; see block.h, and block_queue.h for what happens to requests.
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

static struct virtio_block *block_of(struct virtio_device *device)
{
    return (struct virtio_block *)(void *)device;
}

static struct virtqueue *queue_of(struct virtio_block *block)
{
    return &block->device.queue[0];
}

/* ---- The queue is served here ---- */

static bool submit(void *host, const struct block_request *request, uint8_t *data)
{
    struct virtio_block *block = host;
    return block_client_submit(block->disk, request);
}

/* A write must be durable at once when the driver cannot ask for a flush. */
static uint16_t write_flags(const struct virtio_block *block)
{
    uint32_t abilities = block->disk->geometry.abilities;
    bool cached = (abilities & BLOCK_VOLATILE_CACHE) && (abilities & BLOCK_CAN_FLUSH);
    bool flushes = (block->device.accepted >> FEATURE_FLUSH & 1) != 0;
    return cached && !flushes ? BLOCK_FUA : 0;
}

static void process(struct virtio_block *block)
{
    block->device.again = false;
    if (virtio_running(&block->device)) {
        block->data.write_flags = write_flags(block);
        enum block_queue_end end = block_queue_process(&block->data);
        block->device.again = end == BLOCK_QUEUE_AGAIN;
        if (end == BLOCK_QUEUE_BROKEN)
            virtio_broken(&block->device);
    }
    block_client_publish(block->disk);
    virtio_publish(&block->device, queue_of(block));
}

/* The link is broken for good: what is at the disk will not be answered. */
static void fail(struct virtio_block *block)
{
    quoll_log("disk %s is gone: %s; the guest gets I/O errors", block->disk->geometry.name,
              block->disk->reason);
    block_queue_fail(&block->data);
}

static void take_answers(struct virtio_block *block)
{
    struct block_completion completion;
    while (block_client_take(block->disk, &completion))
        block_queue_answered(&block->data, completion.id, completion.status);
    (void)block_queue_resume(&block->data);
    process(block);
}

/* ---- The disk's server serves the queue ---- */

static bool is_lent(const struct virtio_block *block)
{
    return block->lent != NULL && !block->data.failed;
}

static void change_setting(struct virtio_block *block)
{
    block->setting++;
    __atomic_store_n(&block->lent->wanted, block->setting, __ATOMIC_SEQ_CST);
    (void)quoll_signal(block->disk->channel);
}

static void lend(struct virtio_block *block)
{
    const struct virtqueue *queue = queue_of(block);
    struct guest_queue *lent = block->lent;
    if (guest_queue_is_served(block->setting) || !virtio_running(&block->device) || !queue->ready)
        return;
    lent->size = queue->size;
    lent->descriptors = queue->descriptors;
    lent->driver = queue->driver;
    lent->device = queue->device;
    lent->event_index = queue->event_index;
    lent->flushes = block->data.flushes;
    lent->read_only = block->data.read_only;
    memcpy(lent->serial, block->data.serial, sizeof(lent->serial));
    change_setting(block);
}

/* Waits until the server has let go of the guest's memory: the driver may use it anew as soon as its reset is answered. A former
 * life may have told the server so and not seen that it has. */
static void take_back(struct virtio_block *block)
{
    uint64_t signals = 0;
    if (guest_queue_is_served(block->setting))
        change_setting(block);
    while (__atomic_load_n(&block->lent->served, __ATOMIC_SEQ_CST) != block->setting &&
           block_client_state(block->disk) == BLOCK_LINK_READY)
        signals |= quoll_wait();
    block->missed |= signals;
}

uint64_t virtio_block_missed_signals(struct virtio_block *block)
{
    uint64_t missed = block->missed;
    block->missed = 0;
    return missed;
}

/* The driver broke its rules, or the server is gone and with it what it had taken from the queue. */
static void look_at_lent(struct virtio_block *block, enum block_link_state state)
{
    uint32_t broken = __atomic_load_n(&block->lent->broken, __ATOMIC_SEQ_CST);
    if (guest_queue_is_served(block->setting) &&
        (broken == block->setting || state == BLOCK_LINK_FAILED))
        virtio_broken(&block->device);
}

/* ---- For the device thread ---- */

static void notify(struct virtio_device *device)
{
    struct virtio_block *block = block_of(device);
    if (is_lent(block))
        lend(block);
    else
        process(block);
}

static void forget(struct virtio_device *device)
{
    struct virtio_block *block = block_of(device);
    if (is_lent(block))
        take_back(block);
    else
        block_queue_forget(&block->data);
}

void virtio_block_completions(struct virtio_block *block)
{
    enum block_link_state state = block_client_state(block->disk);
    if (is_lent(block))
        look_at_lent(block, state);
    else
        take_answers(block);
    if (state == BLOCK_LINK_FAILED && !block->data.failed) {
        fail(block);
        process(block);
    }
}

/* A queue that is not served although its driver uses the device: the former life was taking it back, for a reset that the driver
 * will ask for again. A server that took it anew would begin with the oldest entry of the ring. */
void virtio_block_resume(struct virtio_block *block)
{
    bool served = guest_queue_is_served(block->setting) && !block->data.failed;
    if (block->lent != NULL && virtio_running(&block->device) && queue_of(block)->ready && !served)
        virtio_broken(&block->device);
}

/* A server that serves the queue itself keeps what it is given until the disk has it for good. */
void virtio_block_new_guest(struct virtio_block *block)
{
    if (is_lent(block))
        return;
    block_queue_settle(&block->data);
    block_client_publish(block->disk);
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
    bool failed = block_client_state(setup->disk) != BLOCK_LINK_READY ||
                  setup->buffer_size < VIRTIO_BLOCK_CHUNK;
    block->disk = setup->disk;
    if (failed) /* a disk of no size, so that the guest starts and can tell its user */
        block->disk->geometry = (struct block_geometry){
            .physical_block = BLOCK_SECTOR, .max_sectors = 1, .name = "(unavailable)"};
    block->device.id = VIRTIO_ID_BLOCK;
    block->device.queue_count = 1;
    block->device.notify = notify;
    block->device.forget = forget;
    block->device.features = offered(setup);
    const struct block_queue_setup queue = {
        .submit = submit,
        .host = block,
        .queue = queue_of(block),
        .geometry = &setup->disk->geometry,
        .buffer = setup->buffer,
        .buffer_size = setup->buffer_size,
        .buffer_number = setup->buffer_number,
        .read_only = (block->device.features >> FEATURE_READ_ONLY & 1) != 0,
        .serial = setup->serial,
    };
    block_queue_start(&block->data, &queue);
    block->lent = setup->lent;
    if (setup->lent != NULL) {
        block->setting = __atomic_load_n(&setup->lent->wanted, __ATOMIC_SEQ_CST);
        block->device.shared_interrupts = &setup->lent->interrupts;
    }
    block->data.failed = failed;
    block->data.flushes = (block->device.features >> FEATURE_FLUSH & 1) != 0;
    describe(block);
}
