/*
 * The VMM: one component per VM. Thread 0 is the device thread, thread 1 + n runs vCPU n; how they share the work is
 * told in vm.h, what the component finds in its environment in quoll/config.h.
 */
#include "vm.h"
#include <quoll/quoll.h>

#define PATIENCE_NS UINT64_C(5000000000) /* for disks at the start, before a message */

static struct vm vm;

static struct {
    uint64_t from_vcpu, supervisor, console;
    uint64_t doorbell[VIRT_VIRTIO_SLOTS], disk[VMM_MAX_DISKS];
} signals;

/* ---- start ---- */

static uint64_t optional_receive(const char *name)
{
    const struct quoll_environment_entry *entry = quoll_find(QUOLL_ENVIRONMENT_RECEIVE, name);
    return entry == NULL ? 0 : QUOLL_SIGNAL(entry->number);
}

/* The seed of the description, and unless runs are to be repeatable, whatever differs from boot to boot. */
static void seed_random(void)
{
    random_absorb(&vm.random, vm.config->seed, sizeof(vm.config->seed));
    if (!vm.config->seed_from_image) {
        const struct quoll_environment_entry *tree =
            quoll_find(QUOLL_ENVIRONMENT_MEMORY, "device-tree"); /* with its rng-seed */
        uint64_t now = quoll_now();
        if (tree != NULL && tree->address != 0)
            random_absorb(&vm.random, (const void *)(uintptr_t)tree->address, tree->size);
        random_absorb(&vm.random, &now, sizeof(now));
    }
    random_absorb(&vm.random, vm.config->name, sizeof(vm.config->name));
    if (vm.survival->lives > 1) /* not the numbers of the former life again */
        random_absorb(&vm.random, &vm.survival->lives, sizeof(vm.survival->lives));
    for (uint32_t i = 0; i < vm.vcpu_count; i++)
        random_bytes(&vm.random, vm.vcpu[i].random.key, sizeof(vm.vcpu[i].random.key));
}

static void find_vcpus(void)
{
    for (uint32_t i = 0; i < vm.vcpu_count; i++) {
        vm.vcpu[i].page = quoll_memory(quoll_numbered("vcpu", i), sizeof(struct quoll_vcpu_page));
        vm.vcpu[i].handle = quoll_handle(quoll_numbered("vcpu", i), QUOLL_OBJECT_VCPU);
        vm.vcpu[i].kick_channel = quoll_handle(quoll_numbered("to-vcpu", i), QUOLL_OBJECT_CHANNEL);
    }
}

static struct payload find_payload(const char *name, uint64_t size)
{
    return (struct payload){size == 0 ? NULL : quoll_memory(name, size), size};
}

static void find_guest(void)
{
    const struct vmm_config *config = vm.config;
    vm.ram = (struct guest_ram){quoll_memory("guest-ram", config->ram_size), config->ram_size};
    vm.kernel = find_payload("kernel", config->kernel_size);
    vm.initrd = find_payload("initrd", config->initrd_size);
    vm.survival->power.vcpu_count = vm.vcpu_count;
    vm.survival->power.ram_base = VIRT_RAM;
    vm.survival->power.ram_size = config->ram_size;
    (vm.surviving ? vgic_resume : vgic_start)(
        &vm.survival->vgic, quoll_memory("interrupts", sizeof(struct quoll_vm_interrupts)),
        quoll_handle("vm", QUOLL_OBJECT_VM), vm.vcpu_count);
}

static void find_peers(void)
{
    vm.to_device_channel = quoll_handle("to-device", QUOLL_OBJECT_CHANNEL);
    vm.status = quoll_memory("status", sizeof(struct vm_status));
    vm.has_supervisor = quoll_find(QUOLL_ENVIRONMENT_HANDLE, "supervisor") != NULL;
    if (vm.has_supervisor)
        vm.supervisor_channel = quoll_handle("supervisor", QUOLL_OBJECT_CHANNEL);
    vm.console.open = quoll_find(QUOLL_ENVIRONMENT_MEMORY, "console") != NULL;
    if (vm.console.open)
        stream_open(&vm.console.stream, "console", false);
    for (uint32_t i = 0; i < vm.disk_count; i++)
        block_client_find(&vm.link[i], i);
}

static void find_signals(void)
{
    signals.from_vcpu = quoll_receive("from-vcpu");
    signals.supervisor = optional_receive("supervisor");
    signals.console = optional_receive("console");
    for (uint32_t slot = 0; slot < VIRT_VIRTIO_SLOTS; slot++)
        signals.doorbell[slot] = optional_receive(quoll_numbered("doorbell", slot));
    for (uint32_t i = 0; i < vm.disk_count; i++)
        signals.disk[i] = vm.link[i].signal;
}

static void start(void)
{
    vm.config = quoll_memory("config", sizeof(struct vmm_config));
    vm.vcpu_count = vm.config->vcpu_count;
    vm.disk_count = vm.config->disk_count;
    if (vm.vcpu_count == 0 || vm.vcpu_count > QUOLL_MAX_VCPUS_PER_VM ||
        vm.disk_count > VMM_MAX_DISKS)
        quoll_fail("the system image gives this VM %u vCPUs and %u disks", vm.vcpu_count,
                   vm.disk_count);
    vm.surviving = survival_find(&vm);
    find_vcpus();
    find_guest();
    find_peers();
    find_signals();
    seed_random();
    life_start(&vm);
}

/* ---- the device thread ---- */

static void serve_mailboxes(void)
{
    for (uint32_t i = 0; i < vm.vcpu_count; i++) {
        struct vcpu *vcpu = &vm.vcpu[i];
        if (__atomic_load_n(&vcpu->mailbox_state, __ATOMIC_SEQ_CST) != MAILBOX_ASKED)
            continue;
        bool answered = devices_access(&vm, &vcpu->mailbox);
        __atomic_store_n(&vcpu->mailbox_state, answered ? MAILBOX_ANSWERED : MAILBOX_REFUSED,
                         __ATOMIC_SEQ_CST);
        (void)quoll_signal(vcpu->kick_channel);
    }
}

static void serve_doorbells(uint64_t arrived)
{
    for (uint32_t left = vm.slots; left != 0; left &= left - 1) {
        uint32_t slot = (uint32_t)__builtin_ctz(left);
        struct virtio_device *device = vm.slot[slot];
        if ((arrived & signals.doorbell[slot]) || device->again)
            device->notify(device);
    }
}

static void serve_disks(uint64_t arrived)
{
    for (uint32_t i = 0; i < vm.disk_count; i++)
        if (arrived & signals.disk[i])
            virtio_block_completions(&vm.disk[i]);
}

static void serve(uint64_t arrived)
{
    if (arrived & signals.from_vcpu)
        serve_mailboxes();
    serve_doorbells(arrived);
    if (vm.life != LIFE_WAITING)
        serve_disks(arrived);
    if (arrived & signals.console && vm.life != LIFE_WAITING)
        devices_move_console(&vm);
    life_step(&vm);
}

/* Declares to every peer that this thread is about to sleep. Returns the signals of those that have
 * something for it: then it must not. */
static uint64_t ready_signals(void)
{
    uint64_t ready = 0;
    if (vm.life == LIFE_WAITING)
        return 0; /* the links' first signals come in any case */
    for (uint32_t left = vm.slots; left != 0; left &= left - 1) {
        uint32_t slot = (uint32_t)__builtin_ctz(left);
        if (vm.slot[slot]->again)
            ready |= signals.doorbell[slot];
    }
    for (uint32_t i = 0; i < vm.disk_count; i++)
        ready |= virtio_block_missed_signals(&vm.disk[i]);
    for (uint32_t i = 0; i < vm.disk_count; i++)
        if (!block_client_sleep(&vm.link[i]))
            ready |= signals.disk[i];
    if (!devices_console_may_sleep(&vm))
        ready |= signals.console;
    return ready;
}

static void awake(void)
{
    for (uint32_t i = 0; i < vm.disk_count; i++)
        block_client_awake(&vm.link[i]);
}

/* Says once what a VM that does not start is waiting for. */
static void report_patience(uint64_t arrived)
{
    if (!(arrived & QUOLL_SIGNAL_TIMER) || vm.life != LIFE_WAITING)
        return;
    for (uint32_t i = 0; i < vm.disk_count; i++)
        if (block_client_state(&vm.link[i]) == BLOCK_LINK_STARTING)
            quoll_log("VM %s still waits for its disk %u", vm.config->name, i);
}

void component_main(void)
{
    start();
    (void)quoll_timer_set(quoll_now() + quoll_ticks_from_ns(PATIENCE_NS));
    for (;;) {
        uint64_t arrived = ready_signals();
        if (arrived != 0) /* the wait then only collects what else is there, mailboxes included */
            (void)quoll_signal(vm.to_device_channel);
        arrived |= quoll_wait();
        awake();
        report_patience(arrived);
        serve(arrived);
    }
}

void component_thread(uint32_t number)
{
    vcpu_serve(&vm, number - 1);
}
