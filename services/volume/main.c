/*
 * The volume service: gives each client a GPT partition of one disk, named by its label, or the whole disk.
 *
 * A client whose label is not there, is there twice, or overlaps what an earlier client has, gets a link that has FAILED with
 * the reason; the log tells which labels there are and what to do. The others work. Labels are looked up
 * once, at start-up. A service that begins anew does that until it can, as its clients may rely on what they have written.
 */
#include "volume.h"
#include <quoll/quoll.h>
#include <string.h>

#define READ_AGAIN_NS 5000000000ull

static struct volumes volumes;
static uint64_t losses __attribute__((section(".surviving"))); /* of the disk's cache */
bool volume_was_assigned __attribute__((section(".surviving")));
static struct block_buffers buffers;

static void refuse(uint32_t number, const char *label, const char *reason)
{
    char text[sizeof(((struct block_link *)0)->reason)];
    quoll_format(text, sizeof(text), "\"%s\": %s", label, reason);
    quoll_log("client %u cannot have %s", number, text);
    volume_refuse(&volumes, number, text);
}

/* The label, terminated whatever the configuration holds. */
static void copy_label(char label[41], const struct volume_config *config, uint32_t number)
{
    memcpy(label, config->client[number].label, 40);
    label[40] = '\0';
}

static const char *find_extent(const struct partition_table *table, const char *label,
                               struct extent *extent)
{
    if (label[0] != '\0')
        return table_find(table, label, extent);
    *extent = (struct extent){0, volumes.disk.geometry.sectors};
    return NULL;
}

static void assign(const struct volume_config *config, const struct partition_table *table,
                   uint32_t number)
{
    char label[41];
    struct extent extent;
    bool read_only = config->client[number].read_only != 0;
    copy_label(label, config, number);
    const char *problem = find_extent(table, label, &extent);
    bool found = problem == NULL;
    if (found)
        problem = volume_assign(&volumes, number, &extent, label, read_only);
    if (problem != NULL) {
        refuse(number, label[0] != '\0' ? label : "whole disk", problem);
        if (!found)
            table_explain(table, volumes.disk.geometry.name, label);
        return;
    }
    quoll_log("client %u: \"%s\", sectors %lu to %lu%s", number,
              label[0] != '\0' ? label : "whole disk", (unsigned long)extent.first,
              (unsigned long)(extent.first + extent.count - 1), read_only ? ", read-only" : "");
}

static bool any_label(const struct volume_config *config)
{
    for (uint32_t i = 0; i < config->client_count; i++) {
        if (config->client[i].label[0] != '\0')
            return true;
    }
    return false;
}

static void pause_until(uint64_t end)
{
    while (quoll_now() < end) {
        quoll_timer_set(end);
        (void)quoll_wait();
    }
}

static void read_table(struct partition_table *table, const struct volume_config *config)
{
    uint64_t signals = 0; /* every link is looked at afterwards anyway */
    const struct block_buffer *own = &buffers.buffer[config->buffer];
    table_read(table, &volumes.disk, own, config->buffer, &signals);
    if (table->problem != GPT_NONE && volume_was_assigned)
        quoll_log("disk \"%s\": %s; it is read until that is over", volumes.disk.geometry.name,
                  gpt_problem_text(table->problem));
    while (table->problem != GPT_NONE && volume_was_assigned &&
           block_client_state(&volumes.disk) == BLOCK_LINK_READY) {
        pause_until(quoll_now() + quoll_ticks_from_ns(READ_AGAIN_NS));
        table_read(table, &volumes.disk, own, config->buffer, &signals);
    }
}

static void assign_all(const struct volume_config *config)
{
    struct partition_table table = {.problem = GPT_NO_SIGNATURE};
    if (any_label(config))
        read_table(&table, config);
    for (uint32_t i = 0; i < config->client_count; i++)
        assign(config, &table, i);
    volume_was_assigned = volume_was_assigned || table.problem == GPT_NONE;
}

static void start(const struct volume_config *config)
{
    uint64_t signals = 0;
    if (config->client_count > CONFIG_MAX_CLIENTS || config->buffer >= CONFIG_MAX_BUFFERS)
        quoll_fail("the configuration has %u clients and buffer %u; at most %u and %u are possible",
                   config->client_count, config->buffer, CONFIG_MAX_CLIENTS,
                   CONFIG_MAX_BUFFERS - 1);
    block_buffers_find(&buffers);
    const struct block_buffer *own = &buffers.buffer[config->buffer];
    if (own->address == NULL || own->size < VOLUME_BUFFER_BYTES)
        quoll_fail("the system image maps no memory \"buffer%u\" of %u bytes", config->buffer,
                   VOLUME_BUFFER_BYTES);

    volumes_start(&volumes, config->client_count, &losses);
    /* Nobody else may read into the buffer that the partition table lies in. */
    uint64_t others = ~(1ull << config->buffer);
    for (uint32_t i = 0; i < config->client_count; i++)
        block_server_find(&volumes.volume[i].server, i, NULL,
                          config->client[i].allowed_buffers & others);
    block_client_find(&volumes.disk, 0);
    if (block_client_wait(&volumes.disk, &signals) == BLOCK_LINK_READY) {
        assign_all(config);
        return;
    }
    quoll_log("no volume is available: %s", volumes.disk.reason);
    volumes.gone = true;
    for (uint32_t i = 0; i < config->client_count; i++)
        volume_refuse(&volumes, i, volumes.disk.reason);
}

void component_main(void)
{
    start(quoll_memory("config", sizeof(struct volume_config)));
    for (;;) {
        volumes_work(&volumes);
        if (volumes_sleep(&volumes))
            (void)quoll_wait();
        volumes_awake(&volumes);
    }
}
