/*
 * What of a VM outlives a restart of its VMM: everything that the guest can see of its machine and that is neither in its own
 * memory nor kept by the kernel (vCPUs, the interrupt page). It lies in a region of its own, which only this VMM has.
 *
 * Two kinds: interrupt controller and power states live here, as all threads change them at any time. Devices are the device
 * thread's: it saves their registers here after each change (survival_save_*), queues keep a record (virtio/queue.h). A
 * VMM can end at any instruction; what the guest asked for and was not answered it asks for again, because its pc
 * has not moved. A device register that was written just before may so be written twice, which at the UART can double a
 * character.
 *
 * The new life takes nothing for granted: what it finds is copied, checked, and used or refused as a whole. When it is
 * refused, or the old life ended while no guest ran, the VM is reset.
 */
#ifndef VMM_SURVIVAL_H
#define VMM_SURVIVAL_H

#include "pl011.h"
#include "pl031.h"
#include "psci.h"
#include "virtio/mmio.h"

#include <quoll/config.h>

enum survival_state {
    SURVIVAL_NOTHING,              /* no guest runs, or its state is about to change as a whole */
    SURVIVAL_RUNNING = 0x676e7572, /* it does */
    SURVIVAL_OFF = 0x2066666f,     /* it was switched off */
};

struct survival_device {
    uint64_t accepted;
    uint32_t status, features_select, accepted_select, queue_select;
    struct {
        uint32_t size, ready;
        uint64_t descriptors, driver, device;
    } queue[VIRTIO_MAX_QUEUES];
    struct virtqueue_record record[VIRTIO_MAX_QUEUES];
};

struct survival {
    uint32_t state; /* enum survival_state */
    uint32_t lives; /* restarts so far */
    struct vgic vgic;
    struct power power;
    struct pl011 uart;
    struct pl031 clock;
    struct survival_device slot[VIRT_VIRTIO_SLOTS];
};

_Static_assert(sizeof(struct survival) <= VMM_SURVIVAL_BYTES, "fits its region");

struct vm;

/* The region, before anything else; true: a guest may be gone on with. */
bool survival_find(struct vm *vm);
void survival_set(struct vm *vm, enum survival_state state);
/* After a change, by the device thread. */
void survival_save_device(struct vm *vm, uint32_t slot);
void survival_save_uart(struct vm *vm);
void survival_save_clock(struct vm *vm);
/* Brings devices that have just been started to where they were; false: that cannot be. */
bool survival_resume(struct vm *vm);

#endif
