/*
 * The guest's machine: the memory map and interrupt numbers of QEMU's `virt` machine, so that whatever
 * boots there boots here.
 */
#ifndef VMM_VIRT_H
#define VMM_VIRT_H

#include <stdint.h>

#define VIRT_GICD UINT64_C(0x08000000)
#define VIRT_GICD_SIZE UINT64_C(0x10000)
#define VIRT_GICR UINT64_C(0x080a0000)
#define VIRT_GICR_STRIDE UINT64_C(0x20000) /* one vCPU: RD frame and SGI frame, 64 KiB each */
#define VIRT_PL011 UINT64_C(0x09000000)
#define VIRT_PL031 UINT64_C(0x09010000)
#define VIRT_DEVICE_SIZE UINT64_C(0x1000)
#define VIRT_VIRTIO UINT64_C(0x0a000000)
#define VIRT_VIRTIO_STRIDE UINT64_C(0x200)
#define VIRT_VIRTIO_SLOTS UINT64_C(32)
#define VIRT_RAM UINT64_C(0x40000000)

#define VIRT_SPI(number) (32u + (number)) /* the INTID of an SPI */
#define VIRT_PL011_SPI 1u
#define VIRT_PL031_SPI 2u
#define VIRT_VIRTIO_SPI(slot) (16u + (slot))

/* Private interrupts, as numbers of the device tree (INTID - 16). */
#define VIRT_TIMER_SECURE_PPI 13u
#define VIRT_TIMER_PHYSICAL_PPI 14u
#define VIRT_TIMER_VIRTUAL_PPI 11u
#define VIRT_TIMER_HYPERVISOR_PPI 10u

/* One load or store that a guest made to emulated registers. */
struct access {
    uint64_t address; /* guest-physical; handed to a model: offset from its base */
    uint64_t value;   /* store: zero-extended; load: the answer */
    uint32_t size;    /* 1, 2, 4 or 8 bytes */
    uint32_t write;
};

#endif
