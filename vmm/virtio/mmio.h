/*
 * The virtio-mmio transport, version 2 (virtio 1.2, section 4.2), and what a device model is to it.
 *
 * All registers but two belong to the device thread. InterruptStatus and InterruptACK, which every interrupt of the
 * guest costs, are answered by the vCPU's own thread (virtio_hot). QueueNotify does not come here at all:
 * the kernel turns it into a signal, upon which the device thread calls the model's `notify`.
 */
#ifndef VMM_VIRTIO_MMIO_H
#define VMM_VIRTIO_MMIO_H

#include "vgic.h"
#include "virtio/queue.h"

#define VIRTIO_MAX_QUEUES 2u
#define VIRTIO_CONFIG_BYTES 64u

#define VIRTIO_F_RING_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_RING_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIRTIO_F_COMMON (VIRTIO_F_RING_INDIRECT_DESC | VIRTIO_F_RING_EVENT_IDX | VIRTIO_F_VERSION_1)

enum virtio_id { VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_ENTROPY = 4 };

enum virtio_status { /* 2.1 */
                     VIRTIO_ACKNOWLEDGE = 1,
                     VIRTIO_DRIVER = 2,
                     VIRTIO_DRIVER_OK = 4,
                     VIRTIO_FEATURES_OK = 8,
                     VIRTIO_NEEDS_RESET = 64,
                     VIRTIO_FAILED = 128,
};

enum virtio_interrupt { VIRTIO_INTERRUPT_USED = 1, VIRTIO_INTERRUPT_CONFIG = 2 };

struct virtio_device {
    /* constant */
    uint32_t id;
    uint32_t intid;
    uint32_t queue_count;
    uint64_t features; /* offered */
    struct vgic *vgic;
    const struct guest_ram *ram;
    void (*notify)(struct virtio_device *device); /* look at all queues */
    void (*forget)(struct virtio_device *device); /* drop every chain it holds */
    bool again; /* notify stopped before everything was served: call it again */
    /* the driver's */
    uint64_t accepted; /* features */
    uint32_t status;
    uint32_t features_select, accepted_select, queue_select;
    uint32_t interrupts;         /* InterruptStatus; shared with vCPU threads, atomic */
    uint32_t *shared_interrupts; /* constant; not NULL: in the place of `interrupts` */
    struct virtqueue queue[VIRTIO_MAX_QUEUES];
    uint8_t config[VIRTIO_CONFIG_BYTES];
};

/* Offsets within a slot. */
void virtio_access(struct virtio_device *device, struct access *access);
/* The registers that a vCPU thread answers itself; false: the device thread's. */
bool virtio_hot(struct virtio_device *device, struct access *access);
/* What a slot without a device answers. */
void virtio_empty_slot(struct access *access);

/* As after power-on. */
void virtio_reset(struct virtio_device *device);

/* For models. */
static inline bool virtio_running(const struct virtio_device *device)
{
    return (device->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}
/* For loops over a queue that the guest may keep filling: whether another turn is due now. After
 * VIRTIO_TURNS of them the device thread must look at other things first. */
#define VIRTIO_TURNS 256u
static inline bool virtio_turn(struct virtio_device *device, uint32_t *turns)
{
    device->again = virtio_running(device) && *turns >= VIRTIO_TURNS;
    return virtio_running(device) && (*turns)++ < VIRTIO_TURNS;
}
/* Publishes what was put in the queue, and interrupts the driver when it asked for it. */
void virtio_publish(struct virtio_device *device, struct virtqueue *queue);
/* The driver broke the rules: its chains are dropped, and nothing more is taken until it resets the device. */
void virtio_broken(struct virtio_device *device);
/* The driver looks at everything once more. */
void virtio_interrupt_again(struct virtio_device *device);

#endif
