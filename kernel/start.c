/*
 * Placing and building everything that the system image names; see start.h.
 *
 * Order: free memory; the pages that the kernel shares with VMMs (side by side, so that the kernel's final page table
 * needs few entries for them); all other regions; stage-2 tables; objects; contents and
 * environments, which need to know where everything is.
 */
#include "start.h"
#include "log.h"
#include "sched.h"
#include <stdatomic.h>

#define FREE_RANGES 128u
#define BLOCK_SIZE (UINT64_C(2) << 20)

/* Boot-time state of the boot core. */
static struct builder {
    const struct image *image;
    const struct machine *machine;
    paddr_t image_base;
    struct devicetree_range free[FREE_RANGES];
    uint32_t free_count;
    struct devicetree_node devices[QUOLL_MAX_DEVICES];
    struct page_pool pool;
} build;

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
    if (build.free_count == FREE_RANGES)
        kstop("the memory of this machine is in more than %u pieces; Quoll cannot keep track of it",
              FREE_RANGES);
    build.free[build.free_count++] = (struct devicetree_range){base, end - base};
}

/* Takes the range, rounded outwards to pages, away from what is free. */
static void free_remove(struct devicetree_range range)
{
    uint64_t base = range.base & ~(PAGE_SIZE - 1);
    uint64_t end = range.base + range.size;
    end = end < range.base || end > UINT64_MAX - PAGE_SIZE ? UINT64_MAX - PAGE_SIZE + 1
                                                           : round_up(end, PAGE_SIZE);
    uint32_t count = build.free_count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t from = build.free[i].base, to = from + build.free[i].size;
        if (range.size == 0 || base >= to || end <= from)
            continue;
        build.free[i].size = base > from ? base - from : 0;
        if (end < to)
            free_add(end, to);
    }
}

static uint64_t free_bytes(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < build.free_count; i++)
        sum += build.free[i].size;
    return sum;
}

static void free_find(const struct start_request *request)
{
    const struct machine *machine = request->machine;
    build.free_count = 0;
    for (uint32_t i = 0; i < machine->bank_count; i++)
        free_add(machine->banks[i].base, machine->banks[i].base + machine->banks[i].size);
    free_remove((struct devicetree_range){0, PAGE_SIZE}); /* so that address 0 means "none" */
    free_remove(request->kernel);
    free_remove((struct devicetree_range){request->image_base.value, request->image->size});
    free_remove((struct devicetree_range){(uintptr_t)machine->tree.bytes, machine->tree.size});
    for (uint32_t i = 0; i < machine->reserved_count; i++)
        free_remove(machine->reserved[i].range);
}

/* First fit. Large regions are aligned so that stage 2 can map them in blocks. */
static paddr_t allocate(uint64_t size, const char *what)
{
    uint64_t alignment = size >= BLOCK_SIZE ? BLOCK_SIZE : PAGE_SIZE;
    for (uint32_t i = 0; i < build.free_count; i++) {
        uint64_t from = build.free[i].base, to = from + build.free[i].size;
        uint64_t base = round_up(from, alignment);
        if (base < from || base >= to || to - base < size)
            continue;
        build.free[i].size = base - from;
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

static const char *device_name(uint32_t device)
{
    return build.image->devices[device].compatible;
}

static bool overlaps(const struct devicetree_range *a, const struct devicetree_range *b)
{
    return a->base < b->base + b->size && b->base < a->base + a->size;
}

/* What belongs to the kernel, or is memory, is no device. */
static bool is_forbidden(const struct devicetree_range *range)
{
    const struct machine *machine = build.machine;
    if (overlaps(range, &machine->distributor))
        return true;
    for (uint32_t i = 0; i < machine->redistributor_count; i++) {
        if (overlaps(range, &machine->redistributors[i]))
            return true;
    }
    for (uint32_t i = 0; i < machine->bank_count; i++) {
        if (overlaps(range, &machine->banks[i]))
            return true;
    }
    return false;
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
              device_name(from->device), window ? "32-bit PCI memory window" : "such registers",
              from->name);
    if (!is_aligned(range.base | range.size, PAGE_SIZE))
        kstop("the registers of device '%s' share a page with others (0x%lx, %lu bytes): "
              "they cannot be given to one component (region '%s')",
              device_name(from->device), range.base, range.size, from->name);
    if (is_forbidden(&range))
        kstop("device '%s' (region '%s') overlaps memory or the interrupt controller: "
              "no component may have it",
              device_name(from->device), from->name);
    region->base = paddr(range.base);
    region->size = range.size;
}

static void copy(uint64_t to, const void *from, uint64_t size)
{
    __builtin_memcpy((void *)(uintptr_t)to, from, size);
}

static void place_tree(struct region *region)
{
    const struct devicetree *tree = &build.machine->tree;
    region->size = round_up(tree->size, PAGE_SIZE);
    region->base = allocate(region->size, "the device tree");
    arch_memory_zero(region->base, region->size);
    copy(region->base.value, tree->bytes, tree->size);
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

static void place_ram(const struct image_region *from, struct region *region)
{
    region->size = from->size;
    if (region->base.value == 0)
        region->base = allocate(from->size, from->name);
    uint64_t filled = from->content_size & ~(PAGE_SIZE - 1);
    uint64_t last = round_up(from->content_size, PAGE_SIZE);
    arch_memory_zero(paddr(region->base.value + filled), last - filled);
    if (from->content_size != 0) /* else its offset may be anything */
        copy(region->base.value, (const uint8_t *)build.image->header + from->content_offset,
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

static void place_regions(struct start_result *result)
{
    const struct image *image = build.image;
    uint64_t shared = 0;
    for (uint32_t i = 0; i < image->region_count; i++)
        shared += is_kernel_shared(i) ? image->regions[i].size : 0;
    result->shared = (struct devicetree_range){0, shared};
    if (shared != 0)
        result->shared.base = allocate(shared, "the VMs' vCPU pages").value;
    uint64_t next = result->shared.base;
    region_count = image->region_count;
    for (uint32_t i = 0; i < region_count; i++) {
        copy((uintptr_t)regions[i].name, image->regions[i].name, QUOLL_NAME_SIZE);
        if (is_kernel_shared(i)) {
            regions[i].base = paddr(next);
            next += image->regions[i].size;
        }
    }
    for (uint32_t i = 0; i < region_count; i++) {
        place_region(i);
        if (image->regions[i].kind == IMAGE_REGION_RAM)
            result->placed += regions[i].size;
    }
}

/* ---- Address spaces ---- */

static uint64_t mapping_size(const struct image_mapping *mapping)
{
    const struct region *region = &regions[mapping->region];
    uint64_t size = mapping->size;
    if (size == 0 && mapping->offset < region->size)
        size = region->size - mapping->offset;
    if (size == 0 || mapping->offset > region->size || size > region->size - mapping->offset)
        kstop("region '%s' has %lu bytes on this machine; the system wants %lu bytes from 0x%lx on",
              region->name, region->size, mapping->size, mapping->offset);
    return size;
}

/* How many tables the range can need: one per GiB it touches, and one per 2 MiB unless blocks fit. */
static uint64_t tables_needed(uint64_t size, bool blocks)
{
    return (size >> 30) + 2 + (blocks ? 2 : (size >> 21) + 2);
}

static void pool_make(struct start_result *result)
{
    const struct image *image = build.image;
    uint64_t pages = (uint64_t)image->component_count + image->vm_count;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->rights == 0)
            continue;
        uint64_t physical = regions[mapping->region].base.value + mapping->offset;
        pages += tables_needed(mapping_size(mapping),
                               is_aligned(mapping->address ^ physical, BLOCK_SIZE));
    }
    for (uint32_t i = 0; i < image->vm_count; i++) {
        if (image->vms[i].paged_size != 0)
            pages += tables_needed(image->vms[i].paged_size, false);
    }
    if (pages == 0)
        return;
    uint64_t base = allocate(pages * PAGE_SIZE, "the kernel's page tables").value;
    result->tables = (struct devicetree_range){base, pages * PAGE_SIZE};
    build.pool = (struct page_pool){(uint8_t *)(uintptr_t)base,
                                    (uint8_t *)(uintptr_t)(base + pages * PAGE_SIZE)};
}

static void expect_ok(enum stage2_result result, const char *what)
{
    if (result == STAGE2_OVERLAP)
        kstop("%s: it overlaps another mapping in the same address space; the system image is "
              "wrong, build it again with `quoll build`",
              what);
    if (result == STAGE2_BAD_RANGE)
        kstop("%s: its addresses cannot be mapped; the system image is wrong, build it again with "
              "`quoll build`",
              what);
    KASSERT(result == STAGE2_OK);
}

static void build_spaces(void)
{
    const struct image *image = build.image;
    uint16_t vmid = 1;
    for (uint32_t i = 0; i < image->component_count; i++)
        expect_ok(stage2_create(&components[i].space, vmid++, &build.pool), "component");
    for (uint32_t i = 0; i < image->vm_count; i++) {
        expect_ok(stage2_create(&vms[i].space, vmid++, &build.pool), "VM");
        const struct image_vm *vm = &image->vms[i];
        if (vm->paged_size != 0)
            expect_ok(stage2_reserve(&vms[i].space, ipaddr(vm->paged_address), vm->paged_size,
                                     &build.pool),
                      vm->name);
    }
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->rights == 0)
            continue;
        const struct region *region = &regions[mapping->region];
        struct stage2 *space = mapping->space_kind == IMAGE_SPACE_VM
                                   ? &vms[mapping->space].space
                                   : &components[mapping->space].space;
        expect_ok(stage2_map(space, ipaddr(mapping->address),
                             paddr(region->base.value + mapping->offset), mapping_size(mapping),
                             mapping->rights, &build.pool),
                  region->name);
    }
}

/* ---- Objects ---- */

static uint64_t ticks(uint64_t microseconds)
{
    uint64_t frequency = arch_frequency();
    uint64_t result =
        microseconds / 1000000 * frequency + microseconds % 1000000 * frequency / 1000000;
    return result != 0 ? result : 1;
}

static void build_components(void)
{
    component_count = build.image->component_count;
    for (uint32_t i = 0; i < component_count; i++) {
        const struct image_component *from = &build.image->components[i];
        struct component *component = &components[i];
        copy((uintptr_t)component->name, from->name, QUOLL_NAME_SIZE);
        component->index = i;
        component->first_object = from->first_object;
        component->object_count = from->object_count;
        component->fault_channel = from->fault_channel;
    }
    for (uint32_t i = 0; i < build.image->object_count; i++) {
        objects[i].type = build.image->objects[i].type;
        objects[i].index = build.image->objects[i].index;
    }
}

static void build_threads(void)
{
    thread_count = build.image->thread_count;
    for (uint32_t i = 0; i < thread_count; i++) {
        const struct image_thread *from = &build.image->threads[i];
        struct thread *thread = &threads[i];
        struct core *core = &cores[from->core];
        thread->registers.x[0] = from->argument;
        thread->registers.x[1] = QUOLL_ENVIRONMENT_ADDRESS;
        thread->registers.sp = from->stack;
        thread->registers.pc = from->entry;
        thread->core = core;
        thread->component = &components[from->component];
        thread->suspended = (from->flags & IMAGE_THREAD_SUSPENDED) != 0;
        thread->priority = (uint8_t)from->priority;
        thread->slot = core->thread_count;
        core->threads[core->thread_count++] = thread;
        thread->period = ticks(from->period);
        thread->budget = from->budget == from->period ? thread->period : ticks(from->budget);
        thread->budget_left = thread->budget;
        thread->period_start = arch_now();
        thread->number = (uint32_t)from->argument;
        thread->index = i;
    }
}

static void build_channels(void)
{
    const struct image *image = build.image;
    for (uint32_t i = 0; i < image->channel_count; i++) {
        channels[i].thread = &threads[image->channels[i].thread];
        channels[i].bit = image->channels[i].bit;
    }
    if (image->header->log_channel != IMAGE_NONE)
        log_channel = &channels[image->header->log_channel];
}

static void build_irqs(void)
{
    const struct devicetree *tree = &build.machine->tree;
    irq_count = build.image->irq_count;
    for (uint32_t i = 0; i < irq_count; i++) {
        const struct image_irq *from = &build.image->irqs[i];
        const struct devicetree_node *node = &build.devices[from->device];
        struct devicetree_property map;
        struct irq *irq = &irqs[i];
        irq->thread = &threads[from->thread];
        irq->bit = from->bit;
        bool found = devicetree_property(tree, node, "interrupt-map", &map)
                         ? devicetree_pci_interrupt(tree, node, from->number, &irq->intid)
                         : devicetree_interrupt(tree, node, from->number, &irq->intid);
        if (!found || irq->intid < 32)
            kstop("device '%s' has no interrupt number %u that Quoll can use, in the device tree "
                  "of this machine",
                  device_name(from->device), from->number);
        for (uint32_t j = 0; j < i; j++) {
            if (irqs[j].intid == irq->intid)
                kstop("interrupt %u of device '%s' is also another device's: two components "
                      "cannot share it",
                      irq->intid, device_name(from->device));
        }
    }
}

static void build_vms(void)
{
    const struct image *image = build.image;
    vm_count = image->vm_count;
    vcpu_count = image->vcpu_count;
    for (uint32_t i = 0; i < vm_count; i++) {
        const struct image_vm *from = &image->vms[i];
        struct vm *vm = &vms[i];
        copy((uintptr_t)vm->name, from->name, QUOLL_NAME_SIZE);
        vm->interrupts =
            (struct quoll_vm_interrupts *)(uintptr_t)regions[from->interrupts].base.value;
        vm->vcpus = &vcpus[from->first_vcpu];
        vm->vcpu_count = from->vcpu_count;
        vm->paged_address = ipaddr(from->paged_address);
        vm->paged_size = from->paged_size;
        vm->index = i;
    }
    for (uint32_t i = 0; i < vcpu_count; i++) {
        const struct image_vcpu *from = &image->vcpus[i];
        struct vcpu *vcpu = &vcpus[i];
        vcpu->page = (struct quoll_vcpu_page *)(uintptr_t)regions[from->page].base.value;
        vcpu->vm = &vms[from->vm];
        vcpu->thread = &threads[from->thread];
        vcpu->thread->vcpu = vcpu;
        vcpu->index = i - image->vms[from->vm].first_vcpu;
    }
}

/* A VM's doorbells lie side by side in the kernel's array, whatever their order in the image. */
static void build_doorbells_and_lines(void)
{
    const struct image *image = build.image;
    uint32_t next = 0;
    for (uint32_t v = 0; v < image->vm_count; v++) {
        vms[v].doorbells = &doorbells[next];
        for (uint32_t i = 0; i < image->doorbell_count; i++) {
            const struct image_doorbell *from = &image->doorbells[i];
            if (from->vm != v)
                continue;
            doorbells[next++] =
                (struct doorbell){ipaddr(from->address), from->size, &channels[from->channel]};
            vms[v].doorbell_count++;
        }
    }
    for (uint32_t i = 0; i < image->line_count; i++)
        lines[i] = (struct line){&vms[image->lines[i].vm], image->lines[i].intid};
}

/* ---- Environments ---- */

static struct quoll_environment_entry memory_entry(const struct image_mapping *mapping)
{
    struct quoll_environment_entry entry = {
        .kind = QUOLL_ENVIRONMENT_MEMORY,
        .type = (uint16_t)mapping->rights,
        .address = mapping->address,
        .size = mapping_size(mapping),
        .physical = regions[mapping->region].base.value + mapping->offset,
    };
    copy((uintptr_t)entry.name, mapping->name, QUOLL_NAME_SIZE);
    return entry;
}

static struct quoll_environment_entry object_entry(const struct image_object *object,
                                                   uint32_t handle)
{
    struct quoll_environment_entry entry = {
        .kind = QUOLL_ENVIRONMENT_HANDLE,
        .type = (uint16_t)object->type,
        .number = (uint16_t)handle,
    };
    copy((uintptr_t)entry.name, object->name, QUOLL_NAME_SIZE);
    if (object->type == QUOLL_OBJECT_RECEIVE) {
        bool is_irq = object->argument == 1;
        const struct thread *thread =
            is_irq ? irqs[object->index].thread : channels[object->index].thread;
        entry.kind = QUOLL_ENVIRONMENT_RECEIVE;
        entry.number = (uint16_t)(is_irq ? irqs[object->index].bit : channels[object->index].bit);
        entry.thread = (uint16_t)thread->number;
    }
    return entry;
}

static void write_environment(uint32_t index)
{
    const struct image *image = build.image;
    const struct image_component *component = &image->components[index];
    const struct region *region = &regions[component->environment];
    struct quoll_environment *to = (struct quoll_environment *)(uintptr_t)region->base.value;
    uint32_t count = 0;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->space_kind == IMAGE_SPACE_COMPONENT && mapping->space == index &&
            mapping->name[0] != 0)
            to->entries[count++] = memory_entry(mapping);
    }
    for (uint32_t i = 0; i < component->object_count; i++) {
        const struct image_object *object = &image->objects[component->first_object + i];
        if (object->type != QUOLL_OBJECT_NONE && object->name[0] != 0)
            to->entries[count++] = object_entry(object, i);
    }
    for (uint32_t i = 0; i < thread_count; i++)
        to->thread_count += threads[i].component == &components[index] ? 1 : 0;
    to->magic = QUOLL_ENVIRONMENT_MAGIC;
    copy((uintptr_t)to->component, component->name, QUOLL_NAME_SIZE);
    to->counter_frequency = arch_frequency();
    to->entry_count = count;
    arch_memory_clean(region->base, region->size);
}

/* ---- All of it ---- */

static void find_devices(void)
{
    for (uint32_t i = 0; i < build.image->device_count; i++) {
        const struct image_device *device = &build.image->devices[i];
        if (!devicetree_find_compatible(&build.machine->tree, device->compatible, device->instance,
                                        &build.devices[i]))
            kstop("this machine (%s) has no device '%s' number %u; the system needs it: add it to "
                  "the machine, or take what uses it out of the system description",
                  build.machine->model, device->compatible, device->instance);
    }
}

void start_build(const struct start_request *request, struct start_result *result)
{
    *result = (struct start_result){0};
    chore_count = 0;
    build.image = request->image;
    build.machine = request->machine;
    build.image_base = request->image_base;
    if (request->image->header->cores > core_count)
        kstop("the system '%s' uses %u cores; this machine has %u: give the machine more or the "
              "system fewer",
              request->image->header->label, request->image->header->cores, core_count);
    free_find(request);
    find_devices();
    place_regions(result);
    pool_make(result);
    build_spaces();
    build_components();
    build_threads();
    build_channels();
    build_irqs();
    build_vms();
    build_doorbells_and_lines();
    for (uint32_t i = 0; i < component_count; i++)
        write_environment(i);
    for (uint32_t i = 0; i < irq_count; i++)
        arch_irq_enable(irqs[i].intid, irqs[i].thread->core);
}

void start_core(struct core *core)
{
    for (uint32_t i = 0; i < core->thread_count; i++)
        sched_make_ready(core, core->threads[i]);
}
