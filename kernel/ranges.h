/*
 * Ranges of physical addresses, and whether they share any. Pure; an end beyond 2^64 counts as beyond, so nothing wraps.
 */
#ifndef KERNEL_RANGES_H
#define KERNEL_RANGES_H

#include "devicetree.h"

/* What is proved of this file (tests/proof): these three decide exactly what they are named after. */
/*@ predicate overlap(struct devicetree_range *a, struct devicetree_range *b) =
      \exists integer at; a->base <= at < a->base + a->size && b->base <= at < b->base + b->size;
    predicate clear(struct devicetree_range *one, struct devicetree_range *range, integer count) =
      \forall integer i; 0 <= i < count ==> !overlap(one, range + i);
    predicate apart(struct devicetree_range *range, integer count) =
      \forall integer i; 0 <= i < count ==> clear(range + i, range, i); */

/*@ requires \valid_read(a) && \valid_read(b);
    assigns \nothing;
    ensures \result <==> overlap(a, b); */
bool ranges_overlap(const struct devicetree_range *a, const struct devicetree_range *b);
/* Whether one range shares nothing with any of those. */
/*@ requires \valid_read(one) && \valid_read(range + (0 .. count - 1));
    assigns \nothing;
    ensures \result <==> clear(one, range, count); */
bool ranges_clear(const struct devicetree_range *one, const struct devicetree_range *range,
                  uint32_t count);
/* Whether no two of them share anything. */
/*@ requires \valid_read(range + (0 .. count - 1));
    assigns \nothing;
    ensures \result <==> apart(range, count); */
bool ranges_apart(const struct devicetree_range *range, uint32_t count);

#endif
