/* The bound on what the buffer may promise (buffer.h), as its siblings ask for it. */
#ifndef RAPILOG_BOUND_H
#define RAPILOG_BOUND_H

#include "buffer.h"

#define COST_LIMIT (UINT64_C(1) << 40) /* ns, of one slot or head */

/* Contracts are for Frama-C (tests/proof). */
/*@ predicate is_bounded(struct buffer *buffer) =
      \valid_read(buffer) && buffer->slots <= BUFFER_MAX_SLOTS && buffer->heads <= BUFFER_MAX_SLOTS &&
      buffer->slot_count <= BUFFER_MAX_SLOTS && buffer->slot_limit <= buffer->slot_count &&
      buffer->slot_cost <= COST_LIMIT && buffer->head_cost <= COST_LIMIT;
    logic integer time_to_drain(struct buffer *buffer, integer slots, integer heads) =
      slots * buffer->slot_cost + heads * buffer->head_cost; */

/* Time to drain so many slots with so many heads, ns. */
/*@ requires is_bounded(buffer) && slots <= 2 * BUFFER_MAX_SLOTS && heads <= 2 * BUFFER_MAX_SLOTS;
    assigns \nothing;
    ensures \result == time_to_drain(buffer, slots, heads); */
uint64_t bound_cost(const struct buffer *buffer, uint32_t slots, uint32_t heads);
/* Whether the bound holds with that many slots and heads more. */
/*@ requires is_bounded(buffer) && slots <= 1 && heads <= 1;
    assigns \nothing;
    ensures \result <==> buffer->slots + slots <= buffer->slot_limit &&
      time_to_drain(buffer, buffer->slots + slots, buffer->heads + heads) <= buffer->budget; */
bool bound_allows(const struct buffer *buffer, uint32_t slots, uint32_t heads);
/* Whether the epoch has reached its part of the bound. */
/*@ requires is_bounded(buffer) && \valid_read(epoch) && parts > 0;
    requires epoch->slots <= BUFFER_MAX_SLOTS && epoch->heads <= BUFFER_MAX_SLOTS;
    assigns \nothing; */
bool bound_part_reached(const struct buffer *buffer, const struct buffer_epoch *epoch,
                        uint32_t parts);

#endif
