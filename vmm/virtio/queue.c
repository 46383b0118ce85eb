/*
 * The split virtqueue, device side; the contract is in queue.h. Sections are those of virtio 1.2.
 *
 * Invariants: `ready` implies that table, available and used point to guest RAM of the right size and
 * alignment (2.7); next_used - published <= size, because only what was taken is put.
 */
#include "virtio/queue.h"

#define DESCRIPTOR_SIZE 16u

enum descriptor_flag { DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2, DESCRIPTOR_INDIRECT = 4 };
enum available_flag { AVAILABLE_NO_INTERRUPT = 1 };

struct descriptor { /* 2.7.5 */
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};
_Static_assert(sizeof(struct descriptor) == DESCRIPTOR_SIZE, "virtio 1.2, 2.7.5");

static uint16_t *used_flags(struct virtqueue *queue)
{
    return (uint16_t *)(void *)queue->used;
}
static uint16_t *used_index(struct virtqueue *queue)
{
    return used_flags(queue) + 1;
}

static uint16_t *used_event(struct virtqueue *queue)
{
    return queue->available + 2 + queue->size;
}

static uint16_t *available_event(struct virtqueue *queue)
{
    return (uint16_t *)(void *)(queue->used + 4 + (size_t)8 * queue->size);
}

static uint16_t load_available_index(const struct virtqueue *queue)
{
    return __atomic_load_n(queue->available + 1, __ATOMIC_ACQUIRE);
}

void virtqueue_reset(struct virtqueue *queue)
{
    *queue = (struct virtqueue){.record = queue->record};
}

/* ---- The record ---- */

/* One thread writes it and, after a restart, reads it on the same core: only the compiler must keep the order. */
static void in_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void hold(uint64_t *held, uint32_t head, bool on)
{
    uint64_t bit = UINT64_C(1) << head % 64;
    held[head / 64] = on ? held[head / 64] | bit : held[head / 64] & ~bit;
}

/* A life that ends between the two steps leaves a chain that is held and the next one to be taken. */
static void record_take(struct virtqueue *queue, uint16_t head)
{
    if (queue->record == NULL)
        return;
    hold(queue->record->held, head, true);
    in_order();
    queue->record->taken = (uint16_t)(queue->next_available + 1);
    in_order();
}

/* The answer is in the used ring. A life that ends in here leaves in `answering` which chain it was about, and, by `put`, whether
 * it counts as answered. */
static void record_put(struct virtqueue *queue, uint16_t head)
{
    struct virtqueue_record *record = queue->record;
    if (record == NULL || head >= VIRTQUEUE_MAX_SIZE)
        return;
    record->answering = UINT64_C(1) << 32 | (uint64_t)queue->next_used << 16 | head;
    in_order();
    record->put = (uint16_t)(queue->next_used + 1);
    in_order();
    hold(record->held, head, false);
    in_order();
    record->answering = 0;
}

/* Completes the step in which the former life has ended. */
static void repair(struct virtqueue *queue, struct virtqueue_record *record)
{
    uint16_t head = (uint16_t)record->answering;
    bool counted = (uint16_t)(record->answering >> 16) != record->put;
    if (record->answering != 0 && counted && head < VIRTQUEUE_MAX_SIZE)
        hold(record->held, head, false);
    uint16_t next =
        __atomic_load_n(queue->available + 2 + record->taken % queue->size, __ATOMIC_RELAXED);
    if (load_available_index(queue) != record->taken && next < VIRTQUEUE_MAX_SIZE)
        hold(record->held, next, false);
    record->answering = 0;
}

bool virtqueue_resume(struct virtqueue *queue, const struct guest_ram *ram, bool event_index)
{
    struct virtqueue_record *kept = queue->record, record = *kept;
    queue->record = NULL; /* or the start would empty it */
    bool good = virtqueue_start(queue, ram, event_index);
    queue->record = kept;
    if (!good)
        return false;
    repair(queue, &record);
    *kept = record;
    queue->next_available = record.taken;
    queue->next_used = record.put;
    queue->published = __atomic_load_n(used_index(queue), __ATOMIC_RELAXED);
    if ((uint16_t)(queue->next_used - queue->published) > queue->size)
        queue->published = queue->next_used;
    queue->again_count = 0;
    for (uint32_t i = 0; i < VIRTQUEUE_MAX_SIZE / 64; i++) {
        queue->again[i] = record.held[i];
        for (uint64_t left = record.held[i]; left != 0; left &= left - 1)
            queue->again_count++;
    }
    return true;
}

static uint16_t next_again(struct virtqueue *queue)
{
    uint32_t word = 0;
    while (queue->again[word] == 0)
        word++;
    uint32_t bit = (uint32_t)__builtin_ctzll(queue->again[word]);
    queue->again[word] &= queue->again[word] - 1;
    queue->again_count--;
    return (uint16_t)(word * 64 + bit);
}

/* ---- Start ---- */

bool virtqueue_start(struct virtqueue *queue, const struct guest_ram *ram, bool event_index)
{
    uint32_t size = queue->size;
    queue->ready = false;
    if (size == 0 || size > VIRTQUEUE_MAX_SIZE || (size & (size - 1)) != 0)
        return false;
    if (queue->descriptors % 16 != 0 || queue->driver % 2 != 0 || queue->device % 4 != 0)
        return false;
    uint8_t *table = guest_ram_at(ram, queue->descriptors, (uint64_t)DESCRIPTOR_SIZE * size);
    uint8_t *available = guest_ram_at(ram, queue->driver, 6 + 2u * size);
    uint8_t *used = guest_ram_at(ram, queue->device, 6 + 8u * size);
    if (table == NULL || available == NULL || used == NULL)
        return false;
    queue->ram = ram;
    queue->table = table;
    queue->available = (uint16_t *)(void *)available;
    queue->used = used;
    queue->event_index = event_index;
    queue->next_available = queue->next_used = queue->published = 0;
    queue->again_count = 0;
    if (queue->record != NULL)
        *queue->record = (struct virtqueue_record){0};
    queue->ready = true;
    return true;
}

static bool add_segment(const struct virtqueue *queue, struct virtqueue_chain *chain,
                        const struct descriptor *descriptor)
{
    bool writable = (descriptor->flags & DESCRIPTOR_WRITE) != 0;
    uint8_t *bytes = guest_ram_at(queue->ram, descriptor->address, descriptor->length);
    if (bytes == NULL || (!writable && chain->writable != 0)) /* 2.7.4.2: readable ones first */
        return false;
    if (descriptor->length == 0)
        return true;
    chain->segment[chain->readable + chain->writable] =
        (struct virtqueue_segment){bytes, descriptor->length};
    if (writable) {
        chain->writable++;
        chain->writable_bytes += descriptor->length;
    } else {
        chain->readable++;
        chain->readable_bytes += descriptor->length;
    }
    return true;
}

/* Follows a chain through the queue's table and at most one indirect table (2.7.5.3), for a bounded
 * number of steps, so that a loop ends. */
static bool walk(const struct virtqueue *queue, struct virtqueue_chain *chain)
{
    const uint8_t *table = queue->table;
    uint32_t entries = queue->size, index = chain->head;
    bool indirect = false;
    for (uint32_t step = 0; step <= VIRTQUEUE_MAX_SEGMENTS; step++) {
        struct descriptor descriptor;
        if (index >= entries)
            return false;
        guest_copy(&descriptor, table + (size_t)index * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE);
        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            if (indirect || (descriptor.flags & DESCRIPTOR_NEXT) ||
                descriptor.length % DESCRIPTOR_SIZE != 0)
                return false;
            table = guest_ram_at(queue->ram, descriptor.address, descriptor.length);
            if (table == NULL)
                return false;
            indirect = true;
            entries = descriptor.length / DESCRIPTOR_SIZE;
            index = 0;
            continue;
        }
        if (chain->readable + chain->writable >= (int)VIRTQUEUE_MAX_SEGMENTS ||
            !add_segment(queue, chain, &descriptor))
            return false;
        if ((descriptor.flags & DESCRIPTOR_NEXT) == 0)
            return true;
        index = descriptor.next;
    }
    return false;
}

static bool take_chain(const struct virtqueue *queue, struct virtqueue_chain *chain, uint16_t head)
{
    chain->head = head;
    chain->readable = chain->writable = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    return walk(queue, chain);
}

enum virtqueue_taken virtqueue_take(struct virtqueue *queue, struct virtqueue_chain *chain)
{
    if (!queue->ready)
        return VIRTQUEUE_EMPTY;
    if (queue->again_count != 0)
        return take_chain(queue, chain, next_again(queue)) ? VIRTQUEUE_TAKEN : VIRTQUEUE_BROKEN;
    uint16_t waiting = (uint16_t)(load_available_index(queue) - queue->next_available);
    if (waiting == 0)
        return VIRTQUEUE_EMPTY;
    if (waiting > queue->size)
        return VIRTQUEUE_BROKEN;
    uint16_t *entry = queue->available + 2 + queue->next_available % queue->size;
    if (!take_chain(queue, chain, __atomic_load_n(entry, __ATOMIC_RELAXED)))
        return VIRTQUEUE_BROKEN;
    record_take(queue, chain->head);
    queue->next_available++;
    return VIRTQUEUE_TAKEN;
}

bool virtqueue_listen(struct virtqueue *queue)
{
    if (!queue->ready)
        return true;
    if (queue->event_index)
        __atomic_store_n(available_event(queue), queue->next_available, __ATOMIC_RELAXED);
    /* Orders the wish before the last look, as the driver orders its entry before it looks at the wish. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load_available_index(queue) == queue->next_available;
}

void virtqueue_put(struct virtqueue *queue, uint16_t head, uint32_t written)
{
    uint32_t *entry =
        (uint32_t *)(void *)queue->used + 1 + (size_t)2 * (queue->next_used & (queue->size - 1));
    __atomic_store_n(entry, head, __ATOMIC_RELAXED);
    __atomic_store_n(entry + 1, written, __ATOMIC_RELAXED);
    record_put(queue, head);
    queue->next_used++;
}

bool virtqueue_publish(struct virtqueue *queue)
{
    if (!queue->ready || queue->next_used == queue->published)
        return false;
    uint16_t before = queue->published, now = queue->next_used;
    __atomic_store_n(used_index(queue), now, __ATOMIC_RELEASE);
    queue->published = now;
    /* Orders the index before the look at what the driver wants (2.7.7.2). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (queue->event_index) {
        uint16_t event = __atomic_load_n(used_event(queue), __ATOMIC_RELAXED);
        return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
    }
    return (__atomic_load_n(queue->available, __ATOMIC_RELAXED) & AVAILABLE_NO_INTERRUPT) == 0;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint8_t *chain_segment(const struct virtqueue_chain *chain, uint64_t offset, uint64_t *length)
{
    for (uint32_t i = 0; i < chain->readable; i++) {
        const struct virtqueue_segment *segment = &chain->segment[i];
        if (offset < segment->length) {
            *length = segment->length - offset;
            return segment->bytes + offset;
        }
        offset -= segment->length;
    }
    return NULL;
}

uint64_t chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *to, uint64_t size)
{
    uint8_t *out = to;
    uint64_t copied = 0;
    for (uint32_t i = 0; i < chain->readable && copied < size; i++) {
        const struct virtqueue_segment *segment = &chain->segment[i];
        if (offset >= segment->length) {
            offset -= segment->length;
            continue;
        }
        uint64_t part = min64(segment->length - offset, size - copied);
        guest_copy(out + copied, segment->bytes + offset, part);
        copied += part;
        offset = 0;
    }
    return copied;
}

uint64_t chain_write(const struct virtqueue_chain *chain, uint64_t offset, const void *from,
                     uint64_t size)
{
    const uint8_t *in = from;
    uint64_t copied = 0;
    for (uint32_t i = 0; i < chain->writable && copied < size; i++) {
        const struct virtqueue_segment *segment = &chain->segment[chain->readable + i];
        if (offset >= segment->length) {
            offset -= segment->length;
            continue;
        }
        uint64_t part = min64(segment->length - offset, size - copied);
        memcpy(segment->bytes + offset, in + copied, part);
        copied += part;
        offset = 0;
    }
    return copied;
}
