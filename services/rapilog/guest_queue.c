/*
 * Serving a guest's queue; see guest_queue.h. Everything in the page and in guest memory may be anything: it is copied, then
 * checked, and what is wrong breaks the queue of this guest.
 *
 * Answers of the engine are kept until the engine's step is over, because they make room for further pieces, and the
 * engine is not to be entered from within.
 */
#include "guest_queue.h"

#include "virtio/block_queue.h"

#include <quoll/guest_queue.h>
#include <quoll/quoll.h>
#include <string.h>

#define MOST_ANSWERS (2u * ENGINE_REQUESTS)

struct answer {
    uint64_t id;
    enum block_status status;
};

struct served {
    struct guest_queue *page; /* NULL: not lent */
    uint32_t line;            /* handle: the device's interrupt */
    uint32_t number;          /* of the client */
    uint32_t setting;         /* in force */
    bool ready;               /* the disk is known */
    bool full; /* requests were left in the ring because others must be answered first */
    struct block_geometry geometry;
    uint32_t answer_count;
    struct virtqueue ring;
    /* large, so last */
    struct answer answers[MOST_ANSWERS];
    struct block_queue queue;
};

static struct {
    struct engine *engine;
    struct guest_ram ram;
    struct served client[CONFIG_MAX_CLIENTS];
} guest;

/* ---- Requests ---- */

static bool submit(void *host, const struct block_request *request, uint8_t *data)
{
    struct served *served = host;
    if (!engine_can_take(guest.engine, served->number) ||
        served->answer_count + ENGINE_REQUESTS > MOST_ANSWERS)
        return false;
    engine_take(guest.engine, served->number, request, data);
    return true;
}

void guest_queue_complete(uint32_t number, uint64_t id, enum block_status status)
{
    struct served *served = &guest.client[number];
    QUOLL_ASSERT(served->answer_count < MOST_ANSWERS);
    served->answers[served->answer_count++] = (struct answer){id, status};
}

static bool hand_over_answers(struct served *served)
{
    uint32_t count = served->answer_count;
    for (uint32_t i = 0; i < count; i++)
        block_queue_answered(&served->queue, served->answers[i].id, served->answers[i].status);
    served->answer_count = 0;
    return count != 0 && block_queue_resume(&served->queue);
}

/* ---- Settings ---- */

static void stop(struct served *served)
{
    served->ring.ready = false;
    block_queue_forget(&served->queue);
    /* What waits for room would be copied from guest memory later; it was not acknowledged. */
    engine_refuse_waiting(guest.engine, served->number);
    (void)hand_over_answers(served);
}

_Static_assert(sizeof(struct virtqueue_record) == sizeof(((struct guest_queue *)0)->record),
               "the same");

/* resumed: where a former life of this service has left the queue. */
static void begin(struct served *served, bool resumed)
{
    struct guest_queue page;
    guest_copy(&page, served->page, sizeof(page));
    virtqueue_reset(&served->ring);
    served->ring.record = (struct virtqueue_record *)(void *)served->page->record;
    served->ring.size = page.size;
    served->ring.descriptors = page.descriptors;
    served->ring.driver = page.driver;
    served->ring.device = page.device;
    served->queue.read_only = page.read_only != 0;
    served->queue.flushes = page.flushes != 0;
    memcpy(served->queue.serial, page.serial, sizeof(served->queue.serial));
    bool event_index = page.event_index != 0;
    (void)(resumed ? virtqueue_resume(&served->ring, &guest.ram, event_index)
                   : virtqueue_start(&served->ring, &guest.ram, event_index));
}

static void follow(struct served *served, uint32_t channel)
{
    uint32_t wanted = __atomic_load_n(&served->page->wanted, __ATOMIC_SEQ_CST);
    if (wanted == served->setting)
        return;
    stop(served);
    if (guest_queue_is_served(wanted))
        begin(served, false);
    served->setting = wanted;
    __atomic_store_n(&served->page->served, wanted, __ATOMIC_SEQ_CST);
    (void)quoll_signal(channel);
}

static void report_broken(struct served *served, uint32_t channel)
{
    stop(served);
    __atomic_store_n(&served->page->broken, served->setting, __ATOMIC_SEQ_CST);
    (void)quoll_signal(channel);
}

/* True when there is more to take now. */
static bool process(struct served *served, uint32_t channel)
{
    if (!served->ring.ready || !engine_can_take(guest.engine, served->number)) {
        served->full = served->ring.ready;
        return false;
    }
    enum block_queue_end end = block_queue_process(&served->queue);
    served->full = end == BLOCK_QUEUE_FULL;
    if (end == BLOCK_QUEUE_BROKEN)
        report_broken(served, channel);
    return end == BLOCK_QUEUE_AGAIN;
}

bool guest_queue_take(uint32_t number, uint32_t channel)
{
    struct served *served = &guest.client[number];
    if (!served->ready)
        return false;
    follow(served, channel);
    return process(served, channel);
}

bool guest_queue_answer(uint32_t number, uint32_t channel)
{
    struct served *served = &guest.client[number];
    bool answered = served->answer_count != 0;
    bool more = hand_over_answers(served);
    if (answered && served->full) {
        (void)process(served, channel);
        more = true;
    }
    if (virtqueue_publish(&served->ring) &&
        __atomic_fetch_or(&served->page->interrupts, 1, __ATOMIC_SEQ_CST) == 0)
        (void)quoll_signal(served->line);
    return more;
}

/* ---- Start ---- */

bool guest_queue_is_lent(uint32_t number)
{
    return guest.client[number].page != NULL;
}

/* The setting in force is a former life's. What it had put into the ring is published by the first answer; the driver is
 * interrupted in any case, as it may not have been. */
static void go_on(struct served *served)
{
    begin(served, true);
    (void)virtqueue_publish(&served->ring);
    __atomic_fetch_or(&served->page->interrupts, 1, __ATOMIC_SEQ_CST);
    (void)quoll_signal(served->line);
}

void guest_queue_ready(uint32_t number, const struct block_geometry *geometry)
{
    struct served *served = &guest.client[number];
    if (served->page == NULL)
        return; /* this client comes over its link */
    served->geometry = *geometry;
    served->ready = true;
    uint32_t wanted = __atomic_load_n(&served->page->wanted, __ATOMIC_SEQ_CST);
    uint32_t broken = __atomic_load_n(&served->page->broken, __ATOMIC_SEQ_CST);
    if (guest_queue_is_served(wanted) && served->setting == wanted && broken != wanted)
        go_on(served);
}

static void find(uint32_t number, const struct block_buffers *buffers, uint64_t allowed_buffers)
{
    struct served *served = &guest.client[number];
    uint32_t buffer = (uint32_t)__builtin_ctzll(allowed_buffers);
    memset(served, 0, sizeof(*served));
    served->page = quoll_memory(quoll_numbered("queue", number), sizeof(struct guest_queue));
    served->line = quoll_handle(quoll_numbered("line", number), QUOLL_OBJECT_LINE);
    served->number = number;
    served->setting = __atomic_load_n(&served->page->served, __ATOMIC_SEQ_CST);
    const struct block_queue_setup setup = {
        .submit = submit,
        .host = served,
        .queue = &served->ring,
        .geometry = &served->geometry,
        .buffer = buffers->buffer[buffer].address,
        .buffer_size = buffers->buffer[buffer].size,
        .buffer_number = buffer,
        .direct_writes = true,
        .serial = "",
    };
    block_queue_start(&served->queue, &setup);
}

void guest_queues_find(struct engine *engine, const struct block_buffers *buffers,
                       const uint64_t *allowed_buffers, uint32_t count)
{
    const struct quoll_environment_entry *ram = quoll_find(QUOLL_ENVIRONMENT_MEMORY, "guest-ram");
    for (uint32_t number = 0; number < CONFIG_MAX_CLIENTS; number++)
        guest.client[number].page = NULL;
    guest.engine = engine;
    if (ram == NULL)
        return;
    guest.ram = (struct guest_ram){(uint8_t *)(uintptr_t)ram->address, ram->size};
    for (uint32_t number = 0; number < count; number++)
        if (allowed_buffers[number] != 0 &&
            quoll_find(QUOLL_ENVIRONMENT_MEMORY, quoll_numbered("queue", number)) != NULL)
            find(number, buffers, allowed_buffers[number]);
}
