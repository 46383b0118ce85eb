/* What outlives the VMM; see survival.h. */
#include "survival.h"
#include "vm.h"

#include <quoll/quoll.h>

/* Where there is no such region (tests), nothing survives. */
static struct survival own;

static void set_state(struct survival *survival, enum survival_state state)
{
    __atomic_store_n(&survival->state, state, __ATOMIC_SEQ_CST);
}

bool survival_find(struct vm *vm)
{
    vm->survival = &own;
    if (quoll_find(QUOLL_ENVIRONMENT_MEMORY, "survival") == NULL)
        return false;
    vm->survival = quoll_memory("survival", sizeof(struct survival));
    uint32_t state = __atomic_load_n(&vm->survival->state, __ATOMIC_SEQ_CST);
    vm->survival->lives++;
    if (state == SURVIVAL_OFF)
        vm->goal = LIFE_REQUEST_OFF;
    return state == SURVIVAL_RUNNING;
}

void survival_set(struct vm *vm, enum survival_state state)
{
    set_state(vm->survival, state);
}

/* ---- Saving ---- */

void survival_save_device(struct vm *vm, uint32_t slot)
{
    const struct virtio_device *device = vm->slot[slot];
    struct survival_device *to = &vm->survival->slot[slot];
    to->accepted = device->accepted;
    to->status = device->status;
    to->features_select = device->features_select;
    to->accepted_select = device->accepted_select;
    to->queue_select = device->queue_select;
    for (uint32_t i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        const struct virtqueue *queue = &device->queue[i];
        to->queue[i].size = queue->size;
        to->queue[i].descriptors = queue->descriptors;
        to->queue[i].driver = queue->driver;
        to->queue[i].device = queue->device;
        to->queue[i].ready = queue->ready;
    }
}

void survival_save_uart(struct vm *vm)
{
    vm->survival->uart = vm->uart;
}

void survival_save_clock(struct vm *vm)
{
    vm->survival->clock = vm->clock;
}

/* ---- Going on ---- */

static bool resume_uart(struct vm *vm)
{
    struct pl011 was = vm->survival->uart;
    if (was.received > PL011_FIFO || was.receive_first >= PL011_FIFO || was.held > PL011_FIFO)
        return false;
    was.vgic = vm->uart.vgic;
    was.console = vm->uart.console;
    vm->uart = was;
    return true;
}

static void resume_clock(struct vm *vm)
{
    struct pl031 was = vm->survival->clock;
    was.vgic = vm->clock.vgic;
    vm->clock = was;
}

static bool resume_queue(struct virtio_device *device, uint32_t number,
                         const struct survival_device *was)
{
    struct virtqueue *queue = &device->queue[number];
    queue->size = was->queue[number].size;
    queue->descriptors = was->queue[number].descriptors;
    queue->driver = was->queue[number].driver;
    queue->device = was->queue[number].device;
    return was->queue[number].ready == 0 ||
           virtqueue_resume(queue, device->ram, (was->accepted & VIRTIO_F_RING_EVENT_IDX) != 0);
}

/* The driver may have been about to be told of something: it is interrupted, for nothing in the worst case. */
static bool resume_device(struct virtio_device *device, const struct survival_device *was)
{
    if ((was->accepted & ~device->features) != 0 && (was->status & VIRTIO_FEATURES_OK) != 0)
        return false;
    device->accepted = was->accepted;
    device->status = was->status & 0xff;
    device->features_select = was->features_select;
    device->accepted_select = was->accepted_select;
    device->queue_select = was->queue_select;
    for (uint32_t i = 0; i < device->queue_count; i++)
        if (!resume_queue(device, i, was))
            return false;
    if (virtio_running(device))
        virtio_interrupt_again(device);
    return true;
}

static bool power_is_possible(struct power *power)
{
    for (uint32_t i = 0; i < QUOLL_MAX_VCPUS_PER_VM; i++) {
        if (power->vcpu[i].state > POWER_ON)
            return false;
        if (power->vcpu[i].state == POWER_CLAIMED) /* the call that did will come again */
            power->vcpu[i].state = POWER_OFF;
    }
    return true;
}

static bool resume_devices(struct vm *vm)
{
    for (uint32_t slot = 0; slot < VIRT_VIRTIO_SLOTS; slot++) {
        const struct survival_device was = vm->survival->slot[slot];
        if (vm->slot[slot] != NULL && !resume_device(vm->slot[slot], &was))
            return false;
    }
    return true;
}

bool survival_resume(struct vm *vm)
{
    if (!power_is_possible(&vm->survival->power) || !resume_uart(vm) || !resume_devices(vm))
        return false;
    resume_clock(vm);
    virtio_console_resume(&vm->port);
    for (uint32_t i = 0; i < vm->disk_count; i++)
        virtio_block_resume(&vm->disk[i]);
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        vm->vcpu[i].resumes = vm->survival->power.vcpu[i].state == POWER_ON;
    return true;
}
