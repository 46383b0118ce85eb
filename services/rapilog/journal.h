/*
 * RapiLog's journal: the way of an ordered domain's epochs through the dump area (dump.h), and in mode `held` the fast way out
 * when the mains fail.
 *
 * HELD ORDERED. All volumes of the engine are one domain. Its epochs are atomic:
 *
 *     seal       the DIRTY slots of all volumes, at one instant, become epoch k
 *     dump       epoch k is written to its half of the dump area in one sequential pass
 *     flush      one FLUSH: epoch k is complete there
 *     place      only now its data goes where it belongs, in any order; then a FLUSH per volume
 *
 * so at every instant volumes and dump area together hold all epochs up to some k, whole, and nothing later: either
 * k is not complete in the dump area, then nothing of it is in place, or it is, then the next start places all of it. An
 * epoch holds everything that was acknowledged before it was sealed and is not in an earlier one: a prefix of the history.
 * The half of epoch k is written again by epoch k + 2, which is sealed after k was placed and epoch k + 1's descriptors, or a
 * superblock, say so: otherwise what is left of k would be taken for an epoch that was damaged.
 *
 * While mains are there, epoch k + 1 is sealed when k is placed: dump and place would only take the disk from
 * each other. On loss of mains placing stops, what is open is dumped as epoch k + 1 beside k, and that is the end: the next
 * start finds both. When the mains come back instead, k is placed further and then k + 1, as always.
 *
 * A FLUSH of the dump area also flushes what placing has left in the disk's cache. So that the last FLUSH stays short,
 * placing flushes whenever that much work may be in the cache that a quarter of the time to drain is needed for it.
 *
 * HELD. Volumes drain in place, each for itself. On loss of mains everything that is in the buffer goes into one epoch of the
 * dump area when the estimate says that this is faster. When the mains come back, or the next start has placed
 * that epoch, it is *voided*: a superblock says that it counts as placed. Before that nothing newer may go in place (`gate`), or
 * a later start would put old data over it. When RapiLog is restarted while the mains are lost and finds such an epoch, it writes all
 * once more, beside it: the one before stays valid until that is complete. When the dump area refuses it, all drains in
 * place, which is what the bound counts on; should the epoch be complete all the same, it has just the same data, until the mains are back.
 * An older one that is still on its way in place gets there first. As long as it is not voided it has older data: that superblock is tried
 * then, for as long as the hold-up time, before all counts as safe.
 * The same holds for an epoch of `held ordered` that is in place when the mode is changed, but only a descriptor says so that the next dump replaces.
 *
 * ROOM. What is pending in the dump area was in memory at one instant together with all that came later, because an epoch's slots stay
 * until all volumes have placed it and memory notes that (kept.h); one that has all that was held needs no older one beside it. So
 * there is room for it at the next start; where there is not, because somebody gave RapiLog less memory, the area is refused.
 *
 * START. Before any volume is served, what is pending in the dump area is loaded into the buffer, checked, and goes on from
 * there as if it had just been dumped: reads see it, placing goes on in the background (replay.c). A clean end waits for that
 * even when nothing is in memory: what is pending is safe, but a volume without it is an old state. RapiLog restarted (kept.h)
 * takes from the dump area what its memory says is there; before a first life has read it, that is all that is pending.
 *
 * ERRORS. An epoch that the dump area refuses is written there again; one that the disk refuses in place, too. Until that
 * succeeds nothing is sealed after it, so one sector that stays bad stops the domain: that is what order costs. Writes are
 * acknowledged when they are dumped as long as the dump area works. A superblock that is refused goes to the other copy the next
 * time. While nothing gets on for such a reason, what waits is answered with an error after a while (ENGINE_PATIENCE_NS), but nothing
 * is answered while the mains are lost.
 *
 *     ABSENT
 *     AWAITED -> READING -> LOADING_LIST <-> LOADING_DATA -> IDLE, or REFUSED
 *     IDLE -> WRITING -> FLUSHING -> DUMPED -> IDLE          WRITING, FLUSHING -> RETRYING -> WRITING
 *     WRITING, FLUSHING -> IDLE, when an emergency goes on in place
 *     IDLE -> SUPER_WRITING -> SUPER_FLUSHING -> IDLE
 *
 * Callers: the engine's parts. Slots and descriptors lie in the engine's memory, which the disk reads by DMA; what was read from
 * the disk is copied before it is checked.
 */
#ifndef RAPILOG_JOURNAL_H
#define RAPILOG_JOURNAL_H

#include "dump.h"

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_RETRY_NS UINT64_C(10000000) /* after an error; what fails again waits longer */

struct engine;
struct engine_volume;

enum journal_stage {
    JOURNAL_ABSENT,
    JOURNAL_AWAITED, /* until all disks have been measured */
    JOURNAL_READING, /* superblocks, first descriptors */
    JOURNAL_LOADING_LIST,
    JOURNAL_LOADING_DATA,
    JOURNAL_REFUSED, /* the dump area cannot be used; no volume is served */
    JOURNAL_IDLE,
    JOURNAL_WRITING,
    JOURNAL_FLUSHING,
    JOURNAL_RETRYING,
    JOURNAL_DUMPED, /* complete; waits until the epoch before it is placed */
    JOURNAL_SUPER_WRITING,
    JOURNAL_SUPER_FLUSHING,
};

struct journal {
    enum journal_stage stage;
    uint64_t sectors; /* of the dump area */
    uint32_t capacity;
    uint64_t identity;
    uint64_t sequence;                   /* of the newest epoch */
    uint64_t placing;                    /* of the epoch that is on its way in place, 0: none */
    uint64_t placed;                     /* everything up to this number is in place */
    uint64_t told;                       /* the dump area itself says so up to this number */
    uint64_t super_placed, super_serial; /* what the newest superblock says */
    bool owned;                          /* it says that the area is of these volumes */
    bool super_due;
    bool emergency; /* held, mains lost: the way out is the dump area */
    bool abandoned; /* ... and they are back before or after it was complete */
    bool given_up;  /* ... and the dump area refuses it, or to be voided: the way out is in place */
    bool hopeless;  /* ... and refuses what would void it for as long as there may be power */
    bool gate;      /* held: nothing may be sealed before the dump area is voided */
    bool failing;

    uint32_t entries;   /* of the epoch that is written or loaded */
    uint32_t issued;    /* blocks of it */
    uint32_t in_flight; /* commands */
    bool failed;        /* one of them */
    bool unread;        /* ... when reading, which is repeated at retry_at */
    uint64_t since, retry_at, retry_after;
    uint64_t try_until; /* given up: when it is hopeless; 0: not known yet */

    uint64_t pending[2]; /* numbers of the epochs to load, the older first; */
    bool alone;          /* the newer first, and the older only when that is not complete */
    uint32_t pending_count, loading;
    uint64_t to_void; /* held: an epoch that is not needed */
    bool survived;    /* RapiLog was restarted: memory has what is not in the dump area up to */
    uint64_t dumped;  /* this epoch */
    uint32_t chunk;
    bool damaged;                /* an epoch before the one that is loaded was not complete */
    uint64_t recovered;          /* bytes */
    uint64_t telling;            /* `placed` in the descriptors of the epoch that is written */
    uint32_t sum;                /* of the last descriptor written */
    struct dump_descriptor list; /* a copy of what was read */
};

/* How many blocks of memory the journal needs for descriptors and superblocks. */
uint32_t journal_blocks(uint32_t slot_count);

/* All disks have been measured: reads the dump area. */
void journal_open(struct engine *engine);
void journal_step(struct engine *engine, uint64_t now);
void journal_command_done(struct engine *engine, bool ok);
void journal_mains(struct engine *engine);
void journal_mains_back(struct engine *engine);
uint64_t journal_deadline(const struct engine *engine);

/* Whether volumes drain through the dump area only. */
bool journal_orders(const struct engine *engine);
/* Whether what is on its way in place must get there as it is, before anything newer. */
bool journal_keeps_epochs(const struct engine *engine);
/* Whether what is on its way in place is an epoch of the dump area. */
bool journal_is_placing(const struct engine *engine);
bool journal_all_placed(const struct engine *engine);
/* Everything of the epoch that is placed is where it belongs, flushed; its slots are freed next. */
void journal_note_in_place(struct engine *engine);
/* Whether nothing may be written in place now. */
bool journal_stops_placing(const struct engine *engine);
/* Of the time to drain, what may be promised: without the part that placing may need. */
uint64_t journal_budget(const struct engine *engine);
/* A FLUSH has failed somewhere: what is on its way to the dump area is written again. */
void journal_cache_lost(struct engine *engine);
/* Whether no other epoch could be written now: nothing may be promised. */
bool journal_is_full(const struct engine *engine);
/* Work that may be in the disk's cache after placing, ns, for each volume. */
uint64_t journal_unflushed_limit(const struct engine *engine);
/* Mains lost: everything acknowledged is on stable storage. DRAINING: and in place, and the dump area says so. */
bool journal_finished(const struct engine *engine);
/* Mains lost, held: what the dump area holds of old may come back over that at the next start, since it could not be voided. */
bool journal_is_hopeless(const struct engine *engine);

/* ---- Between journal.c, dumping.c and replay.c ---- */

struct engine_volume *journal_disk(struct engine *engine);
struct dump_descriptor *journal_descriptor(const struct engine *engine, uint32_t chunk);
struct dump_super *journal_super(const struct engine *engine, uint32_t copy);
/* Reads or writes whole blocks of the dump area; memory: within the engine's. Counts in in_flight. */
void journal_send(struct engine *engine, uint32_t operation, uint64_t block, const void *memory,
                  uint32_t blocks);
/* The disk refuses to write to the dump area, and nothing gets on before it does: after a while, what waits is answered with an error. */
void journal_refused(struct engine *engine, uint64_t now);
/* It has written. */
void journal_accepted(struct engine *engine);
/* The list of the next epoch: all that is in the buffer (mode held), or what has just been sealed. `entries` was 0. */
void dumping_list_everything(struct engine *engine);
void dumping_list_domain(struct engine *engine);
/* What is on the list becomes the next epoch; it is WRITING from now on. */
void dumping_begin(struct engine *engine, uint64_t now);
/* The stages WRITING, FLUSHING and RETRYING; true when something has changed. */
bool dumping_step_writing(struct engine *engine, uint64_t now);
bool dumping_step_flushing(struct engine *engine, uint64_t now);
bool dumping_step_retrying(struct engine *engine, uint64_t now);
void replay_open(struct engine *engine);
/* The stages of the start; true when something has changed. */
bool replay_step(struct engine *engine, uint64_t now);

#endif
