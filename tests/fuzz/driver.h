/*
 * A hostile guest's virtio driver: turns the fuzzer's bytes into register accesses, descriptors and notifications, honest ones
 * and others, for whichever device model a target hands it.
 *
 * Guest memory is 32 KiB between guard regions; queues are at fixed places in it when they were set up the honest way.
 */
#ifndef FUZZ_DRIVER_H
#define FUZZ_DRIVER_H

#include "hostile.h"
#include "virtio/mmio.h"

#define DRIVER_RAM 32768u

struct driver {
    struct virtio_device *device;
    struct guest_ram ram;
    struct vgic vgic;
    struct quoll_vm_interrupts interrupts;
};

/* Fresh memory (zeros) and interrupt controller for `device`. */
void driver_start(struct driver *driver, struct virtio_device *device);
/* Reset, features, queues of `size` entries, DRIVER_OK. */
void driver_set_up(struct driver *driver, uint64_t features, uint32_t size);
/* One step of the driver, as the input says. */
void driver_step(struct driver *driver, struct input *input);

/* What the queues must always be: chains that were taken and not yet given back are exactly those that the model holds. */
void driver_check_queue(const struct virtqueue *queue, uint32_t held);

#endif
