/*
 * One VM and everything that serves it.
 *
 * Threads: the device thread (thread 0) owns everything in here, except what is marked `atomic` and what belongs to a
 * vCPU's thread (struct vcpu). It fills in the rest before it sets `run` for the first time.
 *
 * How the two kinds work together:
 * - A vCPU thread answers what needs no device thread: interrupt controller, PSCI, virtio's interrupt registers.
 *   Any other access goes into its mailbox; it signals "to-device" and waits for its "kick".
 * - The device thread starts and stops all vCPUs through `run`: a vCPU thread sets its `running`, then
 *   looks at `run`; the device thread clears `run`, kicks, then looks at every `running`. One of both sees the other.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "loader.h"
#include "pl011.h"
#include "pl031.h"
#include "survival.h"
#include "virtio/block.h"
#include "virtio/console.h"
#include "virtio/entropy.h"
#include "virtio/monitor.h"
#include <quoll/config.h>
#include <quoll/life.h>

enum mailbox_state { MAILBOX_EMPTY, MAILBOX_ASKED, MAILBOX_ANSWERED, MAILBOX_REFUSED };

struct vcpu {
    /* its own thread's */
    struct quoll_vcpu_page *page;
    uint32_t handle;
    struct random random;
    /* shared */
    uint32_t kick_channel;  /* constant */
    bool resumes;           /* its guest goes on where a former life left it; set before `run` */
    uint32_t running;       /* atomic: its thread may enter the guest */
    uint32_t mailbox_state; /* atomic: enum mailbox_state; says whose `mailbox` is */
    struct access mailbox;
} __attribute__((aligned(64)));

enum life {
    LIFE_WAITING,  /* for the disks to be usable */
    LIFE_RUNNING,  /* vCPUs run */
    LIFE_STOPPING, /* vCPUs are asked to stop */
    LIFE_DRAINING, /* they have; the disks still have requests */
    LIFE_OFF,      /* until the supervisor wishes a reset */
};

/* What is asked for, by the guest or the supervisor; later ones win over earlier ones. */
enum life_request { LIFE_REQUEST_NONE, LIFE_REQUEST_RESET = 1, LIFE_REQUEST_OFF = 2 };

struct vm {
    const struct vmm_config *config;
    uint32_t vcpu_count, disk_count;
    uint32_t to_device_channel, supervisor_channel;
    bool has_supervisor;
    struct guest_ram ram;
    struct payload kernel, initrd;
    struct vm_status *status;
    struct survival *survival;
    bool surviving; /* a guest of a former life may be gone on with */
    struct vcpu vcpu[QUOLL_MAX_VCPUS_PER_VM];
    /* life */
    uint32_t run;     /* atomic: vCPU threads may run their guests */
    uint32_t request; /* atomic: enum life_request bits of vCPU threads */
    enum life life;
    enum life_request goal; /* STOPPING, DRAINING: why */
    /* devices */
    struct virtio_device *slot[VIRT_VIRTIO_SLOTS]; /* constant; NULL: empty */
    uint32_t slots;                                /* bit n: slot n is not */
    struct random random;
    struct console console;
    struct pl011 uart;
    struct pl031 clock;
    struct virtio_console port;
    struct virtio_entropy entropy;
    struct virtio_monitor monitor;
    struct virtio_block disk[VMM_MAX_DISKS];
    struct block_client link[VMM_MAX_DISKS];
};

/* vcpu.c: the whole life of a vCPU's thread. */
_Noreturn void vcpu_serve(struct vm *vm, uint32_t index);

/* devices.c: device thread. */
void devices_start(struct vm *vm); /* once, when the links of all disks are READY or FAILED */
void devices_reset(struct vm *vm);
bool devices_are_quiet(const struct vm *vm); /* no disk works on requests of before a reset */
/* Serves the access; false: there is nothing at that address. */
bool devices_access(struct vm *vm, struct access *access);
void devices_move_console(struct vm *vm);
/* False: input has arrived meanwhile. */
bool devices_console_may_sleep(struct vm *vm);

/* life.c: device thread. */
void life_start(struct vm *vm);
/* Goes on with whatever is due; to be called after every wait. */
void life_step(struct vm *vm);

#endif
