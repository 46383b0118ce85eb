/*
 * The memory and string functions that compilers call and components use. Compiled without builtins, or the compiler
 * would turn each loop into a call of itself. Copies go by 64 bytes where both sides are aligned: components have no FP
 * registers, and with strict alignment the byte loop is the only other choice.
 */
#include <stdint.h>
#include <string.h>

typedef uint64_t __attribute__((may_alias)) word;

/* Eight words: loaded together, then stored together, so that compilers use pairs of registers. */
static void copy_line(word *out, const word *in)
{
    word a = in[0], b = in[1], c = in[2], d = in[3], e = in[4], f = in[5], g = in[6], h = in[7];
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
    out[4] = e, out[5] = f, out[6] = g, out[7] = h;
}

static int both_aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 7) == 0;
}

static inline __attribute__((always_inline)) void *copy_forward(void *to, const void *from,
                                                                size_t size)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if (both_aligned(out, in)) {
        for (; size >= 128; size -= 128, out += 128, in += 128) {
            copy_line((word *)(void *)out, (const word *)(const void *)in);
            copy_line((word *)(void *)out + 8, (const word *)(const void *)in + 8);
        }
        for (; size >= 64; size -= 64, out += 64, in += 64)
            copy_line((word *)(void *)out, (const word *)(const void *)in);
        for (; size >= 8; size -= 8, out += 8, in += 8)
            *(word *)(void *)out = *(const word *)(const void *)in;
    }
    while (size-- > 0)
        *out++ = *in++;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    return copy_forward(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to <= (uintptr_t)from || (uintptr_t)to - (uintptr_t)from >= size)
        return copy_forward(to, from, size);
    uint8_t *out = (uint8_t *)to + size;
    const uint8_t *in = (const uint8_t *)from + size;
    while (size-- > 0)
        *--out = *--in;
    return to;
}

void *memset(void *to, int value, size_t size)
{
    uint8_t *out = to;
    uint64_t pattern = 0x0101010101010101ULL * (uint8_t)value;
    for (; size > 0 && ((uintptr_t)out & 7) != 0; size--)
        *out++ = (uint8_t)value;
    for (; size >= 8; size -= 8, out += 8)
        *(word *)(void *)out = pattern;
    while (size-- > 0)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *left = a, *right = b;
    for (; size > 0; size--, left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != 0)
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t size)
{
    for (; size > 0; size--, a++, b++) {
        if (*a != *b)
            return (uint8_t)*a - (uint8_t)*b;
        if (*a == 0)
            return 0;
    }
    return 0;
}
