/*
 * Rings: how data moves between two components.
 *
 * A ring is a single-producer single-consumer queue of fixed-size entries in memory that both sides
 * map writable. Neither side trusts the other: each keeps its own index privately, reads the
 * peer's index once per look, treats an impossible distance as "nothing there" (and counts it), and copies an
 * entry out before it looks at it.
 *
 * Indices count entries since the start and wrap at 2^32; slot = index % capacity, capacity a power of two.
 *
 * Signals are suppressed while the other side is busy: a consumer that is about to sleep sets
 * `consumer_sleeps`, looks once more, then waits. A producer that has published entries signals only if it
 * finds the flag set, and clears it. Both use sequentially consistent fences between their store and
 * their load (Dekker), so no wake-up is lost.
 */
#ifndef QUOLL_RING_H
#define QUOLL_RING_H

#include <stdbool.h>
#include <stdint.h>

/* The shared part. */
struct quoll_ring {
    uint32_t produced; /* written by the producer only */
    uint32_t pad0[15];
    uint32_t consumed; /* written by the consumer only */
    uint32_t consumer_sleeps;
    uint32_t pad1[14];
};

/* One side's private view. */
struct quoll_ring_end {
    struct quoll_ring *ring;
    uint8_t *entries;
    uint32_t entry_size; /* bytes */
    uint32_t capacity;   /* entries, a power of two */
    uint32_t mine;       /* own index; `produced` or `consumed` */
    uint32_t published;  /* producer: `mine` as the consumer knows it */
    uint32_t nonsense;   /* impossible peer indices seen */
};

/* Both: entries points to capacity * entry_size bytes in the shared memory. The side that creates the
 * link calls with fresh = true (indices to zero); the other takes the indices as they are. */
void quoll_ring_attach(struct quoll_ring_end *end, struct quoll_ring *ring, void *entries,
                       uint32_t entry_size, uint32_t capacity, bool producer, bool fresh);

/* Producer. put: copies one entry in, not yet visible; false when full. publish: makes everything put so
 * far visible; returns true when there was anything and the consumer asked to be signalled. */
uint32_t quoll_ring_space(struct quoll_ring_end *end);
bool quoll_ring_put(struct quoll_ring_end *end, const void *entry);
bool quoll_ring_publish(struct quoll_ring_end *end);

/* Consumer. take: copies one entry out; false when empty. sleep: declares that it will wait; returns false
 * when something arrived meanwhile (then do not wait). awake: takes the declaration back. */
bool quoll_ring_take(struct quoll_ring_end *end, void *entry);
bool quoll_ring_sleep(struct quoll_ring_end *end);
void quoll_ring_awake(struct quoll_ring_end *end);

#endif
