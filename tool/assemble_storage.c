/* Putting a system image together: the way from a client's disk to the hardware. See assemble.h. */
#include "assemble_parts.h"

#include "paths.h"

#include "../services/timing/pace.h"

#include <quoll/block.h>

#include <stdlib.h>
#include <string.h>

#define ECAM_BUS_SIZE (1u << 20) /* configuration space of bus 0, where boards have their disks */
#define PCI_INTERRUPTS 4u
#define READ_WRITE (QUOLL_READ | QUOLL_WRITE)

static void map_numbered(struct assembly *assembly, uint32_t component, uint32_t region,
                         const char *name, uint32_t number, uint32_t rights)
{
    char *numbered = text_print("%s%u", name, number);
    if (rights)
        model_map(assembly->model, component, region, numbered, rights);
    else
        model_tell(assembly->model, component, region, numbered);
    free(numbered);
}

/* Client `client_number` of the server is disk `disk_number` of the client. */
static void add_link(struct assembly *assembly, uint32_t server, uint32_t client_number,
                     uint32_t client, uint32_t disk_number)
{
    struct model *model = assembly->model;
    char *server_name = text_print("client%u", client_number);
    char *client_name = text_print("disk%u", disk_number);
    uint32_t link = model_ram(model, "link", BLOCK_LINK_BYTES);
    model_map(model, server, link, server_name, READ_WRITE);
    model_map(model, client, link, client_name, READ_WRITE);
    model_signal(model, server, server_name, client, 0, client_name);
    model_signal(model, client, client_name, server, 0, server_name);
    free(server_name);
    free(client_name);
}

/* A buffer for `owner`, whose physical address every driver that could see it is told. */
static uint32_t add_buffer(struct assembly *assembly, struct disk_parts *disk, uint32_t owner,
                           uint64_t size, uint32_t *region)
{
    uint32_t number = assembly->buffer_count++;
    *region = model_ram(assembly->model, "buffer", size);
    map_numbered(assembly, owner, *region, "buffer", number, READ_WRITE);
    map_numbered(assembly, disk->driver, *region, "buffer", number, 0);
    disk->driver_config.allowed_buffers[0] |= 1ULL << number;
    return number;
}

/* ------------------------------------------------------------------------------------------------
 * Driver and volume service of a physical disk
 */

/* Each device has a place of its own in the memory window. */
static uint32_t place_of(const struct disk *disk)
{
    return disk->instance + (disk->virtio ? DESCRIPTION_MAX_DISKS : 0);
}

/* The devices are in the slots from 1 on, in the order of their places; slots share the four interrupts in turn. */
static uint32_t interrupt_of(const struct disk_parts *disk)
{
    return (1 + disk->driver_config.place) % PCI_INTERRUPTS;
}

static void add_driver(struct assembly *assembly, struct disk_parts *disk, const char *name,
                       bool virtio)
{
    struct model *model = assembly->model;
    disk->driver = add_service(assembly, virtio ? SERVICE_virtio_blk : SERVICE_nvme, name);
    uint32_t host = model_device(model, "pci-host-ecam-generic", 0);
    uint32_t registers = model_special(model, "registers", IMAGE_REGION_REGISTERS, host);
    uint32_t window = model_special(model, "window", IMAGE_REGION_WINDOW, host);
    uint32_t tree = model_special(model, "device-tree", IMAGE_REGION_DEVICE_TREE, IMAGE_NONE);
    uint32_t queues =
        model_ram(model, "queues", virtio ? VIRTIO_BLK_QUEUES_BYTES : NVME_QUEUES_BYTES);
    model_map_part(model, disk->driver, registers, "registers", READ_WRITE | QUOLL_UNCACHED,
                   ECAM_BUS_SIZE);
    model_map(model, disk->driver, window, "window", READ_WRITE | QUOLL_UNCACHED);
    model_map(model, disk->driver, tree, "device-tree", QUOLL_READ);
    model_map(model, disk->driver, queues, "queues", READ_WRITE);
    for (uint32_t i = 0; i < PCI_INTERRUPTS; i++)
        if (assembly->description->disk_count == 1 || i == interrupt_of(disk)) {
            char *interrupt = text_print("intx%u", i);
            model_interrupt(model, disk->driver, 0, host, i, interrupt);
            free(interrupt);
        }
}

/* Between the driver and the volume service, for measurements. */
static void add_timing(struct assembly *assembly, struct disk_parts *parts, const struct disk *disk)
{
    struct model *model = assembly->model;
    char *name = text_print("timing.%s", disk->name);
    parts->timing = add_service(assembly, SERVICE_timing, name);
    parts->timing_config = (struct timing_config){
        .dilation_tenths = disk->dilation_tenths,
        .timed_reads = disk->timed_reads,
    };
    snprintf(parts->timing_config.like, sizeof parts->timing_config.like, "%s", disk->like);
    uint32_t blocks = model_ram(model, "blocks", PACE_BITMAP_BYTES);
    model_map(model, parts->timing, blocks, "blocks", READ_WRITE);
    add_link(assembly, parts->driver, 0, parts->timing, 0);
    add_link(assembly, parts->timing, 0, parts->volume, 0);
    free(name);
}

static void restart_disk(struct assembly *assembly, const struct disk_parts *disk)
{
    add_part(assembly, disk->driver, CONFIG_NOBODY, CONFIG_NOBODY);
    if (disk->timing != NO_COMPONENT)
        add_part(assembly, disk->timing, CONFIG_NOBODY, CONFIG_NOBODY);
    add_part(assembly, disk->volume, CONFIG_NOBODY, CONFIG_NOBODY);
}

static struct disk_parts *use_disk(struct assembly *assembly, uint32_t number)
{
    const struct disk *disk = &assembly->description->disks[number];
    struct disk_parts *parts = &assembly->disks[number];
    uint32_t region;
    if (parts->driver != NO_COMPONENT)
        return parts;
    char *driver = text_print("%s.%s", disk->virtio ? "virtio" : "nvme", disk->name);
    char *volume = text_print("volume.%s", disk->name);
    parts->driver_config = (struct disk_config){
        .client_count = 1,
        .instance = disk->instance,
        .place = place_of(disk),
    };
    add_driver(assembly, parts, driver, disk->virtio);
    parts->volume = add_service(assembly, SERVICE_volume, volume);
    parts->timing = NO_COMPONENT;
    if (disk->like)
        add_timing(assembly, parts, disk);
    else
        add_link(assembly, parts->driver, 0, parts->volume, 0);
    if (assembly->description->restart)
        restart_disk(assembly, parts);
    parts->volume_config.buffer =
        add_buffer(assembly, parts, parts->volume, VOLUME_BUFFER_BYTES, &region);
    free(driver);
    free(volume);
    return parts;
}

/* ------------------------------------------------------------------------------------------------
 * RapiLog
 */

/* The supervisor tells it when the mains fail and when to drain, and hears when it has drained. */
static void connect_supervisor(struct assembly *assembly, uint32_t rapilog, const char *name,
                               bool restart)
{
    struct model *model = assembly->model;
    if (assembly->supervisor == NO_COMPONENT)
        return;
    uint32_t number = assembly->supervisor_config.drain_count++;
    char *drain = text_print("drain%u", number), *drained = text_print("drained%u", number);
    char *mains = text_print("mains%u", number), *fault = text_print("drain%u.fault", number);
    char *back = text_print("back%u", number), *resumed = text_print("resumed%u", number);
    model_signal(model, assembly->supervisor, drain, rapilog, 0, "drain");
    model_signal(model, assembly->supervisor, mains, rapilog, 0, "mains");
    model_signal(model, assembly->supervisor, back, rapilog, 0, "mains-back");
    model_signal(model, rapilog, "resumed", assembly->supervisor, 0, resumed);
    model_signal(model, rapilog, "drained", assembly->supervisor, 0, drained);
    if (restart)
        add_part(assembly, rapilog, CONFIG_NOBODY, number);
    else
        model->component[rapilog].fault_channel =
            model_channel(model, assembly->supervisor, 0, fault);
    snprintf(assembly->supervisor_config.drain[number], QUOLL_NAME_SIZE, "%s", name);
    free(drain);
    free(drained);
    free(mains);
    free(fault);
    free(back);
    free(resumed);
}

struct rapilog_parts *add_rapilog(struct assembly *assembly,
                                  const struct rapilog_settings *settings, const char *client)
{
    struct model *model = assembly->model;
    if (!node_present(settings->node))
        return NULL;
    struct rapilog_parts *parts = &assembly->rapilogs[assembly->rapilog_count++];
    char *name = text_print("rapilog.%s", client);
    parts->component = add_component(assembly, name, "rapilog", &settings->schedule, 1,
                                     node_place(settings->node));
    parts->config = (struct rapilog_config){
        .buffer = assembly->buffer_count++,
        .dirty_limit = settings->limit,
        .hold_up_ns = power_is_signalled(&assembly->description->power) ? settings->hold_up : 0,
        .reserve_ns = settings->reserve,
        .unsafe_no_drain = settings->unsafe_no_drain,
        .survives_reset = settings->survives_reset,
        .report_ns = settings->report,
        .mode = settings->mode,
    };
    if (settings->mode == RAPILOG_MODE_THROUGH)
        parts->config.hold_up_ns = 0;
    uint32_t dirty = model_ram(model, "dirty", settings->memory);
    if (settings->survives_reset)
        model->region[dirty].flags |= IMAGE_REGION_KEEP;
    model_map(model, parts->component, dirty, "dirty", READ_WRITE);
    uint32_t gauges = model_ram(model, "gauges", QUOLL_PAGE_SIZE);
    model_map(model, parts->component, gauges, "gauges", READ_WRITE);
    connect_supervisor(assembly, parts->component, name, settings->restart);
    parts->dirty = dirty;
    free(name);
    return parts;
}

/* The driver of a disk that RapiLog drains to must know where its own memory is. */
static void tell_dirty(struct assembly *assembly, struct disk_parts *disk,
                       const struct rapilog_parts *rapilog)
{
    uint64_t mask = 1ULL << rapilog->config.buffer;
    if (disk->driver_config.allowed_buffers[0] & mask)
        return;
    disk->driver_config.allowed_buffers[0] |= mask;
    map_numbered(assembly, disk->driver, rapilog->dirty, "buffer", rapilog->config.buffer, 0);
}

/* ------------------------------------------------------------------------------------------------
 * Clients
 */

static uint32_t add_volume_client(struct disk_parts *disk, const struct volume_use *use,
                                  uint64_t buffers)
{
    uint32_t client = disk->volume_config.client_count++;
    disk->volume_config.client[client].allowed_buffers = buffers;
    disk->volume_config.client[client].read_only = use->read_only;
    snprintf(disk->volume_config.client[client].label,
             sizeof disk->volume_config.client[client].label, "%s", use->label);
    return client;
}

uint32_t add_volume_use(struct assembly *assembly, uint32_t client, uint32_t number,
                        const struct volume_use *use, struct rapilog_parts *rapilog)
{
    struct disk_parts *disk = use_disk(assembly, use->disk);
    uint32_t region;
    uint32_t buffer = add_buffer(assembly, disk, client, use->buffer, &region);
    uint64_t allowed = 1ULL << buffer;
    if (!use->rapilog || rapilog == NULL) {
        add_link(assembly, disk->volume, add_volume_client(disk, use, allowed), client, number);
        return buffer;
    }
    uint32_t filtered = rapilog->config.client_count++;
    rapilog->config.allowed_buffers[filtered] = allowed;
    map_numbered(assembly, rapilog->component, region, "buffer", buffer, READ_WRITE);
    tell_dirty(assembly, disk, rapilog);
    add_link(assembly, rapilog->component, filtered, client, number);
    allowed |= 1ULL << rapilog->config.buffer;
    add_link(assembly, disk->volume, add_volume_client(disk, use, allowed), rapilog->component,
             filtered);
    return buffer;
}

void add_dump(struct assembly *assembly, const struct rapilog_settings *settings,
              struct rapilog_parts *rapilog)
{
    if (rapilog == NULL || settings->dump == NULL)
        return;
    struct disk_parts *disk = use_disk(assembly, settings->dump_disk);
    const struct volume_use use = {.label = settings->dump};
    tell_dirty(assembly, disk, rapilog);
    rapilog->config.has_dump = 1;
    add_link(assembly, disk->volume, add_volume_client(disk, &use, 1ULL << rapilog->config.buffer),
             rapilog->component, rapilog->config.client_count);
}

static bool drains_to(const struct rapilog_parts *rapilog, const struct disk_parts *disk)
{
    return (disk->driver_config.allowed_buffers[0] >> rapilog->config.buffer & 1) != 0;
}

/* When the mains fail they all drain at once: the largest number of RapiLogs that meet at one of this one's disks. */
static uint32_t sharers_of(const struct assembly *assembly, const struct rapilog_parts *rapilog)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < assembly->description->disk_count; i++) {
        const struct disk_parts *disk = &assembly->disks[i];
        uint32_t sharers = 0;
        if (disk->driver == NO_COMPONENT || !drains_to(rapilog, disk))
            continue;
        for (uint32_t other = 0; other < assembly->rapilog_count; other++)
            sharers += drains_to(&assembly->rapilogs[other], disk) ? 1 : 0;
        most = sharers > most ? sharers : most;
    }
    return most;
}

void finish_storage(struct assembly *assembly)
{
    for (uint32_t i = 0; i < assembly->description->disk_count; i++) {
        struct disk_parts *disk = &assembly->disks[i];
        if (disk->driver == NO_COMPONENT)
            continue;
        add_config(assembly, disk->driver, &disk->driver_config, sizeof disk->driver_config);
        if (disk->timing != NO_COMPONENT) {
            disk->timing_config.allowed_buffers = disk->driver_config.allowed_buffers[0];
            add_config(assembly, disk->timing, &disk->timing_config, sizeof disk->timing_config);
        }
        add_config(assembly, disk->volume, &disk->volume_config, sizeof disk->volume_config);
    }
    for (uint32_t i = 0; i < assembly->rapilog_count; i++) {
        struct rapilog_parts *rapilog = &assembly->rapilogs[i];
        rapilog->config.disk_sharers = sharers_of(assembly, rapilog);
        add_config(assembly, rapilog->component, &rapilog->config, sizeof rapilog->config);
    }
}
