/*
 * How long a named disk takes for what it is asked.
 *
 * All times here are the real disk's ("model time", nanoseconds); the users multiply them by the dilation. Pure
 * computation: no clock, no I/O, no state but the arm that the caller owns.
 */
#ifndef TIMING_LATENCY_H
#define TIMING_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

struct disk_kind {
    const char *name;
    const char *description;
    bool volatile_cache;  /* acknowledged writes need a FLUSH to survive power-off */
    bool rotating;        /* rotation and seeks below apply; otherwise media_rate and flush_ns */
    bool parallel;        /* serves several commands at once */
    uint64_t cache_bytes; /* of writes not yet on the medium; full: a write waits for the medium */
    uint64_t command_ns;  /* fixed cost of a write command until it is in the cache */
    uint64_t read_ns;     /* fixed cost of a read command */
    uint64_t interface_rate;  /* bytes per second between host and cache */
    uint64_t media_rate;      /* bytes per second between cache and medium, worst sustained case */
    uint64_t flush_ns;        /* fixed cost of a FLUSH that finds something to do */
    uint64_t rotation_ns;     /* of one turn */
    uint64_t track_bytes;     /* passing the head in one turn */
    uint64_t capacity;        /* bytes: the length of a full stroke of the arm */
    uint64_t seek_nearest_ns; /* to the next track, with settling for a write */
    uint64_t seek_third_ns;   /* over a third of the disk: what data sheets call "average" */
};

/* Where the head of a rotating disk is. */
struct disk_arm {
    uint64_t track;
};

/* The kind of that name, or NULL; the list ends with a kind without name. */
const struct disk_kind *latency_kind(const char *name);
extern const struct disk_kind latency_kinds[];

/* Time to move `bytes` at `rate` bytes per second; 0 when the rate is 0 (not modelled). */
uint64_t latency_transfer(uint64_t bytes, uint64_t rate);

/* When is [offset, offset + bytes) on the medium, if the disk starts at `now`? Moves the arm. */
uint64_t latency_medium(const struct disk_kind *kind, struct disk_arm *arm, uint64_t now,
                        uint64_t offset, uint64_t bytes);

#endif
