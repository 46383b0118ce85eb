/*
 * The virtio-mmio transport; the contract is in mmio.h, register layout in virtio 1.2, 4.2.2.
 */
#include "virtio/mmio.h"

enum virtio_register {
    MAGIC = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SELECT = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SELECT = 0x024,
    QUEUE_SELECT = 0x030,
    QUEUE_SIZE_MAX = 0x034,
    QUEUE_SIZE = 0x038,
    QUEUE_READY = 0x044,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESCRIPTORS = 0x080, /* low word; the high one follows, here and below */
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
    SHARED_MEMORY_LENGTH = 0x0b0,
    SHARED_MEMORY_BASE = 0x0b8,
    CONFIG = 0x100,
};

#define MAGIC_VALUE 0x74726976u  /* "virt" */
#define VENDOR_VALUE 0x4c4c5551u /* "QULL" */

static uint32_t *interrupts_of(struct virtio_device *device)
{
    return device->shared_interrupts == NULL ? &device->interrupts : device->shared_interrupts;
}

static void interrupt(struct virtio_device *device, enum virtio_interrupt reason)
{
    /* The line is the OR of the reasons; only its rising edge interrupts. */
    if (__atomic_fetch_or(interrupts_of(device), reason, __ATOMIC_SEQ_CST) == 0)
        vgic_pulse(device->vgic, device->intid);
}

void virtio_publish(struct virtio_device *device, struct virtqueue *queue)
{
    if (virtqueue_publish(queue))
        interrupt(device, VIRTIO_INTERRUPT_USED);
}

void virtio_broken(struct virtio_device *device)
{
    for (uint32_t i = 0; i < device->queue_count; i++)
        device->queue[i].ready = false;
    device->forget(
        device); /* from here on the driver may change the queues: nobody answers into them */
    device->status |= VIRTIO_NEEDS_RESET;
    if (device->status & VIRTIO_DRIVER_OK)
        interrupt(device, VIRTIO_INTERRUPT_CONFIG);
}

void virtio_interrupt_again(struct virtio_device *device)
{
    __atomic_fetch_or(interrupts_of(device), VIRTIO_INTERRUPT_USED, __ATOMIC_SEQ_CST);
    vgic_pulse(device->vgic, device->intid);
    device->again = true;
}

void virtio_reset(struct virtio_device *device)
{
    device->forget(device);
    device->accepted = 0;
    device->status = 0;
    device->features_select = device->accepted_select = device->queue_select = 0;
    __atomic_store_n(interrupts_of(device), 0, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < VIRTIO_MAX_QUEUES; i++)
        virtqueue_reset(&device->queue[i]);
}

static bool features_acceptable(const struct virtio_device *device)
{
    return (device->accepted & ~device->features) == 0 &&
           (device->accepted & VIRTIO_F_VERSION_1) != 0;
}

static void write_status(struct virtio_device *device, uint32_t value)
{
    if (value == 0) {
        virtio_reset(device);
        return;
    }
    uint32_t added = value & ~device->status;
    if ((added & VIRTIO_FEATURES_OK) && !features_acceptable(device))
        value &= ~(uint32_t)VIRTIO_FEATURES_OK;
    /* 2.1.1: a driver takes no bit back but by reset. */
    device->status |= value & 0xff & ~(uint32_t)VIRTIO_NEEDS_RESET;
    if (added & VIRTIO_DRIVER_OK)
        device->notify(device);
}

static void write_ready(struct virtio_device *device, struct virtqueue *queue, bool ready)
{
    if (ready == queue->ready)
        return;
    if (!ready) {
        queue->ready = false;
        device->forget(device);
    } else if (!virtqueue_start(queue, device->ram,
                                (device->accepted & VIRTIO_F_RING_EVENT_IDX) != 0)) {
        virtio_broken(device);
    }
}

static void write_half(uint64_t *address, bool high, uint32_t value)
{
    *address = high ? (*address & UINT32_MAX) | (uint64_t)value << 32
                    : (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void write_queue(struct virtio_device *device, uint32_t offset, uint32_t value)
{
    if (device->queue_select >= device->queue_count)
        return;
    struct virtqueue *queue = &device->queue[device->queue_select];
    if (offset == QUEUE_READY)
        write_ready(device, queue, (value & 1) != 0);
    if (queue->ready) /* 4.2.2.2: the driver must not change it now */
        return;
    bool high = (offset & 4) != 0;
    switch (offset & ~4u) {
    case QUEUE_SIZE:
        if (!high)
            queue->size = value;
        break;
    case QUEUE_DESCRIPTORS:
        write_half(&queue->descriptors, high, value);
        break;
    case QUEUE_DRIVER:
        write_half(&queue->driver, high, value);
        break;
    case QUEUE_DEVICE:
        write_half(&queue->device, high, value);
        break;
    default:
        break;
    }
}

static void write_features(struct virtio_device *device, uint32_t value)
{
    if (device->accepted_select > 1 || (device->status & VIRTIO_FEATURES_OK))
        return;
    write_half(&device->accepted, device->accepted_select == 1, value);
}

static void write_register(struct virtio_device *device, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case DEVICE_FEATURES_SELECT:
        device->features_select = value;
        break;
    case DRIVER_FEATURES:
        write_features(device, value);
        break;
    case DRIVER_FEATURES_SELECT:
        device->accepted_select = value;
        break;
    case QUEUE_SELECT:
        device->queue_select = value;
        break;
    case STATUS:
        write_status(device, value);
        break;
    default:
        write_queue(device, offset, value);
        break;
    }
}

static uint32_t read_register(struct virtio_device *device, uint32_t offset)
{
    bool queue_exists = device->queue_select < device->queue_count;
    switch (offset) {
    case MAGIC:
        return MAGIC_VALUE;
    case VERSION:
        return 2;
    case DEVICE_ID:
        return device->id;
    case VENDOR_ID:
        return VENDOR_VALUE;
    case DEVICE_FEATURES:
        return device->features_select > 1
                   ? 0
                   : (uint32_t)(device->features >> (32 * device->features_select));
    case QUEUE_SIZE_MAX:
        return queue_exists ? VIRTQUEUE_MAX_SIZE : 0;
    case QUEUE_READY:
        return queue_exists && device->queue[device->queue_select].ready;
    case INTERRUPT_STATUS:
        return __atomic_load_n(interrupts_of(device), __ATOMIC_SEQ_CST);
    case STATUS:
        return device->status;
    case SHARED_MEMORY_LENGTH: /* 4.2.2.1: no such region: all ones */
    case SHARED_MEMORY_LENGTH + 4:
    case SHARED_MEMORY_BASE:
    case SHARED_MEMORY_BASE + 4:
        return UINT32_MAX;
    default: /* ConfigGeneration, too: no configuration ever changes */
        return 0;
    }
}

static uint64_t read_config(const struct virtio_device *device, uint64_t offset, uint32_t size)
{
    uint64_t value = 0;
    if (offset <= VIRTIO_CONFIG_BYTES && size <= VIRTIO_CONFIG_BYTES - offset)
        memcpy(&value, device->config + offset, size);
    return value;
}

bool virtio_hot(struct virtio_device *device, struct access *access)
{
    if (access->address == INTERRUPT_STATUS && !access->write) {
        access->value = __atomic_load_n(interrupts_of(device), __ATOMIC_SEQ_CST);
        return true;
    }
    if (access->address == INTERRUPT_ACK && access->write) {
        __atomic_fetch_and(interrupts_of(device), ~(uint32_t)access->value, __ATOMIC_SEQ_CST);
        return true;
    }
    return false;
}

void virtio_access(struct virtio_device *device, struct access *access)
{
    if (access->address >= CONFIG) {
        if (!access->write)
            access->value = read_config(device, access->address - CONFIG, access->size);
    } else if (access->size != 4) { /* 4.2.2.2 */
        access->value = 0;
    } else if (access->write) {
        write_register(device, (uint32_t)access->address, (uint32_t)access->value);
    } else {
        access->value = read_register(device, (uint32_t)access->address);
    }
}

void virtio_empty_slot(struct access *access)
{
    access->value = access->address == MAGIC ? MAGIC_VALUE : access->address == VERSION ? 2 : 0;
}
