/*
 * The virtio console; the contract is in console.h.
 */
#include "virtio/console.h"

enum console_queue { QUEUE_INPUT, QUEUE_OUTPUT };

#define COPY_BYTES 256u

static struct virtio_console *port_of(struct virtio_device *device)
{
    return (struct virtio_console *)(void *)device;
}

/* Sends what is left of the held chain; false: the stream is full. */
static bool send_held(struct virtio_console *port)
{
    uint8_t bytes[COPY_BYTES];
    while (port->sent < port->output.readable_bytes) {
        uint32_t size = (uint32_t)chain_read(&port->output, port->sent, bytes, sizeof(bytes));
        uint32_t written = console_write(port->console, bytes, size);
        port->sent += written;
        if (written < size)
            return false;
    }
    virtqueue_put(&port->device.queue[QUEUE_OUTPUT], port->output.head, 0);
    port->output_held = false;
    return true;
}

static void send(struct virtio_console *port)
{
    struct virtqueue *queue = &port->device.queue[QUEUE_OUTPUT];
    uint32_t turns = 0;
    while (virtio_turn(&port->device, &turns)) {
        if (port->output_held && !send_held(port))
            break;
        enum virtqueue_taken taken = virtqueue_take(queue, &port->output);
        if (taken == VIRTQUEUE_TAKEN) {
            port->output_held = true;
            port->has_spoken = true;
            port->sent = 0;
        } else if (taken == VIRTQUEUE_BROKEN) {
            virtio_broken(&port->device);
        } else if (virtqueue_listen(queue)) {
            break;
        }
    }
    virtio_publish(&port->device, queue);
}

/* Fills one chain with what is there; false: nothing was. */
static uint32_t fill(struct virtio_console *port, const struct virtqueue_chain *chain)
{
    uint8_t bytes[COPY_BYTES];
    uint64_t filled = 0;
    while (filled < chain->writable_bytes && filled < UINT32_MAX - COPY_BYTES) {
        uint64_t room = chain->writable_bytes - filled;
        uint32_t size =
            console_read(port->console, bytes, room < COPY_BYTES ? (uint32_t)room : COPY_BYTES);
        if (size == 0)
            break;
        chain_write(chain, filled, bytes, size);
        filled += size;
    }
    return (uint32_t)filled;
}

static void receive(struct virtio_console *port)
{
    struct virtqueue *queue = &port->device.queue[QUEUE_INPUT];
    struct virtqueue_chain chain;
    uint32_t turns = 0;
    while (port->has_spoken && console_has_input(port->console) &&
           virtio_turn(&port->device, &turns)) {
        enum virtqueue_taken taken = virtqueue_take(queue, &chain);
        if (taken == VIRTQUEUE_TAKEN)
            virtqueue_put(queue, chain.head, fill(port, &chain));
        else if (taken == VIRTQUEUE_BROKEN)
            virtio_broken(&port->device);
        else if (virtqueue_listen(queue))
            break;
    }
    virtio_publish(&port->device, queue);
}

void virtio_console_move(struct virtio_console *port)
{
    send(port);
    bool again = port->device.again;
    receive(port);
    port->device.again |= again;
}

bool virtio_console_wants_input(struct virtio_console *port)
{
    return port->has_spoken && virtio_running(&port->device) &&
           !virtqueue_listen(&port->device.queue[QUEUE_INPUT]);
}

void virtio_console_resume(struct virtio_console *port)
{
    port->has_spoken = port->device.queue[QUEUE_OUTPUT].next_available != 0;
}

static void notify(struct virtio_device *device)
{
    virtio_console_move(port_of(device));
}

static void forget(struct virtio_device *device)
{
    struct virtio_console *port = port_of(device);
    port->output_held = false;
    port->has_spoken = false;
}

void virtio_console_start(struct virtio_console *port, struct console *console)
{
    port->console = console;
    port->device.id = VIRTIO_ID_CONSOLE;
    port->device.queue_count = 2;
    port->device.features = VIRTIO_F_COMMON;
    port->device.notify = notify;
    port->device.forget = forget;
}
