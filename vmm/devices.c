/*
 * The devices of the machine: what is at which address, and how they share the console. Device thread only.
 */
#include "vm.h"
#include <quoll/quoll.h>

static void attach(struct vm *vm, uint32_t slot, struct virtio_device *device)
{
    device->intid = VIRT_SPI(VIRT_VIRTIO_SPI(slot));
    device->vgic = &vm->survival->vgic;
    device->ram = &vm->ram;
    for (uint32_t i = 0; i < VIRTIO_MAX_QUEUES; i++)
        device->queue[i].record = &vm->survival->slot[slot].record[i];
    vm->slot[slot] = device;
    vm->slots |= UINT32_C(1) << slot;
}

static void start_disk(struct vm *vm, uint32_t number)
{
    const char *name = quoll_numbered("buffer", vm->config->disk[number].buffer);
    const struct quoll_environment_entry *buffer = quoll_find(QUOLL_ENVIRONMENT_MEMORY, name);
    struct virtio_block_setup setup = {
        .disk = &vm->link[number],
        .buffer = buffer == NULL ? NULL : (uint8_t *)(uintptr_t)buffer->address,
        .buffer_size = buffer == NULL ? 0 : buffer->size,
        .buffer_number = vm->config->disk[number].buffer,
        .read_only = vm->config->disk[number].read_only != 0,
        .write_through = vm->config->disk[number].write_through != 0,
        .serial = vm->config->disk[number].serial,
    };
    if (quoll_find(QUOLL_ENVIRONMENT_MEMORY, quoll_numbered("queue", number)) != NULL)
        setup.lent = quoll_memory(quoll_numbered("queue", number), sizeof(struct guest_queue));
    virtio_block_start(&vm->disk[number], &setup);
    attach(vm, VMM_SLOT_DISK + number, &vm->disk[number].device);
}

static void start_monitor(struct vm *vm)
{
    virtio_monitor_start(&vm->monitor, quoll_memory("power", sizeof(struct power_source)),
                         quoll_handle("mains", QUOLL_OBJECT_CHANNEL));
    attach(vm, VMM_SLOT_MONITOR, &vm->monitor.device);
}

void devices_start(struct vm *vm)
{
    pl011_start(&vm->uart, &vm->survival->vgic, &vm->console);
    pl031_start(&vm->clock, &vm->survival->vgic, vm->config->boot_time);
    virtio_console_start(&vm->port, &vm->console);
    attach(vm, VMM_SLOT_CONSOLE, &vm->port.device);
    virtio_entropy_start(&vm->entropy, &vm->random);
    attach(vm, VMM_SLOT_ENTROPY, &vm->entropy.device);
    for (uint32_t i = 0; i < vm->disk_count; i++)
        start_disk(vm, i);
    if (quoll_find(QUOLL_ENVIRONMENT_MEMORY, "power") != NULL)
        start_monitor(vm);
}

void devices_reset(struct vm *vm)
{
    vgic_reset(&vm->survival->vgic);
    pl011_reset(&vm->uart);
    pl031_reset(&vm->clock);
    for (uint32_t slot = 0; slot < VIRT_VIRTIO_SLOTS; slot++)
        if (vm->slot[slot] != NULL)
            virtio_reset(vm->slot[slot]);
}

bool devices_are_quiet(const struct vm *vm)
{
    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (!virtio_block_is_quiet(&vm->disk[i]))
            return false;
    return true;
}

static void access_virtio(struct vm *vm, struct access *access)
{
    uint32_t slot = (uint32_t)(access->address / VIRT_VIRTIO_STRIDE);
    struct virtio_device *device = vm->slot[slot];
    access->address %= VIRT_VIRTIO_STRIDE;
    if (device == NULL)
        virtio_empty_slot(access);
    else
        virtio_access(device, access);
    if (device != NULL && access->write)
        survival_save_device(vm, slot);
}

bool devices_access(struct vm *vm, struct access *access)
{
    uint64_t address = access->address;
    if (address - VIRT_VIRTIO < VIRT_VIRTIO_SLOTS * VIRT_VIRTIO_STRIDE) {
        access->address -= VIRT_VIRTIO;
        access_virtio(vm, access);
        return true;
    }
    if (address - VIRT_PL011 < VIRT_DEVICE_SIZE) {
        access->address -= VIRT_PL011;
        pl011_access(&vm->uart, access);
        devices_move_console(vm);
        if (pl011_is_changed_by(access))
            survival_save_uart(vm);
        return true;
    }
    if (address - VIRT_PL031 < VIRT_DEVICE_SIZE) {
        access->address -= VIRT_PL031;
        pl031_access(&vm->clock, access);
        if (access->write)
            survival_save_clock(vm);
        return true;
    }
    return false;
}

/* The UART gets the input while nobody uses the virtio console. */
static bool uart_wants_input(const struct vm *vm)
{
    return !vm->port.has_spoken && pl011_wants_input(&vm->uart);
}

void devices_move_console(struct vm *vm)
{
    virtio_console_move(&vm->port);
    pl011_move(&vm->uart, uart_wants_input(vm));
}

bool devices_console_may_sleep(struct vm *vm)
{
    if (!vm->console.open)
        return true;
    if (!virtio_console_wants_input(&vm->port) && !uart_wants_input(vm))
        return true; /* the guest says when it does */
    return !console_has_input(&vm->console) && stream_sleep(&vm->console.stream);
}
