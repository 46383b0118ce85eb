/* See driver.h. */
#include "driver.h"
#include <string.h>

static void put16(uint64_t address, uint16_t value)
{
    memcpy(at(address), &value, 2);
}

static uint16_t get16(uint64_t address)
{
    uint16_t value;
    memcpy(&value, at(address), 2);
    return value;
}

uint32_t driver_read(struct driver *driver, uint64_t offset)
{
    struct access access = {offset, 0, 4, 0};
    if (!virtio_hot(driver->device, &access))
        virtio_access(driver->device, &access);
    return (uint32_t)access.value;
}

void driver_write(struct driver *driver, uint64_t offset, uint32_t value)
{
    struct access access = {offset, value, 4, 1};
    if (!virtio_hot(driver->device, &access))
        virtio_access(driver->device, &access);
}

uint64_t driver_allocate(struct driver *driver, uint64_t size)
{
    uint64_t address = driver->free_memory;
    driver->free_memory += (size + 15) & ~15ull;
    assert_true(driver->free_memory <= VIRT_RAM + RAM_BYTES);
    return address;
}

void driver_place(struct driver *driver, struct driver_queue *queue, uint32_t size)
{
    *queue = (struct driver_queue){.size = size};
    queue->descriptors = driver_allocate(driver, 16 * size);
    queue->driver = driver_allocate(driver, 6 + 2 * size);
    queue->device = driver_allocate(driver, 6 + 8 * size);
    memset(at(queue->descriptors), 0, 16 * size);
    memset(at(queue->driver), 0, 6 + 2 * size);
    memset(at(queue->device), 0, 6 + 8 * size);
}

static void write_descriptor(uint64_t place, uint64_t address, uint32_t length, uint16_t flags,
                             uint16_t next)
{
    memcpy(at(place), &address, 8);
    memcpy(at(place + 8), &length, 4);
    put16(place + 12, flags);
    put16(place + 14, next);
}

void driver_set_descriptor(struct driver_queue *queue, uint16_t index, uint64_t address,
                           uint32_t length, uint16_t flags, uint16_t next)
{
    write_descriptor(queue->descriptors + 16u * index, address, length, flags, next);
}

void driver_offer(struct driver_queue *queue, uint16_t head)
{
    put16(queue->driver + 4 + 2 * (queue->added % queue->size), head);
    queue->added++;
    put16(queue->driver + 2, queue->added);
}

static uint16_t descriptor_flags(const struct buffer *buffer, bool last)
{
    return (uint16_t)((buffer->device_writes ? WRITE : 0) | (last ? 0 : NEXT));
}

uint16_t driver_add(struct driver *driver, struct driver_queue *queue, const struct buffer *buffers,
                    uint32_t count, bool indirect)
{
    uint16_t head = queue->next_descriptor;
    if (indirect) {
        uint64_t table = driver_allocate(driver, 16 * count);
        for (uint16_t i = 0; i < count; i++)
            write_descriptor(table + 16u * i, buffers[i].address, buffers[i].length,
                             descriptor_flags(&buffers[i], i + 1u == count), (uint16_t)(i + 1));
        driver_set_descriptor(queue, head, table, 16 * count, INDIRECT, 0);
        queue->next_descriptor = (uint16_t)((head + 1u) % queue->size);
    } else {
        for (uint32_t i = 0; i < count; i++) {
            uint16_t index = (uint16_t)((head + i) % queue->size);
            driver_set_descriptor(queue, index, buffers[i].address, buffers[i].length,
                                  descriptor_flags(&buffers[i], i + 1 == count),
                                  (uint16_t)((index + 1u) % queue->size));
        }
        queue->next_descriptor = (uint16_t)((head + count) % queue->size);
    }
    driver_offer(queue, head);
    return head;
}

bool driver_take_used(struct driver_queue *queue, struct used *used)
{
    if (get16(queue->device + 2) == queue->seen)
        return false;
    memcpy(used, at(queue->device + 4 + 8 * (queue->seen % queue->size)), 8);
    queue->seen++;
    return true;
}

void driver_set_used_event(struct driver_queue *queue, uint16_t event)
{
    put16(queue->driver + 4 + 2 * queue->size, event);
}

uint16_t driver_avail_event(const struct driver_queue *queue)
{
    return get16(queue->device + 4 + 8 * queue->size);
}

static void write_address(struct driver *driver, uint64_t offset, uint64_t address)
{
    driver_write(driver, offset, (uint32_t)address);
    driver_write(driver, offset + 4, (uint32_t)(address >> 32));
}

void driver_start(struct driver *driver, struct virtio_device *device, uint64_t features)
{
    *driver = (struct driver){.device = device, .free_memory = VIRT_RAM + 0x1000};
    driver_write(driver, 0x70, 0);
    driver_write(driver, 0x70, 1);
    driver_write(driver, 0x70, 3);
    for (uint32_t half = 0; half < 2; half++) {
        driver_write(driver, 0x24, half);
        driver_write(driver, 0x20, (uint32_t)(features >> (32 * half)));
    }
    driver_write(driver, 0x70, 11);
    assert_int_equal(driver_read(driver, 0x70), 11);
    for (uint32_t i = 0; i < device->queue_count; i++) {
        struct driver_queue *queue = &driver->queue[i];
        driver_place(driver, queue, 8);
        driver_write(driver, 0x30, i);
        driver_write(driver, 0x38, queue->size);
        write_address(driver, 0x80, queue->descriptors);
        write_address(driver, 0x90, queue->driver);
        write_address(driver, 0xa0, queue->device);
        driver_write(driver, 0x44, 1);
        assert_int_equal(driver_read(driver, 0x44), 1);
    }
    driver_write(driver, 0x70, 15);
}
