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

/* Offsets of a queue's rings in RAM; queue n is at n * DRIVER_QUEUE. */
#define DRIVER_QUEUE 0x2000u
#define DRIVER_AVAILABLE 0x1000u
#define DRIVER_USED 0x1400u

struct driver {
    struct virtio_device *device;
    void (*wrote)(void); /* after each write to a register; NULL: nobody wants to know */
    struct guest_ram ram;
    struct vgic vgic;
    struct quoll_vm_interrupts interrupts;
};

/* Fresh memory (zeros) and interrupt controller for `device`. */
void driver_start(struct driver *driver, struct virtio_device *device);
/* The same memory and interrupt controller for a device that its model has begun anew. */
void driver_attach(struct driver *driver, struct virtio_device *device);
/* Status 0: the device forgets. */
void driver_reset(struct driver *driver);
/* Reset, features, queues of `size` entries, DRIVER_OK. */
void driver_set_up(struct driver *driver, uint64_t features, uint32_t size);
/* Offers a chain of `count` buffers, the first `readable` of them for the device to read, from descriptor `head` on. */
struct driver_buffer {
    uint64_t address; /* guest-physical */
    uint32_t length;
};
#define DRIVER_DATA 0x4000u /* offset in RAM from which on no queue lies */
void driver_add(struct driver *driver, uint32_t queue, uint16_t head,
                const struct driver_buffer *buffers, uint32_t readable, uint32_t count);
/* Makes a chain available. */
void driver_offer(struct driver *driver, uint32_t queue, uint16_t head);
/* One step of the driver, as the input says. */
void driver_step(struct driver *driver, struct input *input);

/* What the queues must always be: chains that were taken and not yet given back are exactly those that the model holds. */
void driver_check_queue(const struct virtqueue *queue, uint32_t held);

#endif
