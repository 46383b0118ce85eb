/*
 * A random valid system image; see world_image.h.
 *
 * Components 0 .. VMs - 1 are VMMs. The last component supervises: it has a handle for every thread and channel, and nobody can
 * suspend it, so that a world does not fall asleep for good. Sizes are small, so that random numbers meet; priorities are few, so that equals compete.
 */
#include "world_image.h"
#include "random.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define CODE_ADDRESS UINT64_C(0x400000)
#define DATA_ADDRESS UINT64_C(0x500000)
#define SHARED_ADDRESS UINT64_C(0x600000)
#define REGISTERS_ADDRESS UINT64_C(0x20000000)
#define GUEST_ADDRESS UINT64_C(0x40000000)
#define GUEST_IN_VMM_ADDRESS UINT64_C(0x4000000000)
#define DOORBELL_ADDRESS UINT64_C(0x0a000000)
#define PAGED_ADDRESS UINT64_C(0x80000000)
#define MICROSECONDS_MOST 4000u

static struct world_image *image;
static uint32_t counts[IMAGE_TABLE_COUNT];
#define COUNT(name) counts[IMAGE_TABLE_##name]

static const uint32_t r = QUOLL_READ, rw = QUOLL_READ | QUOLL_WRITE,
                      rx = QUOLL_READ | QUOLL_EXECUTE,
                      rwx = QUOLL_READ | QUOLL_WRITE | QUOLL_EXECUTE;

/* The special regions, before those of components and VMs. */
enum {
    REGION_PROGRAM,
    REGION_SHARED,
    REGION_UART0,
    REGION_UART1,
    REGION_PCI,
    REGION_TREE_COPY,
    REGION_KERNEL_LOG,
    REGIONS_FIXED
};
static uint32_t data_region[WORLD_COMPONENTS], guest_region[WORLD_VMS];

static uint32_t add_ram(const char *what, uint32_t number, uint64_t size)
{
    uint32_t index = COUNT(region)++;
    struct image_region *region = &image->regions[index];
    *region = (struct image_region){.size = size, .kind = IMAGE_REGION_RAM, .device = IMAGE_NONE};
    snprintf(region->name, sizeof(region->name), "%s%u", what, number);
    return index;
}

static void make_fixed_regions(void)
{
    const uint32_t content = (uint32_t)offsetof(struct world_image, content);
    struct image_region *regions = image->regions;
    regions[REGION_PROGRAM] = (struct image_region){
        "program", 8192, IMAGE_REGION_IMAGE, IMAGE_NONE, 0, 0, content, sizeof(image->content)};
    regions[REGION_SHARED] =
        (struct image_region){"shared", 16384, IMAGE_REGION_RAM, IMAGE_NONE, 0, 0, content, 100};
    regions[REGION_UART0] =
        (struct image_region){"uart0", 0, IMAGE_REGION_REGISTERS, 0, 0, 0, 0, 0};
    regions[REGION_UART1] =
        (struct image_region){"uart1", 0, IMAGE_REGION_REGISTERS, 1, 0, 0, 0, 0};
    regions[REGION_PCI] = (struct image_region){"pci", 0, IMAGE_REGION_WINDOW, 2, 0, 0, 0, 0};
    regions[REGION_TREE_COPY] =
        (struct image_region){"tree", 0, IMAGE_REGION_DEVICE_TREE, IMAGE_NONE, 0, 0, 0, 0};
    regions[REGION_KERNEL_LOG] =
        (struct image_region){"log", 0, IMAGE_REGION_KERNEL_LOG, IMAGE_NONE, 0, 0, 0, 0};
    COUNT(region) = REGIONS_FIXED;
    image->devices[0] = (struct image_device){"arm,pl011", 0, 0};
    image->devices[1] = (struct image_device){"arm,pl011", 1, 0};
    image->devices[2] = (struct image_device){"pci-host-ecam-generic", 0, 0};
    COUNT(device) = WORLD_DEVICES;
}

static void map(uint32_t component, const char *name, uint32_t region, uint32_t rights,
                uint64_t address)
{
    struct image_mapping *mapping = &image->mappings[COUNT(mapping)++];
    *mapping = (struct image_mapping){
        .space = component, .region = region, .rights = rights, .address = address};
    snprintf(mapping->name, sizeof(mapping->name), "%s", name);
}

static void make_components(void)
{
    COUNT(component) = 3 + random_below(WORLD_COMPONENTS - 2);
    for (uint32_t i = 0; i < COUNT(component); i++) {
        struct image_component *component = &image->components[i];
        snprintf(component->name, sizeof(component->name), "component%u", i);
        component->environment = add_ram("environment", i, 8192);
        map(i, "environment", component->environment, r, QUOLL_ENVIRONMENT_ADDRESS);
        map(i, "", REGION_PROGRAM, rx, CODE_ADDRESS);
        data_region[i] = add_ram("data", i, (1 + random_below(8)) * QUOLL_PAGE_SIZE);
        map(i, "data", data_region[i], rw, DATA_ADDRESS);
        if (random_once_in(2))
            map(i, "shared", REGION_SHARED, random_once_in(2) ? r : rw, SHARED_ADDRESS);
        if (random_once_in(4))
            map(i, "dma", data_region[i], 0, 0); /* told, not mapped */
    }
    uint32_t driver = random_below(COUNT(component));
    uint64_t at = REGISTERS_ADDRESS;
    map(driver, "uart0", REGION_UART0, rw | QUOLL_UNCACHED, at);
    map(driver, "uart1", REGION_UART1, rw | QUOLL_UNCACHED, at + 0x10000);
    map(driver, "pci", REGION_PCI, r | QUOLL_UNCACHED, 2 * at);
    map(driver, "tree", REGION_TREE_COPY, r, at + 0x20000);
    map(driver, "log", REGION_KERNEL_LOG, r, at + 0x40000);
}

static uint32_t add_thread(uint32_t component, uint32_t number)
{
    uint32_t index = COUNT(thread)++;
    static const uint8_t priorities[] = {0, 63, 64, 64, 100, 255};
    uint64_t period = 1 + random_below(MICROSECONDS_MOST);
    uint64_t budget = random_once_in(2) ? period : 1 + random_below((uint32_t)period);
    uint32_t core = random_below(image->header.cores);
    uint32_t priority = priorities[random_below(sizeof(priorities))];
    uint32_t flags = random_once_in(10) ? IMAGE_THREAD_SUSPENDED : 0;
    image->threads[index] = (struct image_thread){
        .component = component,
        .core = core,
        .priority = priority,
        .flags = flags,
        .budget = budget,
        .period = period,
        .entry = CODE_ADDRESS,
        .stack = DATA_ADDRESS,
        .argument = number,
    };
    return index;
}

static void make_vm(uint32_t index)
{
    struct image_vm *vm = &image->vms[index];
    snprintf(vm->name, sizeof(vm->name), "vm%u", index);
    vm->component = index;
    vm->interrupts = add_ram("interrupts", index, QUOLL_PAGE_SIZE);
    vm->first_vcpu = COUNT(vcpu);
    vm->vcpu_count = 1 + random_below(WORLD_VCPUS / WORLD_VMS);
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        uint32_t number = COUNT(vcpu)++;
        image->vcpus[number] = (struct image_vcpu){index, add_thread(index, i),
                                                   add_ram("vcpu", number, QUOLL_PAGE_SIZE), 0};
    }
    /* Neither start nor end at a boundary of the tables above. */
    vm->paged_address = PAGED_ADDRESS + random_below(1024) * QUOLL_PAGE_SIZE;
    vm->paged_size =
        random_once_in(8) ? 0 : (1 + random_below(WORLD_PAGED_PAGES)) * QUOLL_PAGE_SIZE;
    uint32_t guest_pages = 16 + random_below(random_once_in(4) ? 1100 : 64);
    guest_region[index] = add_ram("guest", index, guest_pages * QUOLL_PAGE_SIZE);
    map(index, "guest", guest_region[index], rw, GUEST_IN_VMM_ADDRESS);
    map(index, "", guest_region[index], rwx, GUEST_ADDRESS);
    image->mappings[COUNT(mapping) - 1].space_kind = IMAGE_SPACE_VM;
    for (uint32_t i = 0; i < WORLD_LINES / WORLD_VMS; i++)
        image->lines[COUNT(line)++] = (struct image_line){index, 32 + random_below(QUOLL_VM_SPIS)};
}

static void make_vms_and_threads(void)
{
    COUNT(vm) = random_below(WORLD_VMS + 1);
    for (uint32_t i = 0; i < COUNT(vm); i++)
        make_vm(i);
    for (uint32_t i = 0; i < COUNT(component); i++) {
        world.supervisor = COUNT(thread);
        uint32_t first = i < COUNT(vm) ? image->vms[i].vcpu_count : 0;
        uint32_t count = (i < COUNT(vm) ? 0 : 1) + random_below(2);
        for (uint32_t n = 0; n < count && COUNT(thread) < WORLD_THREADS; n++)
            add_thread(i, first + n);
    }
    for (uint32_t i = world.supervisor; i < COUNT(thread); i++)
        image->threads[i].flags = 0;
}

/* Signals: no two channels or interrupts raise the same bit of a thread. */
static void make_signals(void)
{
    COUNT(channel) = COUNT(thread) + random_below(WORLD_CHANNELS - COUNT(thread) + 1);
    for (uint32_t i = 0; i < COUNT(channel); i++) {
        uint32_t thread = i < COUNT(thread) ? i : random_below(COUNT(thread));
        image->channels[i] = (struct image_channel){thread, i};
    }
    static const struct image_irq lines[WORLD_IRQS] = {{0, 0, 0, 0}, {1, 1, 0, 0}, {2, 0, 0, 0},
                                                       {2, 1, 0, 0}, {2, 2, 0, 0}, {2, 3, 0, 0}};
    COUNT(irq) = random_below(WORLD_IRQS + 1);
    for (uint32_t i = 0; i < COUNT(irq); i++) {
        image->irqs[i] = lines[i];
        image->irqs[i].thread = random_below(COUNT(thread));
        image->irqs[i].bit = QUOLL_SIGNAL_CHANNELS - 1 - i;
    }
    for (uint32_t i = 0; i < COUNT(component); i++) {
        image->components[i].fault_channel =
            random_once_in(2) ? IMAGE_NONE : random_below(COUNT(channel));
    }
    image->header.log_channel = random_once_in(3) ? IMAGE_NONE : random_below(COUNT(channel));
    for (uint32_t v = 0; v < COUNT(vm); v++) {
        for (uint32_t i = 0; i < WORLD_DOORBELLS / WORLD_VMS; i++)
            image->doorbells[COUNT(doorbell)++] = (struct image_doorbell){
                v, random_below(COUNT(channel)), DOORBELL_ADDRESS + 8 * i, 4, 0};
    }
}

static void add_object(uint32_t type, uint32_t count)
{
    if (count == 0)
        return;
    struct image_object *object = &image->objects[COUNT(object)++];
    *object = (struct image_object){.type = type, .index = random_below(count)};
    snprintf(object->name, sizeof(object->name), "object%u", COUNT(object));
}

/* The names of signals that the component receives, if a look at random finds one. */
static void add_received(uint32_t component)
{
    uint32_t channel = random_below(COUNT(channel)), irq = random_below(WORLD_IRQS);
    if (image->threads[image->channels[channel].thread].component == component) {
        add_object(QUOLL_OBJECT_RECEIVE, 1);
        image->objects[COUNT(object) - 1].index = channel;
    }
    if (irq < COUNT(irq) && image->threads[image->irqs[irq].thread].component == component) {
        add_object(QUOLL_OBJECT_RECEIVE, 1);
        image->objects[COUNT(object) - 1].index = irq;
        image->objects[COUNT(object) - 1].argument = 1;
    }
}

/* Whatever a component can have, with what a VMM needs more often than chance gives it. */
static void make_objects(void)
{
    for (uint32_t i = 0; i < COUNT(component); i++) {
        struct image_component *component = &image->components[i];
        component->first_object = COUNT(object);
        if (i < COUNT(vm)) {
            add_object(QUOLL_OBJECT_VM, 1);
            image->objects[COUNT(object) - 1].index = i;
            add_object(QUOLL_OBJECT_REGION, 1);
            image->objects[COUNT(object) - 1].index = guest_region[i];
            for (uint32_t v = 0; v < image->vms[i].vcpu_count; v++) {
                add_object(QUOLL_OBJECT_VCPU, 1);
                image->objects[COUNT(object) - 1].index = image->vms[i].first_vcpu + v;
            }
        }
        for (uint32_t n = 0; i == COUNT(component) - 1 && n < world.supervisor; n++) {
            add_object(QUOLL_OBJECT_THREAD, 1);
            image->objects[COUNT(object) - 1].index = n;
        }
        for (uint32_t n = 0; i == COUNT(component) - 1 && n < COUNT(channel); n++) {
            add_object(QUOLL_OBJECT_CHANNEL, 1);
            image->objects[COUNT(object) - 1].index = n;
        }
        uint32_t more = 3 + random_below(9);
        for (uint32_t n = 0; n < more; n++) {
            static const uint8_t types[] = {
                QUOLL_OBJECT_NONE,    QUOLL_OBJECT_CHANNEL, QUOLL_OBJECT_CHANNEL,
                QUOLL_OBJECT_CHANNEL, QUOLL_OBJECT_LINE,    QUOLL_OBJECT_IRQ,
                QUOLL_OBJECT_VCPU,    QUOLL_OBJECT_THREAD,  QUOLL_OBJECT_THREAD};
            switch (types[random_below(sizeof(types))]) {
            case QUOLL_OBJECT_NONE:
                add_object(QUOLL_OBJECT_NONE, 1);
                break;
            case QUOLL_OBJECT_CHANNEL:
                add_object(QUOLL_OBJECT_CHANNEL, COUNT(channel));
                break;
            case QUOLL_OBJECT_LINE:
                add_object(QUOLL_OBJECT_LINE, COUNT(line));
                break;
            case QUOLL_OBJECT_IRQ:
                add_object(QUOLL_OBJECT_IRQ, COUNT(irq));
                break;
            case QUOLL_OBJECT_VCPU:
                add_object(QUOLL_OBJECT_VCPU, COUNT(vcpu));
                break;
            default:
                add_object(QUOLL_OBJECT_THREAD, world.supervisor);
                break;
            }
        }
        if (random_once_in(4))
            add_object(QUOLL_OBJECT_MACHINE, 1);
        add_received(i);
        component->object_count = COUNT(object) - component->first_object;
    }
}

static void make_header(void)
{
    struct image_header *header = &image->header;
    header->magic = IMAGE_MAGIC;
    header->version = IMAGE_VERSION;
    header->header_size = sizeof(*header);
    header->total_size = sizeof(*image);
    header->checked_size = offsetof(struct world_image, content);
    snprintf(header->label, sizeof(header->label), "a random world");
    struct image_table *table = header->tables;
#define TABLE(name, limit)                                                                         \
    table->offset = (uint32_t)offsetof(struct world_image, name##s);                               \
    table->count = COUNT(name);                                                                    \
    table++;
    IMAGE_TABLES(TABLE)
#undef TABLE
}

void world_image_make(struct world_image *to)
{
    image = to;
    memset(image, 0, sizeof(*image));
    memset(counts, 0, sizeof(counts));
    image->header.cores = 1 + random_below(WORLD_CORES);
    make_fixed_regions();
    make_components();
    make_vms_and_threads();
    make_signals();
    make_objects();
    for (uint32_t i = 0; i < sizeof(image->content); i++)
        image->content[i] = (uint8_t)(i * 7 + 1);
    make_header();
}
