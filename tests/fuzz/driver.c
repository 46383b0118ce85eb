/* See driver.h. */
#include "driver.h"
#include "calls.h"

enum step {
    STEP_WRITE,
    STEP_READ,
    STEP_POKE,
    STEP_DESCRIPTOR,
    STEP_OFFER,
    STEP_NOTIFY,
    STEP_CHAIN,
    STEP_SET_UP,
    STEP_WISH,
    STEP_RESTART,
    STEP_COUNT
};

static void access(struct driver *driver, struct access access)
{
    if (!virtio_hot(driver->device, &access))
        virtio_access(driver->device, &access);
    if (access.write && driver->wrote != NULL)
        driver->wrote();
}

static void write_register(struct driver *driver, uint64_t offset, uint32_t value)
{
    access(driver, (struct access){offset, value, 4, 1});
}

void driver_reset(struct driver *driver)
{
    write_register(driver, 0x70, 0);
}

static uint8_t *ram(struct driver *driver, uint32_t offset)
{
    return driver->ram.bytes + offset % DRIVER_RAM;
}

static void store(struct driver *driver, uint32_t offset, uint64_t value, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++)
        *ram(driver, offset + i) = (uint8_t)(value >> 8 * i);
}

static uint16_t load16(struct driver *driver, uint32_t offset)
{
    return (uint16_t)(*ram(driver, offset) | *ram(driver, offset + 1) << 8);
}

void driver_start(struct driver *driver, struct virtio_device *device)
{
    static uint8_t *memory;
    if (memory == NULL)
        memory = hostile_allocate(DRIVER_RAM);
    memset(memory, 0, DRIVER_RAM);
    driver->ram = (struct guest_ram){memory, DRIVER_RAM};
    vgic_start(&driver->vgic, &driver->interrupts, 0, 2);
    driver_attach(driver, device);
    hostile_area(memory, DRIVER_RAM);
}

void driver_attach(struct driver *driver, struct virtio_device *device)
{
    driver->device = device;
    device->vgic = &driver->vgic;
    device->ram = &driver->ram;
    device->intid = 48;
}

static void set_address(struct driver *driver, uint64_t offset, uint64_t address)
{
    write_register(driver, offset, (uint32_t)address);
    write_register(driver, offset + 4, (uint32_t)(address >> 32));
}

void driver_set_up(struct driver *driver, uint64_t features, uint32_t size)
{
    write_register(driver, 0x70, 0);
    write_register(driver, 0x70, 3);
    for (uint32_t half = 0; half < 2; half++) {
        write_register(driver, 0x24, half);
        write_register(driver, 0x20, (uint32_t)(features >> 32 * half));
    }
    write_register(driver, 0x70, 11);
    for (uint32_t i = 0; i < driver->device->queue_count; i++) {
        uint64_t place = VIRT_RAM + i * DRIVER_QUEUE;
        write_register(driver, 0x30, i);
        write_register(driver, 0x38, size);
        set_address(driver, 0x80, place);
        set_address(driver, 0x90, place + DRIVER_AVAILABLE);
        set_address(driver, 0xa0, place + DRIVER_USED);
        write_register(driver, 0x44, 1);
    }
    write_register(driver, 0x70, 15);
}

/* Mostly in RAM, now and then just outside of it or anywhere. */
static uint64_t take_address(struct input *input, uint8_t kind)
{
    if ((kind & 7) == 7)
        return input_64(input);
    uint64_t offset = input_16(input);
    return VIRT_RAM + ((kind & 7) == 6 ? offset : offset % DRIVER_RAM);
}

static void write_descriptor(struct driver *driver, uint32_t place, struct input *input)
{
    uint8_t kind = input_8(input);
    uint64_t address = take_address(input, kind);
    uint32_t length = kind & 8 ? input_32(input) : input_8(input) * (kind & 16 ? 64u : 1u);
    uint8_t links = input_8(input); /* bits 0..2: flags; the rest: next */
    store(driver, place, address, 8);
    store(driver, place + 8, length, 4);
    store(driver, place + 12, links & 7, 2);
    store(driver, place + 14, links >> 3, 2);
}

void driver_offer(struct driver *driver, uint32_t queue, uint16_t head)
{
    uint32_t ring = queue * DRIVER_QUEUE + DRIVER_AVAILABLE;
    uint32_t size = driver->device->queue[queue].size;
    uint16_t index = load16(driver, ring + 2);
    store(driver, ring + 4 + 2 * (size == 0 ? 0 : index % size), head, 2);
    store(driver, ring + 2, (uint16_t)(index + 1), 2);
}

void driver_add(struct driver *driver, uint32_t queue, uint16_t head,
                const struct driver_buffer *buffers, uint32_t readable, uint32_t count)
{
    uint32_t size = driver->device->queue[queue].size;
    size = size == 0 ? 1 : size;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = (head + i) % size, place = queue * DRIVER_QUEUE + 16 * index;
        store(driver, place, buffers[i].address, 8);
        store(driver, place + 8, buffers[i].length, 4);
        store(driver, place + 12, (i + 1 < count ? 1u : 0u) | (i >= readable ? 2u : 0u), 2);
        store(driver, place + 14, (index + 1) % size, 2);
    }
    driver_offer(driver, queue, head);
}

/* A sound chain, of whatever sense to the device. */
static void add_chain(struct driver *driver, struct input *input)
{
    struct driver_buffer buffers[6];
    uint8_t shape = input_8(input);
    uint32_t readable = shape >> 1 & 3, count = readable + (shape >> 3 & 3);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t unit = input_8(input);
        buffers[i].address = VIRT_RAM + DRIVER_DATA + 64ull * input_8(input);
        buffers[i].length = unit & 0x80 ? (unit & 0x7f) * 512u : unit;
    }
    driver_add(driver, shape & 1, shape >> 5, buffers, readable, count);
}

static void poke(struct driver *driver, struct input *input)
{
    uint32_t offset = input_16(input), length = input_8(input) % 32u;
    for (uint32_t i = 0; i < length; i++)
        *ram(driver, offset + i) = input_8(input);
}

/* What the driver wants to be told: event index, or flags of the available ring. */
static void wish(struct driver *driver, struct input *input)
{
    uint8_t how = input_8(input);
    uint32_t ring = (how & 1) * DRIVER_QUEUE + DRIVER_AVAILABLE;
    uint32_t size = driver->device->queue[how & 1].size % 512;
    if (how & 2)
        store(driver, ring, how >> 2, 2);
    else
        store(driver, ring + 4 + 2 * size, input_16(input), 2);
}

void driver_step(struct driver *driver, struct input *input)
{
    uint8_t choice = input_8(input);
    switch ((enum step)(choice % STEP_COUNT)) {
    case STEP_WRITE:
        access(driver, (struct access){input_8(input) * (choice & 0x80 ? 4u : 2u),
                                       choice & 0x40 ? input_8(input) : input_32(input), 4, 1});
        break;
    case STEP_READ:
        access(driver, (struct access){input_16(input) % 512, 0, 1u << (choice >> 6), 0});
        break;
    case STEP_POKE:
        poke(driver, input);
        break;
    case STEP_DESCRIPTOR: {
        uint32_t offset = choice & 0x80 ? input_16(input) : input_8(input) * 16u;
        write_descriptor(driver, offset, input);
        break;
    }
    case STEP_OFFER:
        driver_offer(driver, choice >> 7, input_8(input));
        break;
    case STEP_NOTIFY:
        if (virtio_running(driver->device))
            driver->device->notify(driver->device);
        break;
    case STEP_CHAIN:
        add_chain(driver, input);
        break;
    case STEP_SET_UP:
        driver_set_up(driver, choice & 0x80 ? driver->device->features : VIRTIO_F_VERSION_1,
                      1u << (input_8(input) & 15));
        break;
    case STEP_WISH:
        wish(driver, input);
        break;
    case STEP_RESTART:
        driver_reset(driver);
        break;
    case STEP_COUNT:
        break;
    }
}

void driver_check_queue(const struct virtqueue *queue, uint32_t held)
{
    if (queue->ready) {
        HOLDS((uint16_t)(queue->next_available - queue->next_used) == held);
        HOLDS((uint16_t)(queue->next_used - queue->published) <= queue->size);
        HOLDS(queue->size != 0 && queue->size <= VIRTQUEUE_MAX_SIZE);
    }
}
