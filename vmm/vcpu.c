/*
 * A vCPU's thread: runs the guest, and answers its exits.
 *
 * Parked (waiting until it is powered on and the VM runs), or running (`running` is set). An exit that
 * the thread serves itself is a function call; see vm.h for the rest.
 */
#include "vm.h"
#include <quoll/quoll.h>

#define PSTATE_EL1H_MASKED 0x3c5u /* EL1 with its own stack pointer; D, A, I and F masked */

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}
static void store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static void tell_device_thread(struct vm *vm)
{
    (void)quoll_signal(vm->to_device_channel);
}

/* ---- device registers ---- */

static bool virtio_answered(struct vm *vm, struct access *access)
{
    uint64_t offset = access->address - VIRT_VIRTIO;
    struct virtio_device *device = vm->slot[offset / VIRT_VIRTIO_STRIDE];
    struct access inner = *access;
    inner.address = offset % VIRT_VIRTIO_STRIDE;
    if (device == NULL || !virtio_hot(device, &inner))
        return false;
    access->value = inner.value;
    return true;
}

static bool uart_answered(struct vm *vm, struct access *access)
{
    struct access inner = *access;
    inner.address -= VIRT_PL011;
    if (!pl011_hot(&vm->uart, &inner))
        return false;
    access->value = inner.value;
    return true;
}

/* What this thread can answer alone. */
static bool answered_here(struct vm *vm, struct access *access)
{
    uint64_t address = access->address;
    if (address - VIRT_VIRTIO < VIRT_VIRTIO_SLOTS * VIRT_VIRTIO_STRIDE)
        return virtio_answered(vm, access);
    if (address - VIRT_GICD < VIRT_GICD_SIZE) {
        access->address -= VIRT_GICD;
        vgic_distributor(&vm->survival->vgic, access);
        return true;
    }
    if (address - VIRT_GICR < VIRT_GICR_STRIDE * vm->vcpu_count) {
        access->address -= VIRT_GICR;
        vgic_redistributor(&vm->survival->vgic, access);
        return true;
    }
    if (address - VIRT_PL011 < VIRT_DEVICE_SIZE)
        return uart_answered(vm, access);
    return false;
}

/* Has the device thread do it; false: nothing is there. Kicks for other reasons that arrive meanwhile are
 * not lost: what they are about is looked at before the guest is entered again. */
static bool answered_by_device_thread(struct vm *vm, struct vcpu *vcpu, struct access *access)
{
    uint32_t state;
    vcpu->mailbox = *access;
    store(&vcpu->mailbox_state, MAILBOX_ASKED);
    tell_device_thread(vm);
    while ((state = load(&vcpu->mailbox_state)) == MAILBOX_ASKED)
        quoll_wait();
    access->value = vcpu->mailbox.value;
    store(&vcpu->mailbox_state, MAILBOX_EMPTY);
    return state == MAILBOX_ANSWERED;
}

static void serve_access(struct vm *vm, struct vcpu *vcpu)
{
    struct quoll_vcpu_page *page = vcpu->page;
    struct access access = {page->address, page->mmio.value, page->mmio.size, page->mmio.write};
    if (answered_here(vm, &access) || answered_by_device_thread(vm, vcpu, &access)) {
        page->mmio.value = access.value;
        page->request = QUOLL_VCPU_FINISH_MMIO;
    } else {
        page->request = QUOLL_VCPU_INJECT_ABORT;
    }
}

/* ---- firmware calls ---- */

/* False: the vCPU does not go on. */
static bool serve_call(struct vm *vm, struct vcpu *vcpu, uint32_t index)
{
    struct psci_answer answer =
        psci_call(&vm->survival->power, &vcpu->random, index, vcpu->page->registers.x);
    switch (answer.effect) {
    case PSCI_CONTINUE:
        return true;
    case PSCI_STARTED:
        (void)quoll_signal(vm->vcpu[answer.target].kick_channel);
        return true;
    case PSCI_STOPPED:
        return false;
    case PSCI_OFF:
    case PSCI_RESET:
        __atomic_fetch_or(&vm->request,
                          answer.effect == PSCI_OFF ? LIFE_REQUEST_OFF : LIFE_REQUEST_RESET,
                          __ATOMIC_SEQ_CST);
        return false;
    }
    return true;
}

/* False: the vCPU does not go on. */
static bool serve_exit(struct vm *vm, struct vcpu *vcpu, uint32_t index)
{
    switch (vcpu->page->exit) {
    case QUOLL_EXIT_MMIO:
        serve_access(vm, vcpu);
        break;
    case QUOLL_EXIT_CALL:
        if (!serve_call(vm, vcpu, index))
            return false;
        break;
    case QUOLL_EXIT_MEMORY:
        vcpu->page->request = QUOLL_VCPU_INJECT_ABORT;
        break;
    default:
        break;
    }
    vcpu->page->exit = QUOLL_EXIT_NONE; /* what a new life of the VMM need not serve */
    return true;
}

/* ---- life ---- */

/* Returns when this vCPU is on and the VM runs; `running` is then set. */
static void park(struct vm *vm, struct vcpu *vcpu, uint32_t index, uint64_t *entry,
                 uint64_t *context)
{
    for (;;) {
        if (load(&vm->run)) {
            store(&vcpu->running, 1);
            if (load(&vm->run) &&
                (vcpu->resumes || power_take(&vm->survival->power, index, entry, context)))
                return;
            store(&vcpu->running, 0);
            if (!load(&vm->run))
                tell_device_thread(vm);
        }
        quoll_wait();
    }
}

/* `left`: first serves the exit at which a former life has left the guest. */
static void run(struct vm *vm, struct vcpu *vcpu, uint32_t index, bool left)
{
    uint64_t signals = 0;
    while (load(&vm->run)) {
        enum quoll_status status = QUOLL_OK;
        if (!left)
            status = quoll_vcpu_run(vcpu->handle, &signals);
        left = false;
        if (status != QUOLL_OK)
            quoll_fail("vCPU %u cannot be run: status %u", index, (unsigned)status);
        if (signals == 0 && !serve_exit(vm, vcpu, index))
            return;
    }
}

static void begin(struct vcpu *vcpu, uint64_t entry, uint64_t context)
{
    memset(&vcpu->page->registers, 0, sizeof(vcpu->page->registers));
    vcpu->page->registers.x[0] = context;
    vcpu->page->registers.pc = entry;
    vcpu->page->registers.pstate = PSTATE_EL1H_MASKED;
    vcpu->page->request = QUOLL_VCPU_RESET;
    vcpu->page->exit = QUOLL_EXIT_NONE;
}

void vcpu_serve(struct vm *vm, uint32_t index)
{
    struct vcpu *vcpu = &vm->vcpu[index];
    uint64_t entry, context;
    for (;;) {
        park(vm, vcpu, index, &entry, &context);
        /* An access that a former life did not complete traps again, as pc has not moved; a call would not. */
        bool left = vcpu->resumes && vcpu->page->exit == QUOLL_EXIT_CALL;
        if (!vcpu->resumes)
            begin(vcpu, entry, context);
        vcpu->resumes = false;
        run(vm, vcpu, index, left);
        store(&vcpu->running, 0);
        tell_device_thread(vm);
    }
}
