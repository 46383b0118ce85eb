/* The virtio entropy device; the contract is in entropy.h. */
#include "virtio/entropy.h"

/* A request gets at most so much, which bounds the work that one notification causes. */
#define REQUEST_BYTES 4096u

static void fill(struct virtio_entropy *entropy, const struct virtqueue_chain *chain)
{
    uint8_t bytes[64];
    uint64_t filled = 0, wanted = chain->writable_bytes;
    if (wanted > REQUEST_BYTES)
        wanted = REQUEST_BYTES;
    while (filled < wanted) {
        uint64_t part = wanted - filled < sizeof(bytes) ? wanted - filled : sizeof(bytes);
        random_bytes(entropy->random, bytes, part);
        chain_write(chain, filled, bytes, part);
        filled += part;
    }
    virtqueue_put(&entropy->device.queue[0], chain->head, (uint32_t)filled);
}

static void notify(struct virtio_device *device)
{
    struct virtio_entropy *entropy = (struct virtio_entropy *)(void *)device;
    struct virtqueue *queue = &device->queue[0];
    struct virtqueue_chain chain;
    uint32_t turns = 0;
    while (virtio_turn(device, &turns)) {
        enum virtqueue_taken taken = virtqueue_take(queue, &chain);
        if (taken == VIRTQUEUE_TAKEN)
            fill(entropy, &chain);
        else if (taken == VIRTQUEUE_BROKEN)
            virtio_broken(device);
        else if (virtqueue_listen(queue))
            break;
    }
    virtio_publish(device, queue);
}

/* Requests are answered at once: there is nothing to drop. */
static void forget(struct virtio_device *device) {}

void virtio_entropy_start(struct virtio_entropy *entropy, struct random *random)
{
    entropy->random = random;
    entropy->device.id = VIRTIO_ID_ENTROPY;
    entropy->device.queue_count = 1;
    entropy->device.features = VIRTIO_F_COMMON;
    entropy->device.notify = notify;
    entropy->device.forget = forget;
}
