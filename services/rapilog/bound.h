/* The bound on what the buffer may promise (buffer.h), as its siblings ask for it. */
#ifndef RAPILOG_BOUND_H
#define RAPILOG_BOUND_H

#include "buffer.h"

/* Time to drain so many slots with so many heads, ns. */
uint64_t bound_cost(const struct buffer *buffer, uint32_t slots, uint32_t heads);
/* Whether the bound holds with that many slots and heads more. */
bool bound_allows(const struct buffer *buffer, uint32_t slots, uint32_t heads);
/* Whether the epoch has reached its part of the bound. */
bool bound_part_reached(const struct buffer *buffer, const struct buffer_epoch *epoch,
                        uint32_t parts);

#endif
