/*
 * What the parts of start.c share: what is being built, and from what. Boot core only, except start_share().
 *
 *     start_place.c         free memory, and where regions go in it
 *     start_spaces.c        stage-2 tables
 *     start_objects.c       components, threads, channels, interrupts, VMs
 *     start_environment.c   what components are told
 */
#ifndef KERNEL_START_PARTS_H
#define KERNEL_START_PARTS_H

#include "start.h"

#define BLOCK_SIZE (UINT64_C(2) << 20)

struct builder {
    const struct image *image;
    const struct machine *machine;
    paddr_t image_base;
    struct devicetree_node devices[QUOLL_MAX_DEVICES]; /* of the image's devices, on this machine */
    bool kept; /* regions that outlive a reset have done so */
};
extern struct builder build;

static inline void start_copy(uint64_t to, const void *from, uint64_t size)
{
    __builtin_memcpy((void *)(uintptr_t)to, from, size);
}

/* For messages. */
static inline const char *start_device_name(uint32_t device)
{
    return build.image->devices[device].compatible;
}

/* Finds what is free: nothing is allocated yet. */
void place_start(const struct start_request *request);
/* Places and fills all regions. What is large is only noted to be zeroed: start_share() does it. */
void place_regions(struct start_result *result);
/* When all is placed, and before anything runs: that the kernel, its tables, the system image and every region of memory share no page
 * with one another, whatever was believed on the way; else the machine stops. */
void place_verify(const struct start_request *request, const struct start_result *result);
/* Takes free memory; stops the machine when there is none, naming what it was for. */
paddr_t place_allocate(uint64_t size, const char *what);

/* Needs the regions' places. */
void spaces_build(struct start_result *result);
/* Size 0 in the image: the rest of the region. */
uint64_t spaces_mapping_size(const struct image_mapping *mapping);

/* Fills the arrays of object.h, except regions[]. */
void objects_build(void);

/* Needs everything else. */
void environment_write(uint32_t component);

#endif
