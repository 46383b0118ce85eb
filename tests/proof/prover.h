/*
 * What the provers are told in the place of C that they do not know; included before every file that is proved.
 *
 * Atomic accesses become plain ones for memory that one thread writes. With PROOF_PEER (rings) a load
 * returns anything: the peer may have written anything since the last one.
 */
#ifndef PROOF_PROVER_H
#define PROOF_PROVER_H

#include <stdint.h>
#include <string.h>

#define _Static_assert(...)
#define _Noreturn
#define _Atomic
#define _Alignas(n)
#define __extension__
#define __ATOMIC_RELAXED 0
#define __ATOMIC_ACQUIRE 2
#define __ATOMIC_RELEASE 3
#define __ATOMIC_SEQ_CST 5

/*@ requires \valid_read(from);
    terminates \true;
    exits \false;
    assigns \nothing; */
uint32_t proof_load(const uint32_t *from);

#ifdef PROOF_PEER
#    define __atomic_load_n(from, order) proof_load(from)
#else
#    define __atomic_load_n(from, order) (*(from))
#endif
/*@ requires \valid(to) && \valid(expected);
    terminates \true;
    exits \false;
    assigns *to, *expected; */
_Bool proof_compare_exchange(uint64_t *to, uint64_t *expected, uint64_t value);
#define __atomic_compare_exchange_n(to, expected, value, weak, success, failure)                   \
    proof_compare_exchange(to, expected, value)
#define __atomic_store_n(to, value, order) (*(to) = (value))
/*@ requires \valid(to);
    terminates \true;
    exits \false;
    assigns *to;
    ensures *to == value; */
uint32_t proof_exchange(uint32_t *to, uint32_t value);
#define __atomic_exchange_n(to, value, order) proof_exchange(to, value)
#define __atomic_thread_fence(order)

/*@ requires \valid(to + (0 .. size - 1)) && \valid_read(from + (0 .. size - 1));
    requires \separated(to + (0 .. size - 1), from + (0 .. size - 1));
    terminates \true;
    exits \false;
    assigns to[0 .. size - 1];
    ensures \forall integer i; 0 <= i < size ==> to[i] == from[i]; */
void proof_copy(uint8_t *to, const uint8_t *from, uint64_t size);
#define memcpy(to, from, size) proof_copy((uint8_t *)(to), (const uint8_t *)(from), size)

/*@ requires \valid_read(a + (0 .. size - 1)) && \valid_read(b + (0 .. size - 1));
    terminates \true;
    exits \false;
    assigns \nothing;
    ensures \result == 0 <==> (\forall integer i; 0 <= i < size ==> a[i] == b[i]); */
int proof_compare(const uint8_t *a, const uint8_t *b, uint64_t size);
#define memcmp(a, b, size) proof_compare((const uint8_t *)(a), (const uint8_t *)(b), size)

/* Messages: what they say is nothing to prove; where they go is. */
/*@ requires \valid(buffer + (0 .. size - 1));
    terminates \true;
    exits \false;
    assigns buffer[0 .. size - 1];
    assigns \result \from size; */
size_t text_format(char *buffer, size_t size, const char *format, ...);

/* Where stage-2 tables lie. */
#define PROOF_TABLES 4096
extern uint64_t proof_tables[PROOF_TABLES * 512];

/* True of all numbers, but nothing that the provers find out by themselves. */
/*@ axiomatic bits {
      axiom masked_is_smaller: \forall integer x, mask; 0 <= x && 0 <= mask ==> 0 <= (x & mask) <= mask;
      axiom masked_index: \forall integer x, size; 0 <= x && 0 < size <= 0x80000000 ==>
        0 <= (x & (uint32_t)(size - 1)) < size;
      axiom masked_index_exact: \forall integer x, size; 0 <= x && 0 < size ==> 0 <= (x & (size - 1)) < size;
      axiom masked_page_offset: \forall integer x; 0 <= x ==> (x & 4095) == x % 4096;
      axiom masked_address: \forall integer x; 0 <= x ==> (x & 0x0000fffffffff000) % 4096 == 0;
    } */

#endif
