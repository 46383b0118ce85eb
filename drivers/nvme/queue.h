/*
 * One NVMe queue pair: a submission ring that the driver fills and a completion ring that the controller fills.
 *
 * The phase bit of a completion entry flips with each turn of the ring; an entry is new when its phase is the
 * expected one. The caller never has more than depth - 1 commands in flight, so neither ring can overrun.
 * Doorbells are written once per batch: queue_ring() after puts, queue_release() after takes.
 */
#ifndef NVME_QUEUE_H
#define NVME_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include "specification.h"

struct nvme_queue {
    struct nvme_command *submissions;    /* read by the device */
    struct nvme_completion *completions; /* written by the device */
    volatile uint32_t *submission_doorbell;
    volatile uint32_t *completion_doorbell;
    uint32_t depth;    /* entries of each ring */
    uint32_t tail;     /* next submission entry */
    uint32_t rung;     /* tail that the device was told */
    uint32_t head;     /* next completion entry */
    uint32_t released; /* head that the device was told */
    uint16_t phase;    /* of entries that are new */
};

/* Clears both rings. */
void queue_start(struct nvme_queue *queue, uint32_t depth);
void queue_put(struct nvme_queue *queue, const struct nvme_command *command);
void queue_ring(struct nvme_queue *queue);
bool queue_take(struct nvme_queue *queue, struct nvme_completion *completion);
void queue_release(struct nvme_queue *queue);

#endif
