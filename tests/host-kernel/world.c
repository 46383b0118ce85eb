/* Booting a random world; see world.h. */
#include "world.h"
#include "../unit/kernel/machine_tree.h"
#include "../unit/kernel/system_image.h"
#include "host.h"
#include "log.h"
#include "random.h"
#include "start.h"
#include "world_image.h"
#include <sanitizer/asan_interface.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_BYTES (UINT64_C(24) << 20)
#define MEMORY_ALIGNMENT (UINT64_C(2) << 20)
#define ADDRESS_BITS 48u /* of a process, in place of the processor's */
#define KERNEL_OFFSET 0x400000u
#define KERNEL_BYTES 0x180000u
#define IMAGE_OFFSET 0x800000u
#define TREE_OFFSET 0x900000u

struct world world;
_Thread_local uint64_t random_state;

static void memory_make(void)
{
    if (world.memory == NULL) {
        world.memory = aligned_alloc(MEMORY_ALIGNMENT, MEMORY_BYTES);
        world.memory_size = MEMORY_BYTES;
    }
    if (world.memory == NULL) {
        perror("the machine's memory");
        exit(2);
    }
    ASAN_UNPOISON_MEMORY_REGION(world.memory, MEMORY_BYTES);
}

static void tree_make(void)
{
    uint64_t base = (uintptr_t)world.memory;
    struct machine_tree_options options = {base, MEMORY_BYTES, base + IMAGE_OFFSET,
                                           sizeof(struct world_image), world.image->header.cores};
    machine_tree_make(world.memory + TREE_OFFSET, &options);
    world.kernel = (struct devicetree_range){base + KERNEL_OFFSET, KERNEL_BYTES};
    world.tree = (struct devicetree_range){base + TREE_OFFSET, MACHINE_TREE_BYTES};
    world.image_range = (struct devicetree_range){base + IMAGE_OFFSET, sizeof(struct world_image)};
    world.reserved[0] = (struct devicetree_range){base + 0x100000, 0x1000};
    world.reserved[1] = (struct devicetree_range){base + 0x200000, 0x3000};
}

static struct machine machine;

void world_prepare(void)
{
    memory_make();
    world.image = (struct world_image *)(void *)(world.memory + IMAGE_OFFSET);
    world_image_make(world.image);
    tree_make();
    host_reset(world.image->header.cores);
    atomic_store(&host.now, 1000000);
}

bool world_check(char *reason, size_t reason_size)
{
    struct devicetree tree;
    struct devicetree_range uart;
    snprintf(reason, reason_size, "not a device tree");
    if (!devicetree_open(&tree, world.memory + TREE_OFFSET, MACHINE_TREE_BYTES))
        return false;
    machine_find_uart(&tree, &uart);
    klog_start();
    return machine_find(&tree, &machine, reason, reason_size) &&
           machine_reachable(&machine, ADDRESS_BITS, reason, reason_size) &&
           image_check(world.image, sizeof(*world.image), &system_image, reason, reason_size);
}

bool world_has_its_memory(void)
{
    uint64_t base = (uintptr_t)world.memory;
    for (uint32_t i = 0; i < machine.bank_count; i++) {
        const struct devicetree_range *bank = &machine.banks[i];
        if (bank->base < base || bank->base - base > world.memory_size ||
            bank->size > world.memory_size - (bank->base - base))
            return false;
    }
    return true;
}

/* What boot.c does between finding the machine and the first thread. */
void world_start(void)
{
    struct start_request request = {
        .image = &system_image,
        .machine = &machine,
        .image_base = paddr((uintptr_t)world.image),
        .kernel = world.kernel,
    };
    struct start_result result;
    start_build(&request, &result);
    world.tables = result.tables;
    world.shared = result.shared;
    for (uint32_t i = 0; i < core_count; i++) {
        host_core = &cores[i];
        start_share();
        start_core(&cores[i]);
    }
}

void world_boot(void)
{
    char reason[240];
    world_prepare();
    image_seal(&world.image->header);
    if (!world_check(reason, sizeof(reason))) {
        fprintf(stderr, "the world does not boot: %s\n", reason);
        abort();
    }
    world_start();
}
