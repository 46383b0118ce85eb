/*
 * The fuzzer's bytes, consumed in order: what a hostile party does next. After the last byte everything is zero, so
 * every input means something and a shorter one means less.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input {
    const uint8_t *bytes;
    size_t size, at;
};

static inline struct input input_of(const uint8_t *bytes, size_t size)
{
    return (struct input){bytes, size, 0};
}

static inline bool input_more(const struct input *input)
{
    return input->at < input->size;
}

/* A number of `width` bytes, low byte first. */
static inline uint64_t input_number(struct input *input, unsigned width)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < width && input_more(input); i++)
        value |= (uint64_t)input->bytes[input->at++] << 8 * i;
    return value;
}

static inline uint8_t input_8(struct input *input)
{
    return (uint8_t)input_number(input, 1);
}

static inline uint16_t input_16(struct input *input)
{
    return (uint16_t)input_number(input, 2);
}

static inline uint32_t input_32(struct input *input)
{
    return (uint32_t)input_number(input, 4);
}

static inline uint64_t input_64(struct input *input)
{
    return input_number(input, 8);
}

/* Splits off the next `size` bytes, or what is left. */
static inline struct input input_part(struct input *input, size_t size)
{
    size_t left = input->size - input->at;
    struct input part = input_of(input->bytes + input->at, size < left ? size : left);
    input->at += part.size;
    return part;
}

/* An oracle: what must hold whatever the input was. Its failure is a finding, like a sanitizer's. */
#define HOLDS(condition)                                                                           \
    ((condition) ? (void)0                                                                         \
                 : (fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition), \
                    abort()))

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
