/* Validation of the system image. Pure: reads only [image, image + size). */
#ifndef KERNEL_IMAGE_H
#define KERNEL_IMAGE_H

#include <quoll/image.h>
#include <stdbool.h>
#include <stddef.h>

/* A checked image: every index, range and reference in it is good. */
struct image {
    const struct image_header *header;
    uint64_t size;
#define TABLE(name, limit)                                                                         \
    const struct image_##name *name##s;                                                            \
    uint32_t name##_count;
    IMAGE_TABLES(TABLE)
#undef TABLE
};

/* On failure returns false and writes what is wrong, where, and the remedy into `reason`. */
bool image_check(const void *bytes, uint64_t size, struct image *image, char *reason,
                 size_t reason_size);

#endif
