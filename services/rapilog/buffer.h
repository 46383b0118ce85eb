/*
 * RapiLog's buffer: what has been acknowledged and is not yet known to be on the disk.
 *
 * A pure core: no I/O, no clock, no globals, no allocation; all state is in memory that the caller gives. The
 * engine (engine.c) asks it what to write, tells it what the disk answered, and asks it for reads.
 *
 * SLOTS. The buffer holds slots of 4 KiB. A slot belongs to one aligned 4 KiB block of one volume and knows
 * which of its eight 512-byte sectors are *valid*, and which of those are *promised*: acknowledged to the
 * client, so that they must reach the disk whatever happens. A slot is
 *
 *     FREE ---write---> DIRTY ---seal---> DRAINING ---flush succeeded---> FREE
 *                         ^                   |
 *                         +----- failed ------+   (what is promised; the rest is forgotten)
 *
 * A write to a block whose newest slot is DIRTY goes into that slot: the tail block of a log, rewritten again and
 * again, takes one slot and one disk write. Once a slot is DRAINING it never changes: the disk may be reading
 * it, and a write that arrives then gets a slot of its own. Hence invariant 1: a block has at most one DIRTY
 * slot, and it is newer than all its DRAINING ones. The slots of a block hang in one hash chain, newest first, so a read
 * takes each sector from the first slot in the chain in which it is valid. A sector that is in no
 * slot is on the disk, flushed.
 *
 * EPOCHS. Per volume, slots drain in epochs. *Sealing* takes all DIRTY slots of the volume at once as the next
 * epoch. Its slots are written in *runs*: adjacent sectors that are also adjacent in the buffer's memory, one disk
 * request each, in any order and in parallel. When every run has been answered, the epoch is *written*; a FLUSH
 * is begun then, and only when that FLUSH has succeeded are the slots freed. Before it, the disk may hold them in a
 * cache that forgets, or may have put any subset of them on stable storage in any order.
 *
 *     open (DIRTY) --seal--> writing --all runs answered--> written --flush_begin--> flushing --flush_end--> (free)
 *
 * At most one epoch is writing and one is flushing. Because the next epoch's runs are issued only after all
 * runs of the former were answered, the disk never has two versions of a sector in flight, and a newer version never
 * loses against an older one. Epochs are numbered in the order of acknowledgement: everything acknowledged
 * before a seal is in that epoch or an earlier one. So
 *
 *     invariant 2: when the drain runs to its end, every promised sector is on the disk in its newest version;
 *     invariant 3: when every seal takes all and waits until the former epoch is flushed (the engine's strict order), the disk
 *                  holds at every instant all epochs up to some k and a part of epoch k + 1, nothing later.
 *
 * ORDERED DOMAINS. When all volumes drain as one, through a dump area (journal.h), sealing takes the DIRTY slots of every volume at
 * the same instant into the volumes' *dumping* epochs. Once all of them together are in the dump area and flushed there, and
 * the former epoch is in place, they become the writing epochs and go the way above; one that the disk refuses in place
 * is written in place again as a whole, because it must not mix with what comes after it. One that is in place is freed when all
 * volumes' are: the next start may load all of it again from the dump area, and must find room beside what came later.
 *
 *     open (DIRTY) --seal_for_dump--> dumping --dumped, place--> writing --> written --> flushing --> (free)
 *                                                                   ^                       |
 *                                                                   +---- place_again ------+
 *
 * In an emergency the engine may *extend* a written epoch by the open slots instead of flushing twice; that makes one
 * larger epoch of two and keeps both invariants.
 *
 * ERRORS. A run that the disk refuses marks its slots; a FLUSH that fails marks all, those of the next epoch too if that
 * is being written (a disk that failed to flush may have dropped whatever it had taken). Marked slots *return* at
 * the end of their epoch: sectors that a newer slot holds are left to that one (with the promise), unpromised ones
 * are forgotten, and the rest is DIRTY again on the volume's *failed* list, which is sealed separately, so that one
 * bad sector does not stop the others.
 * A promised sector leaves the buffer only by a flush that covered it, or superseded by a newer version of itself.
 *
 * THE BOUND. What is in the buffer must be drainable within a time. A slot costs `slot_cost` (the transfer of 4 KiB);
 * a slot that does not continue the one before it costs `head_cost` more (a seek, a command). Both are
 * nanoseconds as measured (rate.h). Promised writes are admitted while the sum stays within `budget`; unpromised ones
 * need only a free slot, as nobody relies on them.
 *
 * Callers: the engine, one thread. All arguments are the engine's own (it has checked what came from clients and
 * disks), so ranges are preconditions here.
 */
#ifndef RAPILOG_BUFFER_H
#define RAPILOG_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUFFER_SECTOR 512u
#define BUFFER_BLOCK_SECTORS 8u
#define BUFFER_BLOCK 4096u /* BUFFER_BLOCK_SECTORS of them */
#define BUFFER_MAX_VOLUMES 16u
#define BUFFER_MAX_SLOTS (1u << 20)
#define BUFFER_NONE UINT32_MAX /* no slot */

enum buffer_slot_state {
    BUFFER_FREE,
    BUFFER_DIRTY,
    BUFFER_DRAINING,
    BUFFER_FOUND, /* of an earlier life, not yet adopted: kept.h */
};

struct buffer_slot {
    uint64_t block;       /* of the volume, in units of 4 KiB */
    uint64_t kept;        /* what a restart of RapiLog finds: kept.h */
    uint64_t first_write; /* numbers of the oldest and newest write whose data is here; */
    uint64_t last_write;  /* first > last: none that is still waited for */
    uint32_t older;       /* next in the hash chain */
    uint32_t next;        /* next in its list */
    uint8_t volume;
    uint8_t state;    /* enum buffer_slot_state */
    uint8_t valid;    /* bit n: sector n is here */
    uint8_t promised; /* subset of valid */
    uint8_t todo;     /* DRAINING: sectors not yet issued */
    bool failed;      /* DRAINING: the disk refused a part */
    bool dumped;      /* DRAINING: in the dump area, flushed there */
    uint8_t epoch;    /* DRAINING: its epoch's number, modulo 256 */
    bool head;        /* starts a new disk request; counted in the cost */
    bool unsummed;    /* in the list of those whose checksum is to be made; kept.h */
    uint32_t sum;     /* of the data, 0: none yet */
    uint32_t next_unsummed;
};

struct buffer_list {
    uint32_t first, last; /* BUFFER_NONE: empty */
};

enum buffer_epoch_state { BUFFER_EPOCH_NONE, BUFFER_EPOCH_WRITING, BUFFER_EPOCH_WRITTEN };

struct buffer_epoch {
    struct buffer_list list;
    uint32_t cursor; /* next slot with something to issue */
    uint32_t runs;   /* issued, not answered */
    uint32_t slots, heads;
    uint64_t number; /* 1 is the volume's first */
};

struct buffer_volume {
    struct buffer_list open;   /* DIRTY */
    struct buffer_list failed; /* DIRTY, refused by the disk before */
    struct buffer_epoch dumping;
    struct buffer_epoch writing;
    struct buffer_epoch flushing;
    bool is_dumping, is_writing, is_flushing;
    bool is_in_place; /* the flushing epoch: flushed; it stays until all of the domain's is */
    uint64_t epochs;  /* sealed so far */
    uint64_t writes;  /* number of the newest write */
    uint32_t slots;   /* in use */
    uint32_t promised_slots;
};

struct buffer_counters { /* bytes since the start */
    uint64_t written;    /* taken from clients */
    uint64_t coalesced;  /* of them, replaced in the buffer before they were sealed */
    uint64_t drained;    /* freed after a flush */
};

struct buffer {
    struct buffer_slot *slot;
    uint32_t *bucket;
    uint8_t *data; /* slot n at n * BUFFER_BLOCK */
    uint32_t slot_count;
    uint32_t bucket_count;                 /* a power of two */
    uint32_t next_free;                    /* where the search for a free slot begins */
    uint32_t slots, heads;                 /* in use */
    uint32_t slot_limit;                   /* for promised data */
    uint32_t slot_most;                    /* for all data */
    uint64_t budget, slot_cost, head_cost; /* nanoseconds */
    bool hurry;
    bool sums; /* slots get checksums; kept.h */
    uint32_t unsummed;
    struct buffer_counters counters;
    struct buffer_volume volume[BUFFER_MAX_VOLUMES];
};

/* A run: one disk request. */
struct buffer_run {
    uint64_t sector; /* of the volume */
    uint64_t offset; /* bytes from the start of `data` */
    uint32_t count;  /* sectors */
    uint32_t volume;
    uint32_t slot;  /* first slot; the others follow it in memory */
    uint32_t slots; /* number of slots touched */
};

/* What became of one slot at the end of its epoch. */
struct buffer_fate {
    uint64_t block;
    uint64_t first_write, last_write;
    bool on_disk; /* false: refused; writes in this range that wait have failed */
};

/* slots[slot_count], buckets[bucket_count], data[slot_count * BUFFER_BLOCK]; slot_count in
 * 1..BUFFER_MAX_SLOTS, bucket_count a power of two. The bound is zero until buffer_bound(). */
void buffer_init(struct buffer *buffer, struct buffer_slot *slots, uint32_t slot_count,
                 uint32_t *buckets, uint32_t bucket_count, uint8_t *data);

/* Sets the bound; costs above 2^40 ns count as that. slot_limit: at most that many slots for promised data. */
void buffer_bound(struct buffer *buffer, uint32_t slot_limit, uint64_t budget, uint64_t slot_cost,
                  uint64_t head_cost);
/* Whether the bound allows even one block to be promised. */
bool buffer_can_promise(const struct buffer *buffer);
/* Time to drain what is in the buffer, at the costs last set. */
uint64_t buffer_cost(const struct buffer *buffer);

/* A new write's number, ascending within the volume. */
uint64_t buffer_write_number(struct buffer *buffer, uint32_t volume);
/* Takes `count` >= 1 sectors from `data`; returns how many were taken, from the first on: fewer than count when the
 * bound is reached (or no slot is free). promise: they count as acknowledged from now on. */
uint32_t buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number, uint64_t sector,
                      uint32_t count, const uint8_t *data, bool promise);
/* Whether data of write `number`, which covered [sector, sector + count), is in the buffer and not yet on stable storage. */
bool buffer_holds_write(const struct buffer *buffer, uint32_t volume, uint64_t number,
                        uint64_t sector, uint32_t count);

/* The length of the longest uniform piece at `sector`, 1..count sectors: all in the buffer (*held, and copied to
 * `out`), or none (then they are on the disk). */
uint32_t buffer_read(const struct buffer *buffer, uint32_t volume, uint64_t sector, uint32_t count,
                     uint8_t *out, bool *held);

/* Seals the volume's open (or failed) slots as the next epoch; false when there are none, or one is still writing.
 * parts: 1 takes all of them; more ends the epoch when it is that part of the bound, so that a full buffer is
 * freed in portions. A partial epoch takes the oldest slots, some of which may have been rewritten
 * later: invariant 3 needs parts == 1. */
bool buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts);
bool buffer_seal_failed(struct buffer *buffer, uint32_t volume);
/* Whether there is something to seal. */
bool buffer_must_seal(const struct buffer *buffer, uint32_t volume);
/* Adds the open and failed slots to the written epoch, which becomes a writing one again; false when there is no
 * written epoch or nothing to add. */
bool buffer_extend(struct buffer *buffer, uint32_t volume);
/* The next run to write, at most max_sectors >= 1 long; false when there is nothing to issue. */
bool buffer_next_run(struct buffer *buffer, uint32_t volume, uint32_t max_sectors,
                     struct buffer_run *run);
void buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok);
enum buffer_epoch_state buffer_epoch_state(const struct buffer *buffer, uint32_t volume);
/* The written epoch awaits its FLUSH from now on. False when none is written or one is flushing. */
bool buffer_flush_begin(struct buffer *buffer, uint32_t volume);
/* The FLUSH has been answered. Call until it returns false: each call settles one slot. */
bool buffer_flush_end(struct buffer *buffer, uint32_t volume, bool ok, struct buffer_fate *fate);

/* Ordered domains. Seals all DIRTY slots of the volume for the dump area, as epoch `number` of the domain; false when there are
 * none. The former dumping epoch has been placed. */
bool buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number);
/* The volume's dumping epoch is in the dump area, flushed. */
void buffer_dumped(struct buffer *buffer, uint32_t volume);
/* The dumping epoch, if any, becomes the writing one; there is neither a writing nor a flushing one. */
void buffer_place(struct buffer *buffer, uint32_t volume);
/* The other way round, before anything of it has been issued. */
void buffer_unplace(struct buffer *buffer, uint32_t volume);
/* Whether the disk refused a part of the flushing epoch in place. */
bool buffer_place_refused(const struct buffer *buffer, uint32_t volume);
/* The flushing epoch becomes the writing one again, all of it. */
void buffer_place_again(struct buffer *buffer, uint32_t volume);
/* The flushing epoch is on stable storage: nothing takes it back; buffer_flush_end() is called when all of the domain's are. */
void buffer_note_in_place(struct buffer *buffer, uint32_t volume);
/* Nothing of the volume is on its way in place. */
bool buffer_placed(const struct buffer *buffer, uint32_t volume);
/* From the dump area: a slot of the volume's dumping epoch, promised, newer than all others of its block that are in the buffer
 * now. Its data is still to come. BUFFER_NONE: no slot is free. */
uint32_t buffer_load(struct buffer *buffer, uint32_t volume, uint64_t block, uint8_t valid);
/* What was loaded turned out to be incomplete: the volume's dumping epoch goes. */
void buffer_unload(struct buffer *buffer, uint32_t volume);

/* A FLUSH that belongs to no epoch has failed: the disk may have dropped anything it had in its cache, so whatever is
 * being written or flushed counts as refused. */
void buffer_cache_lost(struct buffer *buffer, uint32_t volume);

/* In a hurry, sealing leaves out slots without promised sectors: nothing relies on them, and time is short. They stay in
 * the buffer as they are. */
void buffer_hurry(struct buffer *buffer, bool hurry);

#endif
