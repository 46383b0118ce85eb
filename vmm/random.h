/*
 * A random generator: ChaCha20 (RFC 8439) whose key is replaced after every use by output that is never
 * given away, so that what was given out earlier cannot be computed from a later state. Each user has a generator of its own.
 */
#ifndef VMM_RANDOM_H
#define VMM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint32_t key[8];
    uint64_t blocks; /* made so far */
};

/* Mixes bytes into the state; all-zero stretches cost and change nothing. */
void random_absorb(struct random *random, const void *bytes, size_t size);
void random_bytes(struct random *random, void *bytes, size_t size);

/* One block of ChaCha20: state of 16 words to 16 words of key stream. */
void chacha20_block(const uint32_t state[16], uint32_t out[16]);

#endif
