/*
 * The bound: what the buffer's contents cost to drain, and what may still be promised; see buffer.h. Pure arithmetic: slots are
 * at most BUFFER_MAX_SLOTS and costs at most 2^40 ns each, so no sum overflows.
 */
#include "bound.h"

#define COST_LIMIT (UINT64_C(1) << 40)

static uint64_t limited(uint64_t cost)
{
    return cost < COST_LIMIT ? cost : COST_LIMIT;
}

void buffer_bound(struct buffer *buffer, uint32_t slot_limit, uint64_t budget, uint64_t slot_cost,
                  uint64_t head_cost)
{
    buffer->slot_limit = slot_limit < buffer->slot_count ? slot_limit : buffer->slot_count;
    buffer->budget = budget;
    buffer->slot_cost = limited(slot_cost);
    buffer->head_cost = limited(head_cost);
}

uint64_t bound_cost(const struct buffer *buffer, uint32_t slots, uint32_t heads)
{
    return slots * buffer->slot_cost + heads * buffer->head_cost;
}

uint64_t buffer_cost(const struct buffer *buffer)
{
    return bound_cost(buffer, buffer->slots, buffer->heads);
}

bool bound_allows(const struct buffer *buffer, uint32_t slots, uint32_t heads)
{
    return buffer->slots + slots <= buffer->slot_limit &&
           bound_cost(buffer, buffer->slots + slots, buffer->heads + heads) <= buffer->budget;
}

bool buffer_can_promise(const struct buffer *buffer)
{
    return buffer->budget > 0 && buffer->slot_limit > 0 &&
           bound_cost(buffer, 1, 1) <= buffer->budget;
}

bool bound_part_reached(const struct buffer *buffer, const struct buffer_epoch *epoch,
                        uint32_t parts)
{
    if (parts <= 1)
        return false;
    uint64_t cost = bound_cost(buffer, epoch->slots, epoch->heads);
    return epoch->slots >= buffer->slot_limit / parts ||
           (buffer->budget > 0 && cost >= buffer->budget / parts);
}
