/*
 * A virtio device with one queue (virtio 1.2, 4.2 "Virtio Over MMIO"): one device at a time, driven by CPU 0. The
 * guest's memory is not cached (its MMU is off), so there is nothing to clean; the device must see what is written, which
 * QEMU's do.
 */
#ifndef BENCH_VIRTIO_H
#define BENCH_VIRTIO_H

#include "bench.h"

#define VIRTIO_ENTROPY 4u
#define VIRTIO_BLOCK 2u
#define VIRTIO_NEXT 1u          /* a descriptor goes on in the one behind it */
#define VIRTIO_DEVICE_WRITES 2u /* the device writes into it */
#define VIRTIO_QUEUE_MOST 128u  /* descriptors */

#define BLOCK_BYTES 4096u
#define BLOCK_SECTORS 8u
#define BLOCK_READ 0u
#define BLOCK_WRITE 1u

struct block_header {
    uint32_t type, reserved;
    uint64_t sector;
};

#pragma GCC visibility push(hidden)

/* Opens device number `number` of that type, with a queue of so many descriptors; false: there is none. */
bool virtio_open(uint32_t type, uint32_t number, uint32_t queue_size);
void virtio_close(void);
void virtio_describe(uint32_t index, const volatile void *place, uint32_t length, uint32_t flags);
/* Offers the chain that begins with this descriptor. */
void virtio_offer(uint32_t head);
/* Notifies, and waits until all that was offered has been given back: asleep, or spinning. */
void virtio_round_trip(bool asleep);

#pragma GCC visibility pop

#endif
