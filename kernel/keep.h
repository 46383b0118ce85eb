/*
 * Memory that outlives a reset of the machine: regions of the image with IMAGE_REGION_KEEP.
 *
 * The kernel remembers, in a record of its own that is not cleared at boot, for which image it has kept memory and where that
 * lies. Regions are left as they are if and only if the record is whole, the image is the same one to the last bit of what its
 * checksum covers, and all of them lie where they lay. Otherwise they are cleared like all other memory, so no system of this
 * kernel sees what another one has left; and the record is gone before that begins, so a system that comes back after another one
 * has run finds nothing either.
 *
 * Whether the memory still holds what was written is not known here: after power-on the record is no record, most likely, but who
 * uses such a region must check what is in it.
 *
 * Boot core only, at boot.
 */
#ifndef KERNEL_KEEP_H
#define KERNEL_KEEP_H

#include "start_parts.h"

/* Whether the region may outlive a reset. */
static inline bool keep_wants(const struct image_region *region)
{
    return region->kind == IMAGE_REGION_RAM && (region->flags & IMAGE_REGION_KEEP) != 0;
}

/* All regions that want it have their places (regions[]): whether they keep their contents. If not, nothing is remembered any
 * more. */
bool keep_decide(void);
/* They hold now what is to be kept: contents of this image's, or zeroes. */
void keep_remember(void);

#endif
