/*
 * Volumes: what each client of the service sees as its disk, and the requests under way between clients and disk.
 *
 * A volume is an extent of the disk. A request is checked against it (block_server_take), moved to its place on the disk and passed
 * on with an id of this service's, a *passage*; the completion carries the passage back. Data is never looked at.
 * FLUSH goes to the disk as FLUSH; one that fails is every client's loss (quoll/block.h). Each client may have its share of the
 * disk's ring, so that none waits for another's.
 */
#ifndef VOLUME_VOLUME_H
#define VOLUME_VOLUME_H

#include "table.h"
#include <quoll/block_io.h>

struct volume {
    struct block_server server;
    struct extent extent;
    bool read_only;
    bool usable;
};

struct passage {
    uint64_t id;            /* the client's */
    struct block_mark mark; /* of a FLUSH */
    uint8_t client;
    bool flush;
    bool in_use;
};

struct volumes {
    struct block_client disk;
    uint32_t count;
    uint32_t share; /* passages that one client may have */
    struct volume volume[CONFIG_MAX_CLIENTS];
    struct passage passage[BLOCK_RING_ENTRIES];
    uint8_t free[BLOCK_RING_ENTRIES];
    uint32_t free_count;
    uint64_t *losses; /* of the disk's cache */
    bool gone;        /* the disk has failed */
};

/* Before anything else; the servers are attached, the disk is not READY yet. *losses: 0 in the service's first life. */
void volumes_start(struct volumes *volumes, uint32_t count, uint64_t *losses);
/* Gives client `number` an extent of the disk, or says why not (at most 71 characters) and leaves it without. The
 * client sees it under the label, or under the disk's own name when that is empty. At the start only: what an extent's former owner
 * has under way would still reach it. */
const char *volume_assign(struct volumes *volumes, uint32_t number, const struct extent *extent,
                          const char *label, bool read_only);
/* The client cannot have what it was promised. */
void volume_refuse(struct volumes *volumes, uint32_t number, const char *reason);

/* Moves whatever can be moved, in both directions. */
void volumes_work(struct volumes *volumes);
/* Before waiting: false when there is work. After it: awake. */
bool volumes_sleep(struct volumes *volumes);
void volumes_awake(struct volumes *volumes);

/* This life of the service, or a former one, has found its volumes on the disk (main.c). */
extern bool volume_was_assigned;

#endif
