/*
 * Systems that something is wrong with: the image or the device tree of a good world, changed at random. See damaged.h.
 *
 * The kernel refuses it with a reason, or stops with a message, or starts it. What it starts may be nonsense, but no address
 * space in it reaches what is the kernel's own.
 */
#include "damaged.h"
#include "../unit/kernel/machine_tree.h"
#include "../unit/kernel/system_image.h"
#include "host.h"
#include "log.h"
#include "model.h"
#include "random.h"
#include "spaces.h"
#include <string.h>

#define BOOTS 8u

static uint64_t nonsense(uint64_t before)
{
    switch (random_below(8)) {
    case 0:
        return before + 1;
    case 1:
        return before - 1;
    case 2:
        return IMAGE_NONE;
    case 3:
        return random_word();
    case 4:
        return before ^ UINT64_C(1) << random_below(64);
    case 5:
        return random_below(1024) * QUOLL_PAGE_SIZE;
    default:
        return random_below(16);
    }
}

static void damage_word(uint8_t *at, bool wide)
{
    uint64_t word = 0;
    size_t size = wide ? 8 : 4;
    memcpy(&word, at, size);
    word = nonsense(word);
    memcpy(at, &word, size);
}

/* A field of the header, or of a record that counts. */
static void damage_image(void)
{
    struct world_image *image = world.image;
    const struct image_table *table = &image->header.tables[random_below(IMAGE_TABLE_COUNT)];
    static const uint32_t sizes[] = {
#define TABLE(name, limit) sizeof(struct image_##name),
        IMAGE_TABLES(TABLE)
#undef TABLE
    };
    uint32_t offset = 4 * random_below(sizeof(image->header) / 4);
    if (!random_once_in(16) && table->count != 0 && table->offset < sizeof(*image) / 2) {
        uint32_t size = sizes[table - image->header.tables];
        offset = table->offset + random_below(table->count) * size;
        offset += 4 * random_below(size / 4);
    }
    if (offset + 8 <= offsetof(struct world_image, content))
        damage_word((uint8_t *)image + offset, random_once_in(2));
}

static void seal(void)
{
    if (world.image->header.checked_size <= sizeof(*world.image))
        image_seal(&world.image->header);
}

static bool overlap(const struct devicetree_range *range, uint64_t base, uint64_t size)
{
    return range->size != 0 && base < range->base + range->size && range->base < base + size;
}

static void check_leaf(void *context, const struct leaf *leaf)
{
    uint64_t log_size, log = klog_memory(&log_size).value;
    const struct devicetree_range logs = {log, log_size};
    if (overlap(&world.kernel, leaf->physical, leaf->size) ||
        overlap(&world.tables, leaf->physical, leaf->size) ||
        overlap(&world.tree, leaf->physical, leaf->size))
        broken("a damaged system maps %lx, which is the kernel's", leaf->physical);
    if ((leaf->rights & QUOLL_WRITE) != 0 &&
        (overlap(&world.image_range, leaf->physical, leaf->size) ||
         overlap(&logs, leaf->physical, leaf->size)))
        broken("a damaged system may write %lx, which is the kernel's", leaf->physical);
}

static void check_spaces(void)
{
    for (uint32_t i = 0; i < component_count; i++)
        space_visit(&components[i].space, check_leaf, NULL);
    for (uint32_t i = 0; i < vm_count; i++)
        space_visit(&vms[i].space, check_leaf, NULL);
}

/* The kernel has stopped the machine: it says why. */
static void check_words(int how)
{
    if (how != HOST_OFF || strncmp(host.console, "quoll: stopped: ", 16) != 0)
        broken("boot ended (%d) with: %.200s", how, host.console);
}

static void boot(struct damaged *damaged)
{
    char reason[240] = "";
    world_prepare();
    for (uint32_t left = 1 + random_below(3); left != 0; left--)
        damage_image();
    seal();
    if (random_once_in(4))
        damage_word((uint8_t *)(uintptr_t)world.tree.base +
                        4 * random_below((uint32_t)world.tree.size / 8),
                    false);
    if (!world_check(reason, sizeof(reason))) {
        if (reason[0] == 0 || memchr(reason, 0, sizeof(reason)) == NULL)
            broken("a damaged system was refused without a reason");
        damaged->refused++;
        return;
    }
    if (!world_has_its_memory()) {
        damaged->misled++;
        return;
    }
    host.catches_stop = true;
    int how = setjmp(host.stopped);
    if (how != HOST_RUNS) {
        check_words(how);
        damaged->stopped++;
        return;
    }
    world_start();
    check_spaces();
    for (uint32_t i = 0; i < core_count; i++) {
        host_core = &cores[i];
        host_run(&cores[i]);
    }
    damaged->started++;
}

void damaged_boots(struct damaged *damaged)
{
    for (uint32_t i = 0; i < BOOTS; i++)
        boot(damaged);
    host.catches_stop = false;
}
