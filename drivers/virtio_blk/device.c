/* Bringing a virtio block device up and down; see device.h. */
#include "device.h"
#include "barrier.h"
#include <quoll/quoll.h>
#include <string.h>

/* As long as any command (commands.c): a device that is reset waits for what it has begun, and its disk may be busy with that. What is
 * given up then, RapiLog can never write. */
#define RESET_TIMEOUT_NS 120000000000u
#define POLL_NS 1000000u
#define SMALLEST_QUEUE 4u
#define MOST_ATTEMPTS 100u
#define ALL_ONES 0xffu
#define LARGEST_EXPONENT 6u /* of logical blocks in a physical block: 32 KiB of 512 bytes */

static uint8_t read8(const uint8_t *registers, uint32_t offset)
{
    return *(const volatile uint8_t *)(registers + offset);
}

static void write8(uint8_t *registers, uint32_t offset, uint8_t value)
{
    barrier_before_doorbell();
    *(volatile uint8_t *)(registers + offset) = value;
}

static uint16_t read16(const uint8_t *registers, uint32_t offset)
{
    return *(const volatile uint16_t *)(registers + offset);
}

static void write16(uint8_t *registers, uint32_t offset, uint16_t value)
{
    *(volatile uint16_t *)(registers + offset) = value;
}

static uint32_t read32(const uint8_t *registers, uint32_t offset)
{
    return *(const volatile uint32_t *)(registers + offset);
}

static void write32(uint8_t *registers, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(registers + offset) = value;
}

/* Halves, lower first: 64-bit fields are accessed so (4.1.3.1). */
static uint64_t read64(const uint8_t *registers, uint32_t offset)
{
    return read32(registers, offset) | (uint64_t)read32(registers, offset + 4) << 32;
}

static void write64(uint8_t *registers, uint32_t offset, uint64_t value)
{
    write32(registers, offset, (uint32_t)value);
    write32(registers, offset + 4, (uint32_t)(value >> 32));
}

static void add_status(const struct device *device, uint8_t bits)
{
    write8(device->common, COMMON_STATUS, (uint8_t)(read8(device->common, COMMON_STATUS) | bits));
}

bool device_stop(const struct device *device)
{
    uint64_t deadline = quoll_now() + quoll_ticks_from_ns(RESET_TIMEOUT_NS);
    write8(device->common, COMMON_STATUS, 0);
    while (read8(device->common, COMMON_STATUS) != 0) { /* 4.1.4.3.2 */
        uint64_t now = quoll_now();
        if (now >= deadline)
            return false;
        quoll_timer_set(now + quoll_ticks_from_ns(POLL_NS));
        (void)quoll_wait();
    }
    return true;
}

bool device_needs_reset(const struct device *device)
{
    uint8_t status = read8(device->common, COMMON_STATUS);
    return status == ALL_ONES || (status & STATUS_NEEDS_RESET) != 0;
}

bool device_works(const struct device *device)
{
    return read8(device->common, COMMON_STATUS) != 0 && !device_needs_reset(device);
}

void device_take_interrupt(const struct device *device)
{
    (void)read8(device->isr, 0);
}

/* ---- Features ---- */

static uint64_t offered(const struct device *device)
{
    write32(device->common, COMMON_DEVICE_FEATURE_SELECT, 0);
    uint64_t low = read32(device->common, COMMON_DEVICE_FEATURE);
    write32(device->common, COMMON_DEVICE_FEATURE_SELECT, 1);
    return low | (uint64_t)read32(device->common, COMMON_DEVICE_FEATURE) << 32;
}

static void accept(const struct device *device, uint64_t features)
{
    write32(device->common, COMMON_DRIVER_FEATURE_SELECT, 0);
    write32(device->common, COMMON_DRIVER_FEATURE, (uint32_t)features);
    write32(device->common, COMMON_DRIVER_FEATURE_SELECT, 1);
    write32(device->common, COMMON_DRIVER_FEATURE, (uint32_t)(features >> 32));
}

/* NULL, or why the device cannot be driven. */
static const char *negotiate(const struct device *device, uint64_t *features)
{
    const uint64_t known = FEATURE_SIZE_MAX | FEATURE_READ_ONLY | FEATURE_BLOCK_SIZE |
                           FEATURE_FLUSH | FEATURE_TOPOLOGY | FEATURE_CACHE_MODE |
                           FEATURE_VERSION_1;
    add_status(device, STATUS_ACKNOWLEDGE);
    add_status(device, STATUS_DRIVER);
    *features = offered(device) & known;
    if ((*features & FEATURE_VERSION_1) == 0)
        return "the device knows only virtio before version 1";
    accept(device, *features);
    add_status(device, STATUS_FEATURES_OK);
    if ((read8(device->common, COMMON_STATUS) & STATUS_FEATURES_OK) == 0)
        return "the device does not agree to the features that it offers";
    return NULL;
}

/* ---- Queue ---- */

static uint64_t physical(const struct device *device, size_t offset)
{
    return device->memory_physical + offset;
}

/* The largest power of two that both have. */
static uint32_t choose_size(uint32_t offered_size)
{
    uint32_t size = DEVICE_QUEUE;
    while (size > offered_size)
        size /= 2;
    return size;
}

static const char *prepare_queue(struct device *device)
{
    uint8_t *common = device->common;
    write16(common, COMMON_QUEUE_SELECT, 0);
    device->queue_size = choose_size(read16(common, COMMON_QUEUE_SIZE));
    uint64_t notify =
        (uint64_t)read16(common, COMMON_QUEUE_NOTIFY_OFFSET) * device->notify_multiplier;
    if (device->queue_size < SMALLEST_QUEUE)
        return "the device's queue is too small";
    if (notify % 2 != 0 || notify + 2 > device->notify_bytes)
        return "the device's queue has no place to be notified at";
    device->doorbell = (volatile uint16_t *)(void *)(device->notify + notify);
    memset(device->memory, 0, sizeof(*device->memory));
    write16(common, COMMON_QUEUE_SIZE, (uint16_t)device->queue_size);
    write64(common, COMMON_QUEUE_DESCRIPTORS,
            physical(device, offsetof(struct device_memory, descriptor)));
    write64(common, COMMON_QUEUE_DRIVER,
            physical(device, offsetof(struct device_memory, available_flags)));
    write64(common, COMMON_QUEUE_DEVICE,
            physical(device, offsetof(struct device_memory, used_flags)));
    write16(common, COMMON_QUEUE_ENABLE, 1);
    return NULL;
}

/* ---- Configuration ---- */

/* The logical block is 512 bytes unless the device says otherwise (5.2.4); all addresses stay in 512 bytes. */
static const char *find_blocks(const struct device *device, uint64_t features,
                               struct block_geometry *geometry)
{
    uint32_t logical = BLOCK_SECTOR, exponent = 0;
    if (features & FEATURE_BLOCK_SIZE)
        logical = read32(device->config, CONFIG_BLOCK_SIZE);
    if (features & FEATURE_TOPOLOGY)
        exponent = read8(device->config, CONFIG_PHYSICAL_EXPONENT);
    if (logical < BLOCK_SECTOR || logical > 4096 || (logical & (logical - 1)) != 0)
        return "the device's block size is not 512 to 4096 bytes";
    geometry->physical_block = logical << (exponent < LARGEST_EXPONENT ? exponent : 0);
    if (logical > BLOCK_SECTOR) {
        geometry->abilities |= BLOCK_WHOLE_BLOCKS;
        geometry->physical_block = logical;
    }
    return NULL;
}

/* A client can ask for whole blocks only: what the device tells beyond them is not there. */
static void keep_whole_blocks(struct block_geometry *geometry)
{
    bool whole = (geometry->abilities & BLOCK_WHOLE_BLOCKS) != 0;
    uint32_t block_sectors = whole ? geometry->physical_block / BLOCK_SECTOR : 1;
    geometry->sectors -= geometry->sectors % block_sectors;
    geometry->max_sectors -= geometry->max_sectors % block_sectors;
}

/* The two halves belong together when the generation is the same before and after (4.1.4.3.1). */
static bool read_capacity(const struct device *device, uint64_t *sectors)
{
    for (uint32_t attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        uint8_t before = read8(device->common, COMMON_GENERATION);
        *sectors = read64(device->config, CONFIG_CAPACITY);
        if (read8(device->common, COMMON_GENERATION) == before)
            return true;
    }
    return false;
}

/* A device without FLUSH has no cache that could lose something, and one that tells its mode may have it switched off
 * (5.2.5.2). Then no FLUSH needs to be sent to it. */
static bool has_volatile_cache(const struct device *device, uint64_t features)
{
    if ((features & FEATURE_FLUSH) == 0)
        return false;
    return (features & FEATURE_CACHE_MODE) == 0 || read8(device->config, CONFIG_WRITEBACK) != 0;
}

static const char *find_geometry(struct device *device, uint64_t features)
{
    struct block_geometry geometry = {.abilities = BLOCK_CAN_FLUSH, .name = "virtio disk"};
    geometry.max_sectors = BLOCK_MAX_SECTORS;
    if (!read_capacity(device, &geometry.sectors))
        return "the device's capacity does not stop changing";
    if (features & FEATURE_SIZE_MAX) {
        uint32_t most = read32(device->config, CONFIG_SIZE_MAX) / BLOCK_SECTOR;
        geometry.max_sectors = most < BLOCK_MAX_SECTORS ? most : BLOCK_MAX_SECTORS;
    }
    const char *problem = find_blocks(device, features, &geometry);
    if (problem != NULL)
        return problem;
    keep_whole_blocks(&geometry);
    if (geometry.sectors == 0 || geometry.sectors > UINT64_MAX / BLOCK_SECTOR)
        return "the device has no capacity that is possible";
    if (geometry.max_sectors == 0)
        return "the device takes no data in one piece";
    if (has_volatile_cache(device, features))
        geometry.abilities |= BLOCK_VOLATILE_CACHE;
    if (features & FEATURE_READ_ONLY)
        geometry.abilities |= BLOCK_IS_READ_ONLY;
    device->geometry = geometry;
    return NULL;
}

const char *device_start(struct device *device)
{
    uint64_t features;
    if (!device_stop(device))
        return "the virtio device does not reset";
    const char *problem = negotiate(device, &features);
    if (problem == NULL)
        problem = find_geometry(device, features);
    if (problem == NULL)
        problem = prepare_queue(device);
    if (problem != NULL) {
        (void)device_stop(device);
        return problem;
    }
    add_status(device, STATUS_DRIVER_OK);
    return NULL;
}
