/*
 * From a checked system image and the machine found to objects that can run.
 *
 * start_build() runs once, on the boot core, with all RAM mapped. It places regions, fills every array of object.h, builds the stage-2
 * tables, writes the components' environments and contents. Whatever is impossible stops the machine
 * with a message (kstop) that names the thing and the remedy. Afterwards nothing is ever allocated.
 */
#ifndef KERNEL_START_H
#define KERNEL_START_H

#include "image.h"
#include "machine.h"
#include "object.h"

struct start_request {
    const struct image *image;
    const struct machine *machine;
    paddr_t image_base;
    struct devicetree_range kernel; /* the running kernel, bss included */
};

/* Memory that the kernel itself goes on using after boot. */
struct start_result {
    struct devicetree_range tables; /* stage-2 tables */
    struct devicetree_range shared; /* vCPU and interrupt pages */
    uint64_t placed;                /* bytes of RAM given to regions */
};

void start_build(const struct start_request *request, struct start_result *result);
/* Each core, after start_build(): does its share of zeroing the regions; they are zero when every core has
 * returned from it. */
void start_share(void);
/* Each core, for itself, before core_run(): its threads that do not start suspended become ready. */
void start_core(struct core *core);

#endif
