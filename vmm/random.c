/* ChaCha20 and the generator on it; the contract is in random.h. */
#include "random.h"
#include <string.h>

static uint32_t rotate(uint32_t value, int count)
{
    return value << count | value >> (32 - count);
}

static void quarter_round(uint32_t x[16], int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

void chacha20_block(const uint32_t state[16], uint32_t out[16])
{
    uint32_t x[16];
    memcpy(x, state, sizeof(x));
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++)
            quarter_round(x, i, 4 + i, 8 + i, 12 + i);
        for (int i = 0; i < 4; i++)
            quarter_round(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (int i = 0; i < 16; i++)
        out[i] = x[i] + state[i];
}

/* 64 bytes: the first half becomes the key, the second half is for use. */
static void step(struct random *random, uint32_t out[8])
{
    uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    uint32_t block[16];
    memcpy(state + 4, random->key, sizeof(random->key));
    state[12] = (uint32_t)random->blocks;
    state[13] = (uint32_t)(random->blocks >> 32);
    random->blocks++;
    chacha20_block(state, block);
    memcpy(random->key, block, sizeof(random->key));
    memcpy(out, block + 8, 32);
}

void random_absorb(struct random *random, const void *bytes, size_t size)
{
    const uint8_t *in = bytes;
    for (size_t at = 0; at < size; at += sizeof(random->key)) {
        size_t part = size - at < sizeof(random->key) ? size - at : sizeof(random->key);
        uint32_t words[8] = {0}, unused[8], any = 0;
        memcpy(words, in + at, part);
        for (int i = 0; i < 8; i++)
            any |= words[i];
        if (any == 0)
            continue;
        for (int i = 0; i < 8; i++)
            random->key[i] ^= words[i];
        step(random, unused);
    }
}

void random_bytes(struct random *random, void *bytes, size_t size)
{
    uint8_t *out = bytes;
    uint32_t block[8];
    while (size > 0) {
        size_t part = size < sizeof(block) ? size : sizeof(block);
        step(random, block);
        memcpy(out, block, part);
        out += part;
        size -= part;
    }
    memset(block, 0, sizeof(block));
}
