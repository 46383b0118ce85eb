/*
 * CRC-32C by the CRC32C instructions (Arm ARM C6.2: optional in Armv8.0, there in every core that Quoll runs on); see
 * checksum.h. A block of 4 KiB takes about 700 instructions.
 */
#include "../checksum.h"

#include <string.h>

#define UNROLLED 4u

static inline uint32_t add_word(uint32_t sum, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(sum) : "r"(word));
    return sum;
}

static inline uint32_t add_byte(uint32_t sum, uint8_t byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(sum) : "r"((uint32_t)byte));
    return sum;
}

static inline uint32_t add_words(uint32_t sum, const uint8_t *bytes)
{
    uint64_t word[UNROLLED];
    memcpy(word, __builtin_assume_aligned(bytes, sizeof(word[0])), sizeof(word));
    for (unsigned i = 0; i < UNROLLED; i++)
        sum = add_word(sum, word[i]);
    return sum;
}

uint32_t checksum(uint32_t before, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    uint32_t sum = ~before;
    size_t at = 0;
    while (((uintptr_t)(byte + at) % sizeof(uint64_t)) != 0 && at < size)
        sum = add_byte(sum, byte[at++]);
    for (; size - at >= UNROLLED * sizeof(uint64_t); at += UNROLLED * sizeof(uint64_t))
        sum = add_words(sum, byte + at);
    while (at < size)
        sum = add_byte(sum, byte[at++]);
    return ~sum;
}
