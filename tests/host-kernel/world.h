/*
 * A world: a random but valid system on a simulated machine, brought up by the kernel's own start-up code.
 *
 * world_boot() makes a system image and a device tree from the random numbers, checks the image, and builds everything from it
 * as boot.c does on a machine, core by core. A seed therefore gives one world.
 */
#ifndef WORLD_H
#define WORLD_H

#include <quoll/image.h>
#include "devicetree.h"
#include <stdbool.h>

enum world_limit {
    WORLD_CORES = 4,
    WORLD_COMPONENTS = 6,
    WORLD_THREADS = 16,
    WORLD_DEVICES = 3,
    WORLD_REGIONS = 40,
    WORLD_MAPPINGS = 64,
    WORLD_OBJECTS = 192,
    WORLD_CHANNELS = 24,
    WORLD_IRQS = 6,
    WORLD_VMS = 2,
    WORLD_VCPUS = 6,
    WORLD_DOORBELLS = 4,
    WORLD_LINES = 4,
    WORLD_PAGED_PAGES = 1200, /* of one VM, at most */
};

/* The image as it lies in memory; tables are filled as far as the header says. */
struct world_image {
    struct image_header header;
    struct image_component components[WORLD_COMPONENTS];
    struct image_thread threads[WORLD_THREADS];
    struct image_device devices[WORLD_DEVICES];
    struct image_region regions[WORLD_REGIONS];
    struct image_mapping mappings[WORLD_MAPPINGS];
    struct image_object objects[WORLD_OBJECTS];
    struct image_channel channels[WORLD_CHANNELS];
    struct image_irq irqs[WORLD_IRQS];
    struct image_vm vms[WORLD_VMS];
    struct image_vcpu vcpus[WORLD_VCPUS];
    struct image_doorbell doorbells[WORLD_DOORBELLS];
    struct image_line lines[WORLD_LINES];
    uint8_t content[8192] __attribute__((aligned(4096)));
};

/* The machine's memory, an arena of this process, and what boot left in it. */
struct world {
    uint8_t *memory;
    uint64_t memory_size;
    struct world_image *image;
    uint32_t supervisor; /* its first thread: nobody can suspend it; all others come before */
    struct devicetree_range kernel;                         /* where the kernel would be */
    struct devicetree_range tree, image_range, reserved[2]; /* that nothing may be placed on */
    struct devicetree_range tables, shared;                 /* that the kernel goes on using */
};

extern struct world world;

/* Makes the next world from random_state. */
void world_boot(void);

/* Its steps. A machine with memory, device tree and image (not sealed), all from random_state... */
void world_prepare(void);
/* ...looked at by the kernel; false: refused, `reason` tells why... */
bool world_check(char *reason, size_t reason_size);
/* Whether the memory that the kernel found is there at all. A tree that tells of other memory, though possible, is another
 * machine's: the kernel cannot know that, and the simulation cannot go on. */
bool world_has_its_memory(void);
/* ...and brought up. */
void world_start(void);

#endif
