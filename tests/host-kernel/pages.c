/*
 * The naive model of address spaces: for pages that calls can change, an array; for all others, the image's
 * list of mappings. Where regions lie is taken from the kernel, after boot was checked to have placed them well.
 */
#include "host.h"
#include "model_parts.h"
#include "spaces.h"
#include <string.h>

static struct page {
    uint64_t physical;
    uint32_t rights; /* 0: not mapped */
} pages[WORLD_VMS][WORLD_PAGED_PAGES];

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* Memory that is given out: of the kind that the kernel places. */
static bool is_placed(uint32_t region)
{
    uint32_t kind = world.image->regions[region].kind;
    return kind == IMAGE_REGION_RAM || kind == IMAGE_REGION_DEVICE_TREE;
}

static void check_place(uint32_t index)
{
    const struct devicetree_range taken[] = {world.kernel,      world.tree,
                                             world.image_range, world.reserved[0],
                                             world.reserved[1], world.tables};
    uint64_t base = regions[index].base.value, size = regions[index].size;
    if (base < (uintptr_t)world.memory || base + size > (uintptr_t)world.memory + world.memory_size)
        broken("region %u lies outside of memory", index);
    for (uint32_t i = 0; i < ARRAY_SIZE(taken); i++) {
        if (overlap(base, size, taken[i].base, taken[i].size))
            broken("region %u lies on what is not free (%u)", index, i);
    }
    for (uint32_t i = 0; i < index; i++) {
        if (is_placed(i) && overlap(base, size, regions[i].base.value, regions[i].size))
            broken("regions %u and %u share memory", i, index);
    }
}

void pages_boot(void)
{
    memset(pages, 0, sizeof(pages));
    for (uint32_t i = 0; i < region_count; i++) {
        if (is_placed(i))
            check_place(i);
    }
}

/* ---- What calls change ---- */

static void check_page(const struct vm *vm, uint64_t address)
{
    uint64_t index = (address - vm->paged_address.value) / PAGE_SIZE;
    struct leaf leaf = {0};
    if (!space_walk(&vm->space, address, &leaf))
        leaf = (struct leaf){0};
    const struct page none = {0};
    const struct page *page = address < vm->paged_address.value || index >= WORLD_PAGED_PAGES ||
                                      address - vm->paged_address.value >= vm->paged_size
                                  ? &none
                                  : &pages[vm->index][index];
    if (leaf.rights != page->rights || leaf.physical != page->physical)
        broken("VM %u has page %lx at %lx with rights %u; it should be at %lx with rights %u",
               vm->index, address, leaf.physical, leaf.rights, page->physical, page->rights);
}

static void change(struct page *page, const struct random_call *call, uint64_t physical)
{
    switch (call->number) {
    case QUOLL_CALL_map:
        *page = (struct page){physical, (uint32_t)(call->argument[4] % PAGE_SIZE)};
        break;
    case QUOLL_CALL_unmap:
        *page = (struct page){0, 0};
        break;
    default:
        if (page->rights != 0)
            page->rights = (uint32_t)call->argument[3];
        break;
    }
}

void pages_changed(const struct thread *thread, const struct random_call *call)
{
    const uint64_t *a = call->argument;
    const struct vm *vm = &vms[expect_object(thread, a[0], QUOLL_OBJECT_VM)->index];
    uint64_t physical = 0, size = a[2];
    if (call->number == QUOLL_CALL_map) {
        physical =
            regions[expect_object(thread, a[2], QUOLL_OBJECT_REGION)->index].base.value + a[3];
        size = a[4] / PAGE_SIZE * PAGE_SIZE;
    }
    struct page *first = &pages[vm->index][(a[1] - vm->paged_address.value) / PAGE_SIZE];
    for (uint64_t done = 0; done < size; done += PAGE_SIZE)
        change(first + done / PAGE_SIZE, call, physical + done);
    for (uint64_t at = a[1] - PAGE_SIZE; at <= a[1] + size; at += PAGE_SIZE)
        check_page(vm, at);
    ipaddr_t stale;
    if (!host_tlb_good(&vm->space, &stale))
        broken("a core may still use what was mapped at %lx in VM %u", stale.value, vm->index);
}

/* ---- Everything ---- */

struct space {
    uint32_t kind, index;
    uint64_t found; /* bytes mapped outside the paged range */
};

static uint64_t mapped_size(const struct image_mapping *mapping)
{
    return mapping->size != 0 ? mapping->size : regions[mapping->region].size - mapping->offset;
}

static void check_leaf(void *context, const struct leaf *leaf)
{
    struct space *space = context;
    for (uint32_t i = 0; i < system_image.mapping_count; i++) {
        const struct image_mapping *mapping = &world.image->mappings[i];
        if (mapping->space_kind != space->kind || mapping->space != space->index ||
            mapping->rights == 0 || leaf->address < mapping->address ||
            leaf->address - mapping->address >= mapped_size(mapping))
            continue;
        uint64_t into = leaf->address - mapping->address;
        if (into + leaf->size > mapped_size(mapping) || leaf->rights != mapping->rights ||
            leaf->physical != regions[mapping->region].base.value + mapping->offset + into)
            break;
        space->found += leaf->size;
        return;
    }
    const struct vm *vm = &vms[space->index];
    if (space->kind == IMAGE_SPACE_VM && leaf->size == PAGE_SIZE &&
        leaf->address >= vm->paged_address.value &&
        leaf->address - vm->paged_address.value < vm->paged_size)
        return; /* checked page by page */
    broken("space %u of kind %u maps %lx to %lx with rights %u: the image does not say so",
           space->index, space->kind, leaf->address, leaf->physical, leaf->rights);
}

static void check_space(struct space space, const struct stage2 *tables)
{
    uint64_t expected = 0;
    for (uint32_t i = 0; i < system_image.mapping_count; i++) {
        const struct image_mapping *mapping = &world.image->mappings[i];
        if (mapping->space_kind == space.kind && mapping->space == space.index &&
            mapping->rights != 0)
            expected += mapped_size(mapping);
    }
    space_visit(tables, check_leaf, &space);
    if (space.found != expected)
        broken("space %u of kind %u has %lu bytes mapped; the image says %lu", space.index,
               space.kind, space.found, expected);
}

static void check_spaces(void)
{
    for (uint32_t i = 0; i < component_count; i++)
        check_space((struct space){IMAGE_SPACE_COMPONENT, i, 0}, &components[i].space);
    for (uint32_t i = 0; i < vm_count; i++)
        check_space((struct space){IMAGE_SPACE_VM, i, 0}, &vms[i].space);
}

void pages_check_all(void)
{
    check_spaces();
    for (uint32_t v = 0; v < vm_count; v++) {
        for (uint64_t at = 0; at < vms[v].paged_size; at += PAGE_SIZE)
            check_page(&vms[v], vms[v].paged_address.value + at);
    }
}

/* ---- After calls that raced: each page has what some component may have given the VM, or nothing. ---- */

static bool component_has(uint32_t component, uint32_t type, uint32_t index)
{
    const struct image_component *from = &world.image->components[component];
    for (uint32_t i = 0; i < from->object_count; i++) {
        const struct image_object *object = &world.image->objects[from->first_object + i];
        if (object->type == type && object->index == index)
            return true;
    }
    return false;
}

static bool may_be_mapped(uint32_t vm, uint64_t physical)
{
    for (uint32_t i = 0; i < region_count; i++) {
        if (physical < regions[i].base.value || physical - regions[i].base.value >= regions[i].size)
            continue;
        for (uint32_t c = 0; c < component_count; c++) {
            if (component_has(c, QUOLL_OBJECT_VM, vm) && component_has(c, QUOLL_OBJECT_REGION, i))
                return true;
        }
    }
    return false;
}

void pages_settle(void)
{
    check_spaces();
    for (uint32_t v = 0; v < vm_count; v++) {
        for (uint64_t i = 0; i < vms[v].paged_size / PAGE_SIZE; i++) {
            struct leaf leaf;
            uint64_t address = vms[v].paged_address.value + i * PAGE_SIZE;
            bool mapped = space_walk(&vms[v].space, address, &leaf);
            pages[v][i] = mapped ? (struct page){leaf.physical, leaf.rights} : (struct page){0, 0};
            if (mapped && (!may_be_mapped(v, leaf.physical) || leaf.rights > 7))
                broken("VM %u has page %lx at %lx with rights %u: nobody may give it that", v,
                       address, leaf.physical, leaf.rights);
        }
    }
}
