/* The doorbell of a VM that watches the mains; the contract is in monitor.h. */
#include "virtio/monitor.h"

#include <quoll/quoll.h>
#include <string.h>

enum monitor_queue { QUEUE_INPUT, QUEUE_OUTPUT };

#define COPY_BYTES 64u
#define MOST_COMPLAINTS 8u /* a guest must not flood the log */

static bool is_line(const struct virtio_monitor *monitor, const char *command)
{
    return monitor->length == strlen(command) &&
           strncmp(monitor->line, command, monitor->length) == 0;
}

static void obey(struct virtio_monitor *monitor)
{
    if (is_line(monitor, "mains lost"))
        power_tell(monitor->power, monitor->mains, true);
    else if (is_line(monitor, "mains back"))
        power_tell(monitor->power, monitor->mains, false);
    else if (monitor->length > 0 && monitor->complaints++ < MOST_COMPLAINTS)
        quoll_log(
            "the guest writes to the power console what is no command; there are `mains lost` "
            "and `mains back`");
}

static void take_byte(struct virtio_monitor *monitor, char byte)
{
    if (byte == '\n') {
        obey(monitor);
        monitor->length = 0;
    } else if (byte != '\r' && monitor->length < MONITOR_LINE) {
        monitor->line[monitor->length++] = byte;
    }
}

static void take_chain(struct virtio_monitor *monitor, const struct virtqueue_chain *chain)
{
    char bytes[COPY_BYTES];
    uint64_t at = 0, size;
    while ((size = chain_read(chain, at, bytes, sizeof(bytes))) > 0) {
        for (uint64_t i = 0; i < size; i++)
            take_byte(monitor, bytes[i]);
        at += size;
    }
    virtqueue_put(&monitor->device.queue[QUEUE_OUTPUT], chain->head, 0);
}

static void notify(struct virtio_device *device)
{
    struct virtio_monitor *monitor = (struct virtio_monitor *)(void *)device;
    struct virtqueue *queue = &device->queue[QUEUE_OUTPUT];
    struct virtqueue_chain chain;
    uint32_t turns = 0;
    while (virtio_turn(device, &turns)) {
        enum virtqueue_taken taken = virtqueue_take(queue, &chain);
        if (taken == VIRTQUEUE_TAKEN)
            take_chain(monitor, &chain);
        else if (taken == VIRTQUEUE_BROKEN)
            virtio_broken(device);
        else if (virtqueue_listen(queue))
            break;
    }
    virtio_publish(device, queue);
}

/* What the guest has said of the mains stays said. */
static void forget(struct virtio_device *device)
{
    ((struct virtio_monitor *)(void *)device)->length = 0;
}

void virtio_monitor_start(struct virtio_monitor *monitor, struct power_source *power,
                          uint32_t mains)
{
    monitor->power = power;
    monitor->mains = mains;
    monitor->device.id = VIRTIO_ID_CONSOLE;
    monitor->device.queue_count = 2;
    monitor->device.features = VIRTIO_F_COMMON;
    monitor->device.notify = notify;
    monitor->device.forget = forget;
}
