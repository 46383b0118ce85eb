/*
 * A small closed world around RapiLog's engine (world.h): one client, one disk (world_disk.h), and time.
 *
 * The client is as mean as the disk: it scribbles over a write's memory as soon as the write is answered.
 *
 * Later operations have larger stamps, and the engine takes a client's writes in order, so "at least as new" is >=.
 */
#ifndef CRASH_WORLD_H
#define CRASH_WORLD_H

#include "world.h"

#define WORLD_SECTORS 24u
#define WORLD_SLOTS 6u
#define WORLD_BUCKETS 4u
#define WORLD_OPERATIONS 8u

struct world_operation {
    enum block_operation kind;
    uint32_t sector, count;
};

struct world_scenario {
    const char *name;
    struct world_operation operation[WORLD_OPERATIONS];
    uint32_t operations;
    uint32_t slot_limit; /* slots that may hold promised data; 0: all */
    uint32_t errors;     /* the disk may refuse that many writes and flushes */
    bool through;        /* no hold-up time */
    bool strict;         /* the engine is asked for strict order */
    bool expect_prefix;  /* the disk must hold a prefix of epochs at every instant */
    bool late_reads;     /* reads return what the disk had when they complete */
    bool drain;          /* a clean end ("drain") instead of loss of mains */
    uint32_t returns;    /* so many times the mains come back after they were lost */
};

#endif
