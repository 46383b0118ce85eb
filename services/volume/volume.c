/* Volumes and the passages of their requests; see volume.h. */
#include "volume.h"
#include <quoll/quoll.h>
#include <string.h>

void volumes_start(struct volumes *volumes, uint32_t count, uint64_t *losses)
{
    *volumes = (struct volumes){.count = count, .losses = losses};
    volumes->share = BLOCK_RING_ENTRIES / (count > 0 ? count : 1);
    volumes->free_count = BLOCK_RING_ENTRIES;
    for (uint32_t i = 0; i < BLOCK_RING_ENTRIES; i++)
        volumes->free[i] = (uint8_t)i;
}

/* Two clients may share blocks only when neither writes. */
static bool collides(const struct volume *a, const struct extent *extent, bool read_only)
{
    return a->usable && !(a->read_only && read_only) && extents_overlap(&a->extent, extent);
}

static void get_ready(struct volumes *volumes, struct volume *volume, const char *label)
{
    struct block_geometry geometry = volumes->disk.geometry;
    geometry.sectors = volume->extent.count;
    if (label[0] != '\0')
        quoll_format(geometry.name, sizeof(geometry.name), "%s", label);
    if (volume->read_only)
        geometry.abilities |= BLOCK_IS_READ_ONLY;
    volume->usable = true;
    block_server_ready(&volume->server, &geometry);
}

const char *volume_assign(struct volumes *volumes, uint32_t number, const struct extent *extent,
                          const char *label, bool read_only)
{
    uint64_t sectors = volumes->disk.geometry.sectors;
    if (extent->count > sectors || extent->first > sectors - extent->count)
        return "the partition reaches beyond the end of the disk";
    for (uint32_t i = 0; i < volumes->count; i++) {
        if (collides(&volumes->volume[i], extent, read_only))
            return "another client already has these blocks of the disk";
    }
    struct volume *volume = &volumes->volume[number];
    volume->extent = *extent;
    volume->read_only = read_only;
    get_ready(volumes, volume, label);
    return NULL;
}

void volume_refuse(struct volumes *volumes, uint32_t number, const char *reason)
{
    volumes->volume[number].usable = false;
    block_server_failed(&volumes->volume[number].server, reason);
}

/* ---- From the disk to the clients ---- */

static void end_passage(struct volumes *volumes, uint32_t number, enum block_status status)
{
    struct passage *passage = &volumes->passage[number];
    struct block_server *server = &volumes->volume[passage->client].server;
    if (passage->flush)
        status = block_server_flushed(server, volumes->losses, passage->mark, status);
    block_server_complete(server, passage->id, status);
    passage->in_use = false;
    volumes->free[volumes->free_count++] = (uint8_t)number;
}

/* What the disk completes without having been asked is dropped. */
static void take_completions(struct volumes *volumes)
{
    struct block_completion completion;
    while (block_client_take(&volumes->disk, &completion)) {
        uint64_t number = completion.id;
        if (number < BLOCK_RING_ENTRIES && volumes->passage[number].in_use)
            end_passage(volumes, (uint32_t)number, (enum block_status)completion.status);
    }
}

/* The driver has stopped the disk before it said so: what it has not answered, it never will. */
static void lose_disk(struct volumes *volumes)
{
    volumes->gone = true;
    for (uint32_t i = 0; i < BLOCK_RING_ENTRIES; i++) {
        if (volumes->passage[i].in_use)
            end_passage(volumes, i, BLOCK_GONE);
    }
    for (uint32_t i = 0; i < volumes->count; i++) {
        if (volumes->volume[i].usable)
            volume_refuse(volumes, i, volumes->disk.reason);
    }
    quoll_log("the disk \"%s\" is gone: %s", volumes->disk.geometry.name, volumes->disk.reason);
}

/* ---- From the clients to the disk ---- */

static bool may_take(const struct volumes *volumes, const struct volume *volume)
{
    if (!volume->usable || volumes->gone)
        return true; /* take() answers by itself */
    return volumes->free_count > 0 && volume->server.outstanding < volumes->share &&
           volumes->disk.in_flight < BLOCK_RING_ENTRIES;
}

static void pass_on(struct volumes *volumes, uint32_t client, struct block_request request)
{
    uint32_t number = volumes->free[--volumes->free_count];
    volumes->passage[number] = (struct passage){
        .id = request.id,
        .mark = block_server_mark(&volumes->volume[client].server),
        .client = (uint8_t)client,
        .flush = request.operation == BLOCK_FLUSH,
        .in_use = true,
    };
    request.id = number;
    if (request.operation == BLOCK_FLUSH)
        request.sector = 0;
    else
        request.sector += volumes->volume[client].extent.first;
    if (!block_client_submit(&volumes->disk, &request))
        end_passage(volumes, number, BLOCK_IO_ERROR);
}

/* One request of each client in turn, for as long as any has one. */
static void take_requests(struct volumes *volumes)
{
    struct block_request request;
    bool any = true;
    while (any) {
        any = false;
        for (uint32_t i = 0; i < volumes->count; i++) {
            struct volume *volume = &volumes->volume[i];
            if (!may_take(volumes, volume) || !block_server_take(&volume->server, &request))
                continue;
            if (request.operation == BLOCK_WRITE)
                block_server_writing(&volume->server, *volumes->losses);
            pass_on(volumes, i, request);
            any = true;
        }
    }
}

void volumes_work(struct volumes *volumes)
{
    bool failed = block_client_state(&volumes->disk) == BLOCK_LINK_FAILED;
    take_completions(volumes);
    if (failed && !volumes->gone)
        lose_disk(volumes);
    take_requests(volumes);
    block_client_publish(&volumes->disk);
    for (uint32_t i = 0; i < volumes->count; i++)
        block_server_publish(&volumes->volume[i].server);
}

bool volumes_sleep(struct volumes *volumes)
{
    for (uint32_t i = 0; i < volumes->count; i++) {
        struct volume *volume = &volumes->volume[i];
        if (may_take(volumes, volume) && !block_server_sleep(&volume->server))
            return false;
    }
    return block_client_sleep(&volumes->disk);
}

void volumes_awake(struct volumes *volumes)
{
    for (uint32_t i = 0; i < volumes->count; i++)
        block_server_awake(&volumes->volume[i].server);
    block_client_awake(&volumes->disk);
}
