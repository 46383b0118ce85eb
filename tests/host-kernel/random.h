/* Random numbers that a seed repeats: splitmix64. One state per host thread. So that a seed gives the same with every compiler,
 * no expression takes two of them without an order. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stdint.h>

extern _Thread_local uint64_t random_state;

static inline uint64_t random_word(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. limit - 1 */
static inline uint32_t random_below(uint32_t limit)
{
    return (uint32_t)((random_word() >> 32) * limit >> 32);
}

/* true once in `times` */
static inline bool random_once_in(uint32_t times)
{
    return random_below(times) == 0;
}

#endif
