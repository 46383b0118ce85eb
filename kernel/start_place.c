/*
 * Memory at boot: what of it is free, and where the system image's regions go; see start_parts.h.
 *
 * Free memory is a list of ranges, from which regions are taken first fit. The pages that the kernel shares with VMMs come first,
 * side by side, so that the kernel's final page table needs few entries for them.
 */
#include "keep.h"
#include "log.h"
#include "ranges.h"
#include "start_parts.h"
#include <stdatomic.h>

#define FREE_RANGES 128u
static struct devicetree_range free_ranges[FREE_RANGES];
static uint32_t free_count;

/* Zeroing is most of the work at boot, so all cores share it, slice by slice. */
#define CHORES 64u
#define CHORE_SLICE (UINT64_C(4) << 20)
static struct chore {
    uint64_t base, size;
    _Atomic uint64_t next; /* offset of the first slice that nobody has taken */
} chores[CHORES];
static uint32_t chore_count;

/* ---- Free memory ---- */

static void free_add(uint64_t base, uint64_t end)
{
    if (base >= end)
        return;
    if (free_count == FREE_RANGES)
        kstop("the memory of this machine is in more than %u pieces; Quoll cannot keep track of it",
              FREE_RANGES);
    free_ranges[free_count++] = (struct devicetree_range){base, end - base};
}

/* Takes the range, rounded outwards to pages, away from what is free. */
static void free_remove(struct devicetree_range range)
{
    uint64_t base = range.base & ~(PAGE_SIZE - 1);
    uint64_t end = range.base + range.size;
    end = end < range.base || end > UINT64_MAX - PAGE_SIZE ? UINT64_MAX - PAGE_SIZE + 1
                                                           : round_up(end, PAGE_SIZE);
    uint32_t count = free_count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t from = free_ranges[i].base, to = from + free_ranges[i].size;
        if (range.size == 0 || base >= to || end <= from)
            continue;
        free_ranges[i].size = base > from ? base - from : 0;
        if (end < to)
            free_add(end, to);
    }
}

static uint64_t free_bytes(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < free_count; i++)
        sum += free_ranges[i].size;
    return sum;
}

void place_start(const struct start_request *request)
{
    const struct machine *machine = request->machine;
    free_count = 0;
    chore_count = 0;
    for (uint32_t i = 0; i < machine->bank_count; i++) {
        free_remove(machine->banks[i]); /* a tree may describe the same memory twice */
        free_add(machine->banks[i].base, machine->banks[i].base + machine->banks[i].size);
    }
    free_remove((struct devicetree_range){0, PAGE_SIZE}); /* so that address 0 means "none" */
    free_remove(request->kernel);
    free_remove((struct devicetree_range){request->image_base.value, request->image->size});
    free_remove((struct devicetree_range){(uintptr_t)machine->tree.bytes, machine->tree.size});
    for (uint32_t i = 0; i < machine->reserved_count; i++)
        free_remove(machine->reserved[i].range);
}

/* First fit. Large regions are aligned so that stage 2 can map them in blocks. */
paddr_t place_allocate(uint64_t size, const char *what)
{
    uint64_t alignment = size >= BLOCK_SIZE ? BLOCK_SIZE : PAGE_SIZE;
    for (uint32_t i = 0; i < free_count; i++) {
        uint64_t from = free_ranges[i].base, to = from + free_ranges[i].size;
        uint64_t base = round_up(from, alignment);
        if (base < from || base >= to || to - base < size)
            continue;
        free_ranges[i].size = base - from;
        free_add(base + size, to);
        return paddr(base);
    }
    kstop("not enough memory: %s needs %lu KiB in one piece, and of the %lu KiB still free none is "
          "large enough; give the VMs less memory or the machine more",
          what, size / 1024, free_bytes() / 1024);
}

/* ---- Regions ---- */

static bool is_kernel_shared(uint32_t region)
{
    const struct image *image = build.image;
    for (uint32_t i = 0; i < image->vm_count; i++) {
        if (image->vms[i].interrupts == region)
            return true;
    }
    for (uint32_t i = 0; i < image->vcpu_count; i++) {
        if (image->vcpus[i].page == region)
            return true;
    }
    return false;
}

/* What belongs to the kernel, or is memory, is no device. */
static bool is_forbidden(const struct devicetree_range *range)
{
    const struct machine *machine = build.machine;
    return ranges_overlap(range, &machine->distributor) ||
           !ranges_clear(range, machine->redistributors, machine->redistributor_count) ||
           !ranges_clear(range, machine->banks, machine->bank_count);
}

static void place_device(const struct image_region *from, struct region *region)
{
    const struct devicetree *tree = &build.machine->tree;
    const struct devicetree_node *node = &build.devices[from->device];
    struct devicetree_range range;
    bool window = from->kind == IMAGE_REGION_WINDOW;
    bool found = window ? devicetree_pci_window(tree, node, &range)
                        : devicetree_reg(tree, node, from->device_index, &range);
    if (!found)
        kstop("device '%s' has no %s in the device tree of this machine (region '%s')",
              start_device_name(from->device),
              window ? "32-bit PCI memory window" : "such registers", from->name);
    if (!is_aligned(range.base | range.size, PAGE_SIZE))
        kstop("the registers of device '%s' share a page with others (0x%lx, %lu bytes): "
              "they cannot be given to one component (region '%s')",
              start_device_name(from->device), range.base, range.size, from->name);
    if (is_forbidden(&range))
        kstop("device '%s' (region '%s') overlaps memory or the interrupt controller: "
              "no component may have it",
              start_device_name(from->device), from->name);
    region->base = paddr(range.base);
    region->size = range.size;
}

static void place_tree(struct region *region)
{
    const struct devicetree *tree = &build.machine->tree;
    region->size = round_up(tree->size, PAGE_SIZE);
    region->base = place_allocate(region->size, "the device tree");
    arch_memory_zero(region->base, region->size);
    start_copy(region->base.value, tree->bytes, tree->size);
    arch_memory_clean(region->base, region->size);
}

static void zero(uint64_t base, uint64_t size)
{
    if (size < CHORE_SLICE || chore_count == CHORES) {
        arch_memory_zero(paddr(base), size);
        arch_memory_clean(paddr(base), size);
        return;
    }
    atomic_store(&chores[chore_count].next, 0);
    chores[chore_count].base = base;
    chores[chore_count++].size = size;
}

void start_share(void)
{
    for (uint32_t i = 0; i < chore_count; i++) {
        struct chore *chore = &chores[i];
        uint64_t offset;
        while ((offset = atomic_fetch_add(&chore->next, CHORE_SLICE)) < chore->size) {
            uint64_t left = chore->size - offset;
            uint64_t size = left < CHORE_SLICE ? left : CHORE_SLICE;
            arch_memory_zero(paddr(chore->base + offset), size);
            arch_memory_clean(paddr(chore->base + offset), size);
        }
    }
}

/* At once: keep_remember() comes after it. */
static void place_kept(const struct image_region *from, const struct region *region)
{
    if (build.kept)
        return;
    arch_memory_zero(region->base, from->size);
    arch_memory_clean(region->base, from->size);
}

static void place_ram(const struct image_region *from, struct region *region)
{
    region->size = from->size;
    if (region->base.value == 0)
        region->base = place_allocate(from->size, from->name);
    if (keep_wants(from)) {
        place_kept(from, region);
        return;
    }
    uint64_t filled = from->content_size & ~(PAGE_SIZE - 1);
    uint64_t last = round_up(from->content_size, PAGE_SIZE);
    arch_memory_zero(paddr(region->base.value + filled), last - filled);
    if (from->content_size != 0) /* else its offset may be anything */
        start_copy(region->base.value, (const uint8_t *)build.image->header + from->content_offset,
                   from->content_size);
    arch_memory_clean(region->base, last);
    zero(region->base.value + last, from->size - last);
}

static void place_region(uint32_t index)
{
    const struct image_region *from = &build.image->regions[index];
    struct region *region = &regions[index];
    switch ((enum image_region_kind)from->kind) {
    case IMAGE_REGION_IMAGE:
        region->base = paddr(build.image_base.value + from->content_offset);
        region->size = from->size;
        arch_memory_clean(region->base, from->size);
        break;
    case IMAGE_REGION_REGISTERS:
    case IMAGE_REGION_WINDOW:
        place_device(from, region);
        break;
    case IMAGE_REGION_DEVICE_TREE:
        place_tree(region);
        break;
    case IMAGE_REGION_KERNEL_LOG:
        region->base = klog_memory(&region->size);
        break;
    default:
        place_ram(from, region);
        break;
    }
}

/* First of all that is placed but pages shared with VMMs: where they lie must not depend on more than it has to. */
static void decide_what_is_kept(void)
{
    for (uint32_t i = 0; i < region_count; i++) {
        const struct image_region *from = &build.image->regions[i];
        if (keep_wants(from) && regions[i].base.value == 0)
            regions[i].base = place_allocate(from->size, from->name);
    }
    build.kept = keep_decide();
}

void place_regions(struct start_result *result)
{
    const struct image *image = build.image;
    uint64_t shared = 0;
    for (uint32_t i = 0; i < image->region_count; i++)
        shared += is_kernel_shared(i) ? image->regions[i].size : 0;
    result->shared = (struct devicetree_range){0, shared};
    if (shared != 0)
        result->shared.base = place_allocate(shared, "the VMs' vCPU pages").value;
    uint64_t next = result->shared.base;
    region_count = image->region_count;
    for (uint32_t i = 0; i < region_count; i++) {
        start_copy((uintptr_t)regions[i].name, image->regions[i].name, QUOLL_NAME_SIZE);
        if (is_kernel_shared(i)) {
            regions[i].base = paddr(next);
            next += image->regions[i].size;
        }
    }
    decide_what_is_kept();
    for (uint32_t i = 0; i < region_count; i++) {
        place_region(i);
        if (image->regions[i].kind == IMAGE_REGION_RAM)
            result->placed += regions[i].size;
    }
    keep_remember();
}

/* ---- The last look ---- */

static struct devicetree_range whole_pages(uint64_t base, uint64_t size)
{
    uint64_t from = base & ~(PAGE_SIZE - 1);
    return (struct devicetree_range){from, round_up(base + size, PAGE_SIZE) - from};
}

void place_verify(const struct start_request *request, const struct start_result *result)
{
    static struct devicetree_range owned[QUOLL_MAX_REGIONS + 3];
    uint32_t count = 0;
    owned[count++] = whole_pages(request->kernel.base, request->kernel.size);
    owned[count++] = whole_pages(request->image_base.value, request->image->size);
    owned[count++] = result->tables;
    for (uint32_t i = 0; i < region_count; i++) {
        uint32_t kind = request->image->regions[i].kind;
        if (kind == IMAGE_REGION_RAM || kind == IMAGE_REGION_DEVICE_TREE)
            owned[count++] = (struct devicetree_range){regions[i].base.value, regions[i].size};
    }
    if (!ranges_apart(owned, count))
        kstop("the kernel, the system image and the regions do not lie apart in this machine's "
              "memory; have the boot loader put the initrd elsewhere");
}
