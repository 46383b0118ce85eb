/*
 * Rings (quoll/ring.h): the one implementation, used by every component and by the tests.
 *
 * Each end has its index in private memory and only publishes it; the peer's index is loaded once per look, and a
 * distance that cannot be (more than the capacity) counts as "nothing there" for a consumer and "no space" for a
 * producer. So whatever a peer writes into the shared part, an end stays inside its entries.
 */
#include <quoll/ring.h>
#include <string.h>

void quoll_ring_attach(struct quoll_ring_end *end, struct quoll_ring *ring, void *entries,
                       uint32_t entry_size, uint32_t capacity, bool producer, bool fresh)
{
    if (fresh) {
        __atomic_store_n(&ring->produced, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&ring->consumed, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&ring->consumer_sleeps, 0, __ATOMIC_RELEASE);
    }
    *end = (struct quoll_ring_end){
        .ring = ring,
        .entries = entries,
        .entry_size = entry_size,
        .capacity = capacity,
        .mine = __atomic_load_n(producer ? &ring->produced : &ring->consumed, __ATOMIC_ACQUIRE),
    };
}

static uint8_t *slot(const struct quoll_ring_end *end, uint32_t index)
{
    return end->entries + (size_t)(index & (end->capacity - 1)) * end->entry_size;
}

uint32_t quoll_ring_space(struct quoll_ring_end *end)
{
    uint32_t used = end->mine - __atomic_load_n(&end->ring->consumed, __ATOMIC_ACQUIRE);
    if (used > end->capacity) {
        end->nonsense++;
        return 0;
    }
    return end->capacity - used;
}

bool quoll_ring_put(struct quoll_ring_end *end, const void *entry)
{
    if (quoll_ring_space(end) == 0)
        return false;
    memcpy(slot(end, end->mine), entry, end->entry_size);
    end->mine++;
    return true;
}

bool quoll_ring_publish(struct quoll_ring_end *end)
{
    __atomic_store_n(&end->ring->produced, end->mine, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&end->ring->consumer_sleeps, __ATOMIC_RELAXED) == 0)
        return false;
    return __atomic_exchange_n(&end->ring->consumer_sleeps, 0, __ATOMIC_RELAXED) != 0;
}

/* How many entries the consumer may take. */
static uint32_t available(struct quoll_ring_end *end)
{
    uint32_t count = __atomic_load_n(&end->ring->produced, __ATOMIC_ACQUIRE) - end->mine;
    if (count > end->capacity) {
        end->nonsense++;
        return 0;
    }
    return count;
}

bool quoll_ring_take(struct quoll_ring_end *end, void *entry)
{
    if (available(end) == 0)
        return false;
    memcpy(entry, slot(end, end->mine), end->entry_size);
    end->mine++;
    __atomic_store_n(&end->ring->consumed, end->mine, __ATOMIC_RELEASE);
    return true;
}

bool quoll_ring_sleep(struct quoll_ring_end *end)
{
    __atomic_store_n(&end->ring->consumer_sleeps, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (available(end) == 0)
        return true;
    quoll_ring_awake(end);
    return false;
}

void quoll_ring_awake(struct quoll_ring_end *end)
{
    __atomic_store_n(&end->ring->consumer_sleeps, 0, __ATOMIC_RELAXED);
}
