/* One NVMe queue pair; see queue.h. */
#include "queue.h"
#include "barrier.h"
#include <string.h>

void queue_start(struct nvme_queue *queue, uint32_t depth)
{
    queue->depth = depth;
    queue->tail = queue->rung = 0;
    queue->head = queue->released = 0;
    queue->phase = NVME_COMPLETION_PHASE;
    memset(queue->submissions, 0, depth * sizeof(struct nvme_command));
    memset(queue->completions, 0, depth * sizeof(struct nvme_completion));
}

static uint32_t next(const struct nvme_queue *queue, uint32_t index)
{
    return index + 1 == queue->depth ? 0 : index + 1;
}

void queue_put(struct nvme_queue *queue, const struct nvme_command *command)
{
    queue->submissions[queue->tail] = *command;
    queue->tail = next(queue, queue->tail);
}

void queue_ring(struct nvme_queue *queue)
{
    if (queue->rung == queue->tail)
        return;
    queue->rung = queue->tail;
    barrier_before_doorbell();
    *queue->submission_doorbell = queue->tail;
}

bool queue_take(struct nvme_queue *queue, struct nvme_completion *completion)
{
    const struct nvme_completion *entry = &queue->completions[queue->head];
    uint16_t status = *(const volatile uint16_t *)&entry->status;
    if ((status & NVME_COMPLETION_PHASE) != queue->phase)
        return false;
    barrier_after_flag();
    memcpy(completion, entry, sizeof(*completion));
    queue->head = next(queue, queue->head);
    if (queue->head == 0)
        queue->phase ^= NVME_COMPLETION_PHASE;
    return true;
}

void queue_release(struct nvme_queue *queue)
{
    if (queue->released == queue->head)
        return;
    queue->released = queue->head;
    barrier_before_doorbell();
    *queue->completion_doorbell = queue->head;
}
