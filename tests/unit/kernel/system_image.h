/*
 * A small valid system image, for tests to damage: two components (a VMM with one VM of two vCPUs, and a
 * driver), every kind of record at least once.
 */
#ifndef SYSTEM_IMAGE_H
#define SYSTEM_IMAGE_H

#include <quoll/image.h>

enum { COMPONENT_VMM, COMPONENT_DRIVER, COMPONENTS };
enum { THREAD_VCPU0, THREAD_VCPU1, THREAD_DRIVER, THREADS };
enum { DEVICE_UART, DEVICE_PCI, DEVICES };
enum {
    REGION_ENVIRONMENT_VMM,
    REGION_ENVIRONMENT_DRIVER,
    REGION_CODE,
    REGION_DATA,
    REGION_GUEST,
    REGION_INTERRUPTS,
    REGION_PAGE0,
    REGION_PAGE1,
    REGION_UART,
    REGION_WINDOW,
    REGION_TREE,
    REGION_LOG,
    REGIONS
};
enum {
    MAPPING_ENVIRONMENT_VMM,
    MAPPING_ENVIRONMENT_DRIVER,
    MAPPING_CODE_VMM,
    MAPPING_CODE_DRIVER,
    MAPPING_DATA,
    MAPPING_GUEST,
    MAPPING_GUEST_IN_VMM,
    MAPPING_DMA,
    MAPPING_UART,
    MAPPING_WINDOW,
    MAPPING_TREE,
    MAPPING_LOG,
    MAPPINGS
};
enum {
    OBJECT_VM,
    OBJECT_VCPU0,
    OBJECT_VCPU1,
    OBJECT_GUEST,
    OBJECT_TO_DRIVER,
    OBJECT_NONE,
    OBJECT_IRQ,
    OBJECT_LINE,
    OBJECT_MACHINE,
    OBJECT_THREAD,
    OBJECT_FROM_VMM,
    OBJECT_FROM_UART,
    OBJECTS
};
enum { CHANNEL_TO_DRIVER, CHANNEL_BELL, CHANNELS };
enum { IRQ_UART, IRQ_PCI, IRQS };
#define VCPUS 2
#define CONTENT_BYTES 5000u
#define GUEST_BASE 0x40000000ULL
#define GUEST_SIZE (8ULL << 20)
#define PAGED_BASE 0x80000000ULL
#define PAGED_SIZE (4ULL << 20)

struct system_image {
    struct image_header header;
    struct image_component components[COMPONENTS];
    struct image_thread threads[THREADS];
    struct image_device devices[DEVICES];
    struct image_region regions[REGIONS];
    struct image_mapping mappings[MAPPINGS];
    struct image_object objects[OBJECTS];
    struct image_channel channels[CHANNELS];
    struct image_irq irqs[IRQS];
    struct image_vm vms[1];
    struct image_vcpu vcpus[VCPUS];
    struct image_doorbell doorbells[1];
    struct image_line lines[1];
    uint8_t content[8192] __attribute__((aligned(4096)));
};

/* Fills in a valid image, sealed. */
void system_image_make(struct system_image *image);
/* Makes the checksum of any image right; checked_size must be. */
void image_seal(struct image_header *header);
/* Makes the checksum right again after a change. */
void system_image_seal(struct system_image *image);

#endif
