/* The clients of a disk driver; see clients.h. */
#include "clients.h"

#include <quoll/quoll.h>
#include <string.h>

#define FORGIVEN_NS 3600000000000ull /* without a reset, and none of those before counts */

/* Between two tries, and how many of them there are to a line in the log: one in ten minutes. */
#define TRY_AGAIN_NS 5000000000ull
#define TRIES_TO_A_LINE 120u

static uint64_t surviving_losses __attribute__((section(".surviving")));
static bool was_ready __attribute__((section(".surviving")));
static uint32_t surviving_place __attribute__((section(".surviving"))); /* while it was ready */

static uint8_t surviving_serial[DISK_SERIAL_BYTES] __attribute__((section(".surviving")));

void disk_clients_find(struct disk_clients *clients, const struct disk_config *config)
{
    if (config->client_count > CONFIG_MAX_CLIENTS)
        quoll_fail("the configuration has %u clients; %u are possible", config->client_count,
                   CONFIG_MAX_CLIENTS);
    clients->count = config->client_count;
    clients->share = BLOCK_RING_ENTRIES;
    clients->losses = &surviving_losses;
    block_buffers_find(&clients->buffers);
    for (uint32_t i = 0; i < clients->count; i++)
        block_server_find(&clients->server[i], i, &clients->buffers, config->allowed_buffers[i]);
}

void disk_clients_ready(struct disk_clients *clients, const struct block_geometry *geometry,
                        uint32_t commands)
{
    uint32_t share = commands / (clients->count > 0 ? clients->count : 1);
    clients->share = share > 0 ? share : 1;
    was_ready = true;
    for (uint32_t i = 0; i < clients->count; i++)
        block_server_ready(&clients->server[i], geometry);
}

bool disk_try_again(const char *problem)
{
    static uint32_t tries;
    uint64_t end = quoll_now() + quoll_ticks_from_ns(TRY_AGAIN_NS);
    if (!was_ready)
        return false;
    surviving_losses++; /* whatever keeps it from working may have cost it its cache */
    if (tries++ % TRIES_TO_A_LINE == 0)
        quoll_log("the disk cannot be used again yet: %s; trying every %u s", problem,
                  (unsigned)(TRY_AGAIN_NS / 1000000000));
    while (quoll_now() < end) {
        quoll_timer_set(end);
        (void)quoll_wait();
    }
    return true;
}

void disk_had_failed(void)
{
    if (!was_ready)
        return;
    surviving_losses++;
    quoll_log("the disk has failed or was reset while it had no driver; what was in its cache "
              "counts as lost");
}

bool disk_is_in_its_place(uint32_t place)
{
    if (!was_ready)
        surviving_place = place;
    return place == surviving_place;
}

bool disk_is_the_same(const uint8_t serial[DISK_SERIAL_BYTES])
{
    if (!was_ready)
        memcpy(surviving_serial, serial, DISK_SERIAL_BYTES);
    return memcmp(surviving_serial, serial, DISK_SERIAL_BYTES) == 0;
}

void disk_clients_failed(struct disk_clients *clients, const char *problem)
{
    clients->share = BLOCK_RING_ENTRIES; /* the link answers them by itself */
    for (uint32_t i = 0; i < clients->count; i++)
        block_server_failed(&clients->server[i], problem);
}

static bool may_take(const struct disk_clients *clients, uint32_t number)
{
    return clients->server[number].outstanding < clients->share;
}

bool disk_clients_take(struct disk_clients *clients, uint32_t *number,
                       struct block_request *request)
{
    for (uint32_t i = 0; i < clients->count; i++) {
        uint32_t candidate = (clients->next + i) % clients->count;
        if (may_take(clients, candidate) &&
            block_server_take(&clients->server[candidate], request)) {
            if (request->operation == BLOCK_WRITE)
                block_server_writing(&clients->server[candidate], *clients->losses);
            *number = candidate;
            clients->next = candidate + 1;
            return true;
        }
    }
    return false;
}

void disk_clients_complete(struct disk_clients *clients, uint32_t number, uint64_t id,
                           enum block_status status)
{
    block_server_complete(&clients->server[number], id, status);
}

void disk_clients_flushed(struct disk_clients *clients, uint32_t number, uint64_t id,
                          struct block_mark mark, enum block_status status)
{
    struct block_server *server = &clients->server[number];
    status = block_server_flushed(server, clients->losses, mark, status);
    block_server_complete(server, id, status);
}

void disk_clients_publish(struct disk_clients *clients)
{
    for (uint32_t i = 0; i < clients->count; i++)
        block_server_publish(&clients->server[i]);
}

bool disk_clients_sleep(struct disk_clients *clients)
{
    for (uint32_t i = 0; i < clients->count; i++) {
        if (may_take(clients, i) && !block_server_sleep(&clients->server[i]))
            return false;
    }
    return true;
}

void disk_clients_awake(struct disk_clients *clients)
{
    for (uint32_t i = 0; i < clients->count; i++)
        block_server_awake(&clients->server[i]);
}

bool disk_same_geometry(const struct block_geometry *a, const struct block_geometry *b)
{
    return a->sectors == b->sectors && a->abilities == b->abilities &&
           a->physical_block == b->physical_block && a->max_sectors == b->max_sectors &&
           memcmp(a->name, b->name, sizeof(a->name)) == 0;
}

bool disk_may_reset(struct disk_resets *resets, uint64_t now)
{
    if (now - resets->last >= quoll_ticks_from_ns(FORGIVEN_NS))
        resets->count = 0;
    if (resets->count == DISK_MOST_RESETS)
        return false;
    resets->count++;
    resets->last = now;
    return true;
}
