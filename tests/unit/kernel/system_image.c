/* A small valid system image; see system_image.h. */
#include "system_image.h"
#include <stddef.h>
#include <string.h>

/* Bit by bit, as IEEE 802.3 defines it: the kernel's own is table-driven. */
static uint32_t crc32(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

void image_seal(struct image_header *header)
{
    header->checksum = 0;
    header->checksum = crc32((const uint8_t *)header, header->checked_size);
}

/* A test may have damaged the size. */
void system_image_seal(struct system_image *image)
{
    uint64_t size = image->header.checked_size;
    image->header.checksum = 0;
    image->header.checksum =
        crc32((const uint8_t *)image, size <= sizeof(*image) ? size : sizeof(*image));
}

static void make_header(struct system_image *image)
{
    struct image_header *header = &image->header;
    *header = (struct image_header){
        .magic = IMAGE_MAGIC,
        .version = IMAGE_VERSION,
        .header_size = sizeof(*header),
        .total_size = sizeof(*image),
        .cores = 2,
        .checked_size = sizeof(*image),
        .log_channel = CHANNEL_TO_DRIVER,
        .label = "test system",
    };
    struct image_table *table = header->tables;
#define TABLE(name, limit)                                                                         \
    table->offset = (uint32_t)offsetof(struct system_image, name##s);                              \
    table->count = sizeof(image->name##s) / sizeof(image->name##s[0]);                             \
    table++;
    IMAGE_TABLES(TABLE)
#undef TABLE
}

static struct image_region ram(const char *name, uint64_t size)
{
    struct image_region region = {.size = size, .kind = IMAGE_REGION_RAM, .device = IMAGE_NONE};
    strcpy(region.name, name);
    return region;
}

static void make_regions(struct system_image *image)
{
    struct image_region *regions = image->regions;
    const uint32_t content = (uint32_t)offsetof(struct system_image, content);
    regions[REGION_ENVIRONMENT_VMM] = ram("vmm.environment", 4096);
    regions[REGION_ENVIRONMENT_DRIVER] = ram("driver.environment", 4096);
    regions[REGION_CODE] = (struct image_region){"code", 8192,    IMAGE_REGION_IMAGE, IMAGE_NONE, 0,
                                                 0,      content, CONTENT_BYTES};
    regions[REGION_DATA] = ram("data", 16384);
    regions[REGION_DATA].content_offset = content + 100;
    regions[REGION_DATA].content_size = CONTENT_BYTES;
    regions[REGION_GUEST] = ram("guest", GUEST_SIZE);
    regions[REGION_INTERRUPTS] = ram("interrupts", 4096);
    regions[REGION_PAGE0] = ram("page0", 4096);
    regions[REGION_PAGE1] = ram("page1", 4096);
    regions[REGION_UART] = (struct image_region){
        .name = "uart", .kind = IMAGE_REGION_REGISTERS, .device = DEVICE_UART};
    regions[REGION_WINDOW] =
        (struct image_region){.name = "window", .kind = IMAGE_REGION_WINDOW, .device = DEVICE_PCI};
    regions[REGION_TREE] = (struct image_region){
        .name = "device-tree", .kind = IMAGE_REGION_DEVICE_TREE, .device = IMAGE_NONE};
    regions[REGION_LOG] = (struct image_region){
        .name = "kernel-log", .kind = IMAGE_REGION_KERNEL_LOG, .device = IMAGE_NONE};
}

static struct image_mapping mapping(const char *name, uint32_t component, uint32_t region,
                                    uint32_t rights, uint64_t address)
{
    struct image_mapping result = {
        .space = component, .region = region, .rights = rights, .address = address};
    strcpy(result.name, name);
    return result;
}

static void make_mappings(struct system_image *image)
{
    struct image_mapping *mappings = image->mappings;
    const uint32_t r = QUOLL_READ, rw = QUOLL_READ | QUOLL_WRITE, rx = QUOLL_READ | QUOLL_EXECUTE;
    mappings[MAPPING_ENVIRONMENT_VMM] =
        mapping("environment", COMPONENT_VMM, REGION_ENVIRONMENT_VMM, r, QUOLL_ENVIRONMENT_ADDRESS);
    mappings[MAPPING_ENVIRONMENT_DRIVER] = mapping(
        "environment", COMPONENT_DRIVER, REGION_ENVIRONMENT_DRIVER, r, QUOLL_ENVIRONMENT_ADDRESS);
    mappings[MAPPING_CODE_VMM] = mapping("", COMPONENT_VMM, REGION_CODE, rx, 0x400000);
    mappings[MAPPING_CODE_DRIVER] = mapping("", COMPONENT_DRIVER, REGION_CODE, rx, 0x400000);
    mappings[MAPPING_DATA] = mapping("data", COMPONENT_VMM, REGION_DATA, rw, 0x500000);
    mappings[MAPPING_GUEST] = mapping("", 0, REGION_GUEST, rw | QUOLL_EXECUTE, GUEST_BASE);
    mappings[MAPPING_GUEST].space_kind = IMAGE_SPACE_VM;
    mappings[MAPPING_GUEST_IN_VMM] =
        mapping("guest", COMPONENT_VMM, REGION_GUEST, rw, 0x4000000000);
    mappings[MAPPING_DMA] = mapping("buffer0", COMPONENT_DRIVER, REGION_GUEST, 0, 0);
    mappings[MAPPING_DMA].offset = 4096;
    mappings[MAPPING_DMA].size = 8192;
    mappings[MAPPING_UART] =
        mapping("registers", COMPONENT_DRIVER, REGION_UART, rw | QUOLL_UNCACHED, 0x20000000);
    mappings[MAPPING_WINDOW] =
        mapping("window", COMPONENT_DRIVER, REGION_WINDOW, rw | QUOLL_UNCACHED, 0x30000000);
    mappings[MAPPING_TREE] = mapping("device-tree", COMPONENT_DRIVER, REGION_TREE, r, 0x21000000);
    mappings[MAPPING_LOG] = mapping("kernel-log", COMPONENT_DRIVER, REGION_LOG, r, 0x22000000);
}

static struct image_object object(const char *name, uint32_t type, uint32_t index)
{
    struct image_object result = {.type = type, .index = index};
    strcpy(result.name, name);
    return result;
}

static void make_objects(struct system_image *image)
{
    struct image_object *objects = image->objects;
    objects[OBJECT_VM] = object("vm", QUOLL_OBJECT_VM, 0);
    objects[OBJECT_VCPU0] = object("vcpu0", QUOLL_OBJECT_VCPU, 0);
    objects[OBJECT_VCPU1] = object("vcpu1", QUOLL_OBJECT_VCPU, 1);
    objects[OBJECT_GUEST] = object("guest", QUOLL_OBJECT_REGION, REGION_GUEST);
    objects[OBJECT_TO_DRIVER] = object("driver", QUOLL_OBJECT_CHANNEL, CHANNEL_TO_DRIVER);
    objects[OBJECT_NONE] = object("", QUOLL_OBJECT_NONE, 0);
    objects[OBJECT_IRQ] = object("uart", QUOLL_OBJECT_IRQ, IRQ_UART);
    objects[OBJECT_LINE] = object("line", QUOLL_OBJECT_LINE, 0);
    objects[OBJECT_MACHINE] = object("machine", QUOLL_OBJECT_MACHINE, 0);
    objects[OBJECT_THREAD] = object("vcpu0", QUOLL_OBJECT_THREAD, THREAD_VCPU0);
    objects[OBJECT_FROM_VMM] = object("vmm", QUOLL_OBJECT_RECEIVE, CHANNEL_TO_DRIVER);
    objects[OBJECT_FROM_UART] = object("uart", QUOLL_OBJECT_RECEIVE, IRQ_UART);
    objects[OBJECT_FROM_UART].argument = 1;
}

static struct image_thread thread(uint32_t component, uint32_t core, uint64_t number)
{
    return (struct image_thread){
        .component = component,
        .core = core,
        .priority = 100 + component,
        .budget = 2000,
        .period = 10000,
        .entry = 0x400000,
        .stack = 0x18010000,
        .argument = number,
    };
}

void system_image_make(struct system_image *image)
{
    memset(image, 0, sizeof(*image));
    make_header(image);
    image->components[COMPONENT_VMM] =
        (struct image_component){"vmm", OBJECT_VM, 5, REGION_ENVIRONMENT_VMM, CHANNEL_TO_DRIVER};
    image->components[COMPONENT_DRIVER] = (struct image_component){
        "driver", OBJECT_NONE, OBJECTS - OBJECT_NONE, REGION_ENVIRONMENT_DRIVER, IMAGE_NONE};
    image->threads[THREAD_VCPU0] = thread(COMPONENT_VMM, 0, 0);
    image->threads[THREAD_VCPU1] = thread(COMPONENT_VMM, 1, 1);
    image->threads[THREAD_VCPU1].flags = IMAGE_THREAD_SUSPENDED;
    image->threads[THREAD_DRIVER] = thread(COMPONENT_DRIVER, 1, 0);
    image->devices[DEVICE_UART] = (struct image_device){"arm,pl011", 0, 0};
    image->devices[DEVICE_PCI] = (struct image_device){"pci-host-ecam-generic", 0, 0};
    make_regions(image);
    make_mappings(image);
    make_objects(image);
    image->channels[CHANNEL_TO_DRIVER] = (struct image_channel){THREAD_DRIVER, 0};
    image->channels[CHANNEL_BELL] = (struct image_channel){THREAD_DRIVER, 1};
    image->irqs[IRQ_UART] = (struct image_irq){DEVICE_UART, 0, THREAD_DRIVER, 2};
    image->irqs[IRQ_PCI] = (struct image_irq){DEVICE_PCI, 2, THREAD_DRIVER, 3};
    image->vms[0] = (struct image_vm){"linux", COMPONENT_VMM, REGION_INTERRUPTS, 0,
                                      VCPUS,   PAGED_BASE,    PAGED_SIZE};
    image->vcpus[0] = (struct image_vcpu){0, THREAD_VCPU0, REGION_PAGE0, 0};
    image->vcpus[1] = (struct image_vcpu){0, THREAD_VCPU1, REGION_PAGE1, 0};
    image->doorbells[0] = (struct image_doorbell){0, CHANNEL_BELL, 0x0a000050, 4, 0};
    image->lines[0] = (struct image_line){0, 48};
    for (uint32_t i = 0; i < sizeof(image->content); i++)
        image->content[i] = (uint8_t)(i * 7 + 1);
    system_image_seal(image);
}
