/*
 * Rings (quoll/ring.h): the one implementation, used by every component and by the tests.
 *
 * Each end has its index in private memory and only publishes it; the peer's index is loaded once per look, and a
 * distance that cannot be (more than the capacity) counts as "nothing there" for a consumer and "no space" for a
 * producer. So whatever a peer writes into the shared part, an end stays inside its entries.
 */
#include <quoll/ring.h>
#include <string.h>

/* What an end is once attached. Contracts are for Frama-C (tests/proof): the shared part may change between any two
 * reads, so nothing is said about it. */
/*@ predicate is_end(struct quoll_ring_end *end) =
      \valid(end) && \valid(end->ring) && 0 < end->capacity <= 65536 && 0 < end->entry_size <= 4096 &&
      \valid(end->entries + (0 .. end->capacity * end->entry_size - 1)) &&
      \separated(end, end->ring, end->entries + (0 .. end->capacity * end->entry_size - 1)); */

/*@ requires \valid(end) && \valid(ring) && \separated(end, ring);
    assigns *end, *ring;
    ensures end->ring == ring && end->entries == (uint8_t *)entries && end->entry_size == entry_size;
    ensures end->capacity == capacity && end->nonsense == 0; */
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
    end->published = end->mine;
}

/*@ lemma last_fits: \forall integer n, count, size; 0 <= n < count && 0 < size ==> n * size + size <= count * size; */

/*@ requires 0 < capacity;
    assigns \nothing;
    ensures \result < capacity; */
static uint32_t slot_number(uint32_t index, uint32_t capacity /* a power of two */)
{
    return index & (capacity - 1);
}

/*@ requires 0 < end->capacity <= 65536 && 0 < end->entry_size <= 4096 && \valid_read(end);
    assigns \nothing;
    ensures \result + end->entry_size <= end->capacity * end->entry_size; */
static size_t slot_offset(const struct quoll_ring_end *end, uint32_t index)
{
    uint32_t number = slot_number(index, end->capacity);
    //@ assert number * end->entry_size + end->entry_size <= end->capacity * end->entry_size;
    return (size_t)number * end->entry_size;
}

/*@ requires is_end(end);
    assigns end->nonsense;
    ensures is_end(end) && \result <= end->capacity; */
uint32_t quoll_ring_space(struct quoll_ring_end *end)
{
    uint32_t used = end->mine - __atomic_load_n(&end->ring->consumed, __ATOMIC_ACQUIRE);
    if (used > end->capacity) {
        end->nonsense++;
        return 0;
    }
    return end->capacity - used;
}

/*@ requires is_end(end) && \valid_read((uint8_t *)entry + (0 .. end->entry_size - 1));
    requires \separated((uint8_t *)entry + (0 .. end->entry_size - 1), end, end->ring,
                        end->entries + (0 .. end->capacity * end->entry_size - 1));
    assigns end->nonsense, end->mine, end->entries[0 .. end->capacity * end->entry_size - 1];
    ensures is_end(end);
    ensures \result ==> end->mine == (uint32_t)(\old(end->mine) + 1);
    ensures !\result ==> end->mine == \old(end->mine); */
bool quoll_ring_put(struct quoll_ring_end *end, const void *entry)
{
    if (quoll_ring_space(end) == 0)
        return false;
    memcpy(end->entries + slot_offset(end, end->mine), entry, end->entry_size);
    end->mine++;
    return true;
}

/*@ requires is_end(end);
    assigns end->published, end->ring->produced, end->ring->consumer_sleeps;
    ensures is_end(end) && end->published == end->mine;
    ensures \old(end->published) == \old(end->mine) ==> !\result; */
bool quoll_ring_publish(struct quoll_ring_end *end)
{
    if (end->published == end->mine)
        return false;
    end->published = end->mine;
    __atomic_store_n(&end->ring->produced, end->mine, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&end->ring->consumer_sleeps, __ATOMIC_RELAXED) == 0)
        return false;
    return __atomic_exchange_n(&end->ring->consumer_sleeps, 0, __ATOMIC_RELAXED) != 0;
}

/* How many entries the consumer may take. */
/*@ requires is_end(end);
    assigns end->nonsense;
    ensures is_end(end) && \result <= end->capacity; */
static uint32_t available(struct quoll_ring_end *end)
{
    uint32_t count = __atomic_load_n(&end->ring->produced, __ATOMIC_ACQUIRE) - end->mine;
    if (count > end->capacity) {
        end->nonsense++;
        return 0;
    }
    return count;
}

/*@ requires is_end(end) && \valid((uint8_t *)entry + (0 .. end->entry_size - 1));
    requires \separated((uint8_t *)entry + (0 .. end->entry_size - 1), end, end->ring,
                        end->entries + (0 .. end->capacity * end->entry_size - 1));
    assigns end->nonsense, end->mine, end->ring->consumed, ((uint8_t *)entry)[0 .. end->entry_size - 1];
    ensures is_end(end);
    ensures \result ==> end->mine == (uint32_t)(\old(end->mine) + 1) && end->ring->consumed == end->mine;
    ensures !\result ==> end->mine == \old(end->mine); */
bool quoll_ring_take(struct quoll_ring_end *end, void *entry)
{
    if (available(end) == 0)
        return false;
    memcpy(entry, end->entries + slot_offset(end, end->mine), end->entry_size);
    end->mine++;
    __atomic_store_n(&end->ring->consumed, end->mine, __ATOMIC_RELEASE);
    return true;
}

/*@ requires is_end(end);
    assigns end->nonsense, end->ring->consumer_sleeps;
    ensures is_end(end) && (end->ring->consumer_sleeps == (\result ? 1 : 0)); */
bool quoll_ring_sleep(struct quoll_ring_end *end)
{
    __atomic_store_n(&end->ring->consumer_sleeps, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (available(end) == 0)
        return true;
    quoll_ring_awake(end);
    return false;
}

/*@ requires is_end(end);
    assigns end->ring->consumer_sleeps;
    ensures end->ring->consumer_sleeps == 0; */
void quoll_ring_awake(struct quoll_ring_end *end)
{
    __atomic_store_n(&end->ring->consumer_sleeps, 0, __ATOMIC_RELAXED);
}
