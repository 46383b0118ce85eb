/*
 * Included before everything else in the kernel's files for the sequential driver: each atomic operation on what cores
 * share becomes a moment at which another core may run. Only there can one core see what another one does half-way, so these are all the
 * interleavings that matter, except that the other core's entry to the kernel always runs to its end.
 */
#ifndef INTERLEAVE_H
#define INTERLEAVE_H

#include <stdatomic.h>

/* The driver's: may run another core. */
void interleave(void);

#undef atomic_load
#undef atomic_store
#undef atomic_exchange
#undef atomic_fetch_or
#undef atomic_fetch_and
#define atomic_load(object) (interleave(), atomic_load_explicit(object, memory_order_seq_cst))
#define atomic_store(object, value)                                                                \
    (interleave(), atomic_store_explicit(object, value, memory_order_seq_cst))
#define atomic_exchange(object, value)                                                             \
    (interleave(), atomic_exchange_explicit(object, value, memory_order_seq_cst))
#define atomic_fetch_or(object, value)                                                             \
    (interleave(), atomic_fetch_or_explicit(object, value, memory_order_seq_cst))
#define atomic_fetch_and(object, value)                                                            \
    (interleave(), atomic_fetch_and_explicit(object, value, memory_order_seq_cst))

#endif
