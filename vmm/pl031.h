/*
 * The guest's wall clock: an Arm PL031 (DDI 0224), counting seconds since 1970. It starts from what the system
 * description's builder knew, moves on with the system counter, and keeps what the guest sets it to
 * across resets of the guest. Device thread only.
 */
#ifndef VMM_PL031_H
#define VMM_PL031_H

#include "device_tree.h"
#include "vgic.h"

struct pl031 {
    struct vgic *vgic;
    uint64_t offset; /* seconds to add to those of the system counter */
    uint32_t load, match, mask, raw;
};

void pl031_start(struct pl031 *clock, struct vgic *vgic, uint64_t boot_time);
void pl031_reset(struct pl031 *clock);
void pl031_access(struct pl031 *clock, struct access *access);
void pl031_describe(struct tree *tree, uint32_t clock);

#endif
