/*
 * Life of the guest: start, reset, off (states in vm.h). Device thread only.
 *
 * A reset is what it is on hardware: every vCPU stops, the devices forget their drivers, and vCPU 0 starts
 * a freshly loaded kernel; the rest of memory stays as it is. Before that, the disks have answered what
 * the old guest had asked of them, so nothing of it can happen under the new one.
 */
#include "vm.h"
#include <quoll/quoll.h>

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void tell(struct vm *vm, enum vm_state state)
{
    __atomic_store_n(&vm->status->state, state, __ATOMIC_RELEASE);
    if (vm->has_supervisor)
        (void)quoll_signal(vm->supervisor_channel);
}

static void off(struct vm *vm, enum vm_state state)
{
    survival_set(vm, SURVIVAL_OFF);
    vm->life = LIFE_OFF;
    tell(vm, state);
}

static void go(struct vm *vm)
{
    vm->life = LIFE_RUNNING;
    survival_set(vm, SURVIVAL_RUNNING);
    tell(vm, VM_RUNNING);
    __atomic_store_n(&vm->run, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        (void)quoll_signal(vm->vcpu[i].kick_channel);
}

static void run(struct vm *vm)
{
    struct loaded loaded;
    struct machine machine = {
        .vcpu_count = vm->vcpu_count,
        .ram_size = vm->ram.size,
        .command_line = vm->config->command_line,
    };
    for (uint32_t slot = 0; slot < VIRT_VIRTIO_SLOTS; slot++)
        machine.virtio_slots |= (uint32_t)(vm->slot[slot] != NULL) << slot;
    random_bytes(&vm->random, machine.seed, sizeof(machine.seed));
    if (!loader_load(&vm->ram, vm->kernel, vm->initrd, &machine, &loaded)) {
        quoll_log("VM %s cannot start: %s", vm->config->name, loaded.problem);
        quoll_format(vm->status->message, sizeof(vm->status->message), "%s", loaded.problem);
        off(vm, VM_FAILED);
        return;
    }
    for (uint32_t slot = 0; slot < VIRT_VIRTIO_SLOTS; slot++)
        if (vm->slot[slot] != NULL)
            survival_save_device(vm, slot);
    survival_save_uart(vm);
    survival_save_clock(vm);
    power_reset(&vm->survival->power);
    (void)power_start(&vm->survival->power, 0, loaded.entry, loaded.device_tree);
    for (uint32_t i = 0; i < vm->disk_count; i++)
        virtio_block_new_guest(&vm->disk[i]);
    go(vm);
}

/* Goes on with the guest of a former life, or resets it. */
static void go_on(struct vm *vm)
{
    vm->surviving = false;
    if (survival_resume(vm)) {
        quoll_log("VM %s goes on", vm->config->name);
        go(vm);
        return;
    }
    survival_set(vm, SURVIVAL_NOTHING);
    quoll_log("VM %s cannot be gone on with, as what its former VMM left is not possible: it is "
              "reset",
              vm->config->name);
    vm->status->resets++;
    devices_reset(vm);
    run(vm);
}

static void stop(struct vm *vm)
{
    survival_set(vm, vm->goal == LIFE_REQUEST_OFF ? SURVIVAL_OFF : SURVIVAL_NOTHING);
    vm->life = LIFE_STOPPING;
    __atomic_store_n(&vm->run, 0, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        (void)quoll_signal(vm->vcpu[i].kick_channel);
}

static bool all_stopped(const struct vm *vm)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        if (load(&vm->vcpu[i].running))
            return false;
    return true;
}

static bool disks_are_known(struct vm *vm)
{
    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (block_client_state(&vm->link[i]) == BLOCK_LINK_STARTING)
            return false;
    return true;
}

/* False: a disk that the description gives the VM cannot be used. It does not start without: its user would find out later,
 * from the guest, and not be told why. */
static bool disks_are_good(struct vm *vm)
{
    bool good = true;
    for (uint32_t i = 0; i < vm->disk_count; i++) {
        if (block_client_state(&vm->link[i]) != BLOCK_LINK_FAILED)
            continue;
        good = false;
        quoll_log("VM %s cannot start: disk %u cannot be used: %s", vm->config->name, i,
                  vm->link[i].reason);
        quoll_format(vm->status->message, sizeof(vm->status->message), "disk %u cannot be used: %s",
                     i, vm->link[i].reason);
    }
    return good;
}

/* Takes what is asked for; OFF wins over RESET. */
static enum life_request take_request(struct vm *vm)
{
    uint32_t asked = __atomic_exchange_n(&vm->request, LIFE_REQUEST_NONE, __ATOMIC_SEQ_CST);
    uint32_t wish = __atomic_exchange_n(&vm->status->wish, VM_WISH_NONE, __ATOMIC_SEQ_CST);
    if (wish == VM_WISH_OFF || (asked & LIFE_REQUEST_OFF))
        return LIFE_REQUEST_OFF;
    return wish == VM_WISH_RESET || asked != 0 ? LIFE_REQUEST_RESET : LIFE_REQUEST_NONE;
}

static void finish_stop(struct vm *vm)
{
    if (vm->goal == LIFE_REQUEST_OFF) {
        quoll_log("VM %s is off", vm->config->name);
        off(vm, VM_OFF);
        return;
    }
    vm->status->resets++;
    quoll_log("VM %s resets", vm->config->name);
    run(vm);
}

/* WAITING: a VM that is wished off now is off, though its devices come up once its disks have answered. */
static void begin(struct vm *vm, enum life_request request)
{
    if (request == LIFE_REQUEST_OFF && vm->goal != LIFE_REQUEST_OFF)
        tell(vm, VM_OFF);
    if (request != LIFE_REQUEST_NONE)
        vm->goal = request;
    if (!disks_are_known(vm))
        return;
    bool good = disks_are_good(vm);
    devices_start(vm);
    if (!vm->surviving) /* a queue that a former life has lent must not be served into the next kernel's memory */
        devices_reset(vm);
    if (vm->goal == LIFE_REQUEST_OFF)
        off(vm, VM_OFF);
    else if (!good)
        off(vm, VM_FAILED);
    else if (vm->surviving)
        go_on(vm);
    else
        run(vm);
}

void life_step(struct vm *vm)
{
    enum life_request request = take_request(vm);
    switch (vm->life) {
    case LIFE_WAITING:
        begin(vm, request);
        break;
    case LIFE_RUNNING:
        if (request == LIFE_REQUEST_NONE)
            break;
        vm->goal = request;
        stop(vm);
        break;
    case LIFE_OFF:
        if (request != LIFE_REQUEST_RESET)
            break;
        vm->goal = request;
        stop(vm);
        break;
    case LIFE_STOPPING:
    case LIFE_DRAINING:
        if (request == LIFE_REQUEST_OFF) /* it was about to reset */
            vm->goal = request;
        break;
    }
    if (vm->life == LIFE_STOPPING && all_stopped(vm)) {
        devices_reset(vm);
        vm->life = LIFE_DRAINING;
    }
    if (vm->life == LIFE_DRAINING && devices_are_quiet(vm))
        finish_stop(vm);
}

void life_start(struct vm *vm)
{
    vm->life = LIFE_WAITING;
    tell(vm, VM_STARTING);
    life_step(vm);
}
