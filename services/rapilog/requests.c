/*
 * RapiLog's requests: from the client to the buffer or the disk, and the answers. The rules are told in engine.h.
 */
#include "engine.h"

static const struct engine_queue empty_queue = {ENGINE_NONE, ENGINE_NONE};

static void queue_append(struct engine_volume *volume, struct engine_queue *queue, uint16_t number)
{
    volume->request[number].next = ENGINE_NONE;
    if (queue->last == ENGINE_NONE)
        queue->first = number;
    else
        volume->request[queue->last].next = number;
    queue->last = number;
}

static uint16_t queue_take(struct engine_volume *volume, struct engine_queue *queue)
{
    uint16_t number = queue->first;
    queue->first = volume->request[number].next;
    if (queue->first == ENGINE_NONE)
        queue->last = ENGINE_NONE;
    return number;
}

void requests_init(struct engine_volume *volume)
{
    volume->unused = empty_queue;
    volume->writes = empty_queue;
    volume->waiting = empty_queue;
    volume->reads = empty_queue;
    for (uint16_t number = 0; number < ENGINE_REQUESTS; number++)
        queue_append(volume, &volume->unused, number);
}

bool engine_holding(const struct engine *engine, const struct engine_volume *volume)
{
    return engine->phase == ENGINE_RUNNING && !volume->failing && !engine->closed &&
           buffer_can_promise(&engine->buffer);
}

/* Answers a request that is in no queue. */
static void answer(struct engine *engine, struct engine_volume *volume, uint16_t number)
{
    struct engine_request *request = &volume->request[number];
    uint16_t operation = request->asked.operation;
    volume->taken--;
    queue_append(volume, &volume->unused, number);
    if (request->status != BLOCK_OK && operation != BLOCK_READ)
        engine->gauges.failed_requests++;
    if (request->status == BLOCK_OK && operation == BLOCK_WRITE) {
        engine->gauges.acknowledged_writes++;
        engine->gauges.acknowledged_bytes += (uint64_t)request->asked.count * BLOCK_SECTOR;
    }
    engine_port_complete(engine_volume_number(engine, volume), request->asked.id, request->status);
}

bool engine_can_take(const struct engine *engine, uint32_t number)
{
    const struct engine_volume *volume = &engine->volume[number];
    return engine->phase != ENGINE_MAINS && volume->state == VOLUME_SERVING &&
           volume->taken < ENGINE_REQUESTS;
}

static void take_flush(struct engine *engine, struct engine_volume *volume, uint16_t number)
{
    if (engine_holding(engine, volume) ||
        engine->buffer.volume[engine_volume_number(engine, volume)].promised_slots == 0)
        answer(engine, volume, number);
    else
        queue_append(volume, &volume->waiting, number);
}

void engine_take(struct engine *engine, uint32_t volume_number, const struct block_request *asked,
                 uint8_t *data)
{
    struct engine_volume *volume = &engine->volume[volume_number];
    uint16_t number = queue_take(volume, &volume->unused);
    struct engine_request *request = &volume->request[number];
    volume->taken++;
    *request = (struct engine_request){
        .data = data,
        .status = BLOCK_OK,
        .promised = true,
        .next = ENGINE_NONE,
    };
    request->asked = *asked;
    if (asked->operation == BLOCK_FLUSH)
        take_flush(engine, volume, number);
    else if (asked->operation == BLOCK_WRITE)
        queue_append(volume, &volume->writes, number);
    else
        queue_append(volume, &volume->reads, number);
}

/* ---- Writes ---- */

/* The bytes are copied before anything is answered: a guest that changes them later changes nothing here. */
static bool take_write(struct engine *engine, struct engine_volume *volume,
                       struct engine_request *request)
{
    uint32_t number = engine_volume_number(engine, volume);
    bool promise = engine_holding(engine, volume);
    if (!request->begun)
        request->number = buffer_write_number(&engine->buffer, number);
    request->begun = true;
    request->promised = request->promised && promise;
    request->done +=
        buffer_write(&engine->buffer, number, request->number,
                     request->asked.sector + request->done, request->asked.count - request->done,
                     request->data + (size_t)request->done * BLOCK_SECTOR, promise);
    return request->done == request->asked.count;
}

static void step_writes(struct engine *engine, struct engine_volume *volume)
{
    while (volume->writes.first != ENGINE_NONE) {
        struct engine_request *request = &volume->request[volume->writes.first];
        if (!take_write(engine, volume, request)) {
            engine->gauges.waits += request->waited ? 0 : 1;
            request->waited = true;
            return;
        }
        uint16_t number = queue_take(volume, &volume->writes);
        if (request->promised && request->status == BLOCK_OK)
            answer(engine, volume, number);
        else
            queue_append(volume, &volume->waiting, number);
    }
}

/* ---- Reads ---- */

static bool send_read(struct engine *engine, struct engine_volume *volume, uint16_t number,
                      uint32_t count)
{
    struct engine_request *request = &volume->request[number];
    struct block_request piece = request->asked;
    piece.sector += request->done;
    piece.offset += (uint64_t)request->done * BLOCK_SECTOR;
    piece.count = count;
    const struct engine_command command = {.kind = ENGINE_COMMAND_READ, .request = number};
    if (!engine_send(engine, volume, &command, &piece))
        return false;
    request->pieces++;
    return true;
}

/* Issues or copies piece after piece; false when the disk takes no more for now. */
static bool step_read(struct engine *engine, struct engine_volume *volume, uint16_t number)
{
    struct engine_request *request = &volume->request[number];
    while (request->done < request->asked.count) {
        bool held;
        uint32_t count =
            buffer_read(&engine->buffer, engine_volume_number(engine, volume),
                        request->asked.sector + request->done, request->asked.count - request->done,
                        request->data + (size_t)request->done * BLOCK_SECTOR, &held);
        if (!held && !send_read(engine, volume, number, count))
            return false;
        request->done += count;
    }
    return true;
}

static void step_reads(struct engine *engine, struct engine_volume *volume)
{
    while (volume->reads.first != ENGINE_NONE) {
        uint16_t number = volume->reads.first;
        if (!step_read(engine, volume, number))
            return;
        (void)queue_take(volume, &volume->reads);
        if (volume->request[number].pieces == 0)
            answer(engine, volume, number);
    }
}

void requests_read_done(struct engine *engine, struct engine_volume *volume, uint16_t number,
                        enum block_status status)
{
    struct engine_request *request = &volume->request[number];
    request->pieces--;
    if (status != BLOCK_OK) {
        engine->gauges.read_errors++;
        request->status = status;
    }
    if (request->pieces > 0 || request->done < request->asked.count)
        return;
    if (engine->phase == ENGINE_MAINS)
        queue_append(volume, &volume->waiting, number);
    else
        answer(engine, volume, number);
}

void requests_step(struct engine *engine, struct engine_volume *volume)
{
    if (volume->state != VOLUME_SERVING || engine->phase == ENGINE_MAINS)
        return;
    if (!engine->journal.abandoned) /* the dump area still takes slots that may be free again */
        step_writes(engine, volume);
    step_reads(engine, volume);
}

/* ---- After an epoch ---- */

static void refuse_in(struct engine_volume *volume, const struct engine_queue *queue,
                      const struct buffer_fate *fate)
{
    for (uint16_t n = queue->first; n != ENGINE_NONE; n = volume->request[n].next) {
        struct engine_request *request = &volume->request[n];
        if (request->asked.operation != BLOCK_WRITE || !request->begun)
            continue;
        uint64_t first = request->asked.sector / BUFFER_BLOCK_SECTORS;
        uint64_t last = (request->asked.sector + request->asked.count - 1) / BUFFER_BLOCK_SECTORS;
        if (fate->first_write <= request->number && request->number <= fate->last_write &&
            first <= fate->block && fate->block <= last)
            request->status = BLOCK_IO_ERROR;
    }
}

void requests_refused(struct engine_volume *volume, const struct buffer_fate *fate)
{
    refuse_in(volume, &volume->waiting, fate);
    refuse_in(volume, &volume->writes, fate);
}

/* Whether a waiting request can be answered, its status being set. */
static bool settled(struct engine *engine, struct engine_volume *volume,
                    struct engine_request *request, bool failed)
{
    uint32_t number = engine_volume_number(engine, volume);
    if (request->status != BLOCK_OK || request->asked.operation == BLOCK_READ)
        return true;
    if (request->asked.operation == BLOCK_WRITE)
        return !buffer_holds_write(&engine->buffer, number, request->number, request->asked.sector,
                                   request->asked.count);
    if (engine_holding(engine, volume) || engine->buffer.volume[number].promised_slots == 0)
        return true;
    if (failed)
        request->status = BLOCK_IO_ERROR;
    return failed;
}

/* Answers writes that are not wholly in the buffer with an error. */
static void refuse_writes(struct engine *engine, struct engine_volume *volume)
{
    while (volume->writes.first != ENGINE_NONE) {
        uint16_t number = queue_take(volume, &volume->writes);
        volume->request[number].status = BLOCK_IO_ERROR;
        answer(engine, volume, number);
    }
}

void engine_refuse_waiting(struct engine *engine, uint32_t volume)
{
    refuse_writes(engine, &engine->volume[volume]);
}

void requests_settle(struct engine *engine, struct engine_volume *volume, bool failed)
{
    struct engine_queue before = volume->waiting;
    if (engine->phase == ENGINE_MAINS)
        return;
    volume->waiting = empty_queue;
    while (before.first != ENGINE_NONE) {
        uint16_t number = queue_take(volume, &before);
        if (settled(engine, volume, &volume->request[number], failed))
            answer(engine, volume, number);
        else
            queue_append(volume, &volume->waiting, number);
    }
    if (failed) {
        /* Those that find no space although nothing has to be promised: what the disk refuses takes all of it. */
        step_writes(engine, volume);
        refuse_writes(engine, volume);
    }
}

void requests_fail_waiting(struct engine *engine, struct engine_volume *volume)
{
    for (uint16_t n = volume->waiting.first; n != ENGINE_NONE; n = volume->request[n].next)
        volume->request[n].status = BLOCK_IO_ERROR;
    if (volume->state == VOLUME_SERVING)
        requests_settle(engine, volume, true);
}
