/*
 * The bound: what the buffer's contents cost to drain, and what may still be promised; see buffer.h. Pure arithmetic: slots are
 * at most BUFFER_MAX_SLOTS and costs at most 2^40 ns each, so no sum overflows.
 */
#include "bound.h"

/*@ lemma product_bounded: \forall integer a, b, x, y; 0 <= a <= x && 0 <= b <= y ==> 0 <= a * b <= x * y; */

/*@ assigns \nothing;
    ensures \result <= COST_LIMIT && \result <= cost; */
static uint64_t limited(uint64_t cost)
{
    return cost < COST_LIMIT ? cost : COST_LIMIT;
}

/*@ requires \valid(buffer) && buffer->slot_count <= BUFFER_MAX_SLOTS;
    requires buffer->slots <= BUFFER_MAX_SLOTS && buffer->heads <= BUFFER_MAX_SLOTS;
    assigns buffer->slot_limit, buffer->budget, buffer->slot_cost, buffer->head_cost;
    ensures is_bounded(buffer) && buffer->slot_limit <= slot_limit && buffer->budget == budget; */
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
    //@ assert slots * buffer->slot_cost <= 2 * BUFFER_MAX_SLOTS * COST_LIMIT;
    //@ assert heads * buffer->head_cost <= 2 * BUFFER_MAX_SLOTS * COST_LIMIT;
    return slots * buffer->slot_cost + heads * buffer->head_cost;
}

/*@ requires is_bounded(buffer);
    assigns \nothing;
    ensures \result == time_to_drain(buffer, buffer->slots, buffer->heads); */
uint64_t buffer_cost(const struct buffer *buffer)
{
    return bound_cost(buffer, buffer->slots, buffer->heads);
}

bool bound_allows(const struct buffer *buffer, uint32_t slots, uint32_t heads)
{
    return buffer->slots + slots <= buffer->slot_limit &&
           bound_cost(buffer, buffer->slots + slots, buffer->heads + heads) <= buffer->budget;
}

/*@ requires is_bounded(buffer);
    assigns \nothing;
    ensures \result ==> 1 <= buffer->slot_limit && time_to_drain(buffer, 1, 1) <= buffer->budget; */
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
