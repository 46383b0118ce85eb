/*
 * RapiLog as the server of its guest's own queues (quoll/guest_queue.h): the guest's notification comes here, its writes are
 * copied once, from its memory into the buffer, and answered, without its VMM in between.
 *
 * A queue follows the setting that its VMM wishes: *served* or not. A client without the page "queueN" is not lent; its
 * requests come over the link. One thread; the engine's requests and answers of a served volume go through here.
 */
#ifndef RAPILOG_GUEST_QUEUE_H
#define RAPILOG_GUEST_QUEUE_H

#include "engine.h"

#include <quoll/block_io.h>

/* Looks for "queueN" in the environment, for each of `count` clients; buffers: where data of reads goes. */
void guest_queues_find(struct engine *engine, const struct block_buffers *buffers,
                       const uint64_t *allowed_buffers, uint32_t count);
/* The volume's disk has this geometry; before it the queue is not served. */
void guest_queue_ready(uint32_t number, const struct block_geometry *geometry);
/* Whether requests of this client come from its queue. */
bool guest_queue_is_lent(uint32_t number);
/* Follows the wished setting and takes requests. True when there is more to take than was taken; channel: tells the VMM. */
bool guest_queue_take(uint32_t number, uint32_t channel);
/* engine_port_complete() of a lent client. */
void guest_queue_complete(uint32_t number, uint64_t id, enum block_status status);
/* Tells the guest what has been answered. True when the engine got further pieces: it has something to do. */
bool guest_queue_answer(uint32_t number, uint32_t channel);

#endif
