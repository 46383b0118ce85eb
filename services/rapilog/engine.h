/*
 * RapiLog's engine: requests in, acknowledgements out, the drain between. All of the service but its transport.
 *
 * It is a state machine without clock or threads: the service (rapilog.c) feeds it requests, disk completions and
 * signals, then calls engine_step(), which does everything that can be done and tells when it wants to be
 * called again at the latest. What it wants from the world it asks through the engine_port functions below, which
 * the service implements on block links, and the tests on a simulated disk. Hence every interleaving can be replayed.
 *
 * WHEN A WRITE IS ACKNOWLEDGED. Every write goes into the buffer (buffer.h) and drains from there. A volume is
 *
 *     holding    acknowledged as soon as all its bytes are in the buffer ("promised")
 *     through    acknowledged when no byte of it is in the buffer any more, so when a FLUSH has covered it
 *
 * Holding needs: a hold-up time in which the bound (rate.h) allows at least one block, no disk error on the
 * volume, and that nobody asked to drain. The two differ in nothing else, and a volume changes between them at any
 * time. A write that does not fit waits at the head of its volume's queue, taken as far as there is space, and is never
 * refused for that. A FLUSH is complete when everything acknowledged is safe: at once while holding, and
 * otherwise when nothing promised is left in the buffer.
 *
 * READS. Sector by sector: what the buffer holds is copied from it, what it does not hold is read from the disk straight
 * into the client's memory. Each piece is decided at the instant it is issued, and a sector that is not in the buffer
 * then is on the disk in its newest acknowledged version; a write that arrives later runs concurrently with the
 * read, so either version is a right answer. So no piece needs to be patched afterwards.
 *
 * DISK ERRORS. What was promised stays and is retried, 10 ms to 5 s apart; the volume is *failing* until everything is on the
 * disk and acknowledges only what is. Writes that wait for a refused piece are answered with an error.
 *
 * ORDERED DOMAINS AND THE DUMP AREA are journal.h's.
 *
 * LOSS OF MAINS. From engine_mains() on no request is taken or answered; what is promised is drained and
 * flushed, and engine_port_drained() called. The rest stays where it is: when the mains come back (engine_mains_back()),
 * during the drain or after it, everything goes on as if nothing had happened.
 */
#ifndef RAPILOG_ENGINE_H
#define RAPILOG_ENGINE_H

#include "buffer.h"
#include "journal.h"
#include "kept.h"
#include "measure.h"
#include "rate.h"

#include <quoll/block.h>
#include <quoll/config.h>

#define ENGINE_NONE UINT16_MAX
#define ENGINE_REQUESTS BLOCK_RING_ENTRIES
#define ENGINE_COMMANDS BLOCK_RING_ENTRIES
#define ENGINE_RUNS 16u /* writes of the drain in flight, per volume */
#define ENGINE_NEVER UINT64_MAX
#define ENGINE_PATIENCE_NS                                                                         \
    UINT64_C(                                                                                      \
        100000000) /* what waits for a disk that refuses has to wait longer before it is answered with an error */

/* A client's request; in exactly one queue of its volume at a time, or (a read whose pieces are all issued) in none. */
struct engine_request {
    struct block_request asked;
    uint8_t *data;   /* the client's memory */
    uint64_t number; /* of a write, in the buffer */
    uint32_t done;   /* sectors: read or issued; written to the buffer */
    uint32_t pieces; /* of a read, at the disk */
    enum block_status status;
    bool promised; /* a write: all of it so far */
    bool begun, waited;
    uint16_t next;
};

struct engine_queue {
    uint16_t first, last;
};

enum engine_command_kind {
    ENGINE_COMMAND_FREE,
    ENGINE_COMMAND_READ,
    ENGINE_COMMAND_RUN,
    ENGINE_COMMAND_FLUSH,
    ENGINE_COMMAND_FINAL_FLUSH,
    ENGINE_COMMAND_MEASURE,
    ENGINE_COMMAND_PORTION_FLUSH,
    ENGINE_COMMAND_JOURNAL,
};

struct engine_command { /* in flight at the disk */
    enum engine_command_kind kind;
    uint16_t request; /* READ */
    uint16_t next;    /* FREE */
    struct buffer_run run;
};

/* MEASURED: waits for the others, and until the journal has been opened. */
enum engine_volume_state { VOLUME_ABSENT, VOLUME_MEASURING, VOLUME_MEASURED, VOLUME_SERVING };
enum engine_final {
    FINAL_NONE,
    FINAL_SENT,
    FINAL_DONE,
    FINAL_STALE /* sent for a drain that was called off, not answered yet */
};

struct engine_volume {
    enum engine_volume_state state;
    char name[32];
    uint64_t sectors;
    uint32_t max_sectors;
    bool read_only;
    struct rate rate;
    bool measurable;      /* it was measured at the start, or there was no time to */
    bool measured_twice;  /* ..., as the first time had errors */
    bool remeasuring;     /* it is measured while it serves (remeasure.c) */
    uint64_t measured_at; /* ns */

    struct engine_queue unused;  /* free requests */
    struct engine_queue writes;  /* not yet taken as a whole; in order */
    struct engine_queue waiting; /* writes and flushes that wait for the disk */
    struct engine_queue reads;   /* with pieces to issue */
    uint32_t taken;              /* requests in use */

    uint16_t unused_command;
    uint32_t commands, runs; /* in flight */

    uint64_t unflushed_ns;   /* work that placing has left in the disk's cache, about */
    bool portion;            /* the FLUSH that keeps it small is on its way */
    bool flush_due;          /* the FLUSH of the flushing epoch is to be sent */
    enum engine_final final; /* the FLUSH that ends a drain */
    bool flush_counts;       /* the FLUSH in flight was begun after the drain was asked for */
    uint64_t writing_since;  /* first run of the writing epoch */
    uint64_t flushing_since; /* the same of the flushing epoch */
    bool writing_overlaps;   /* the disk has taken a part of it while it flushed the epoch before */
    bool flushing_overlaps;  /* the same of the flushing epoch */
    uint64_t last_flush;     /* when the last FLUSH was answered */

    bool failing;
    uint64_t retry_at, retry_after, complain_at;
    uint64_t refused_sector;
    uint32_t refused_blocks;

    /* Large, so last: what is before them is reached with one instruction. */
    struct measure measure;
    struct engine_request request[ENGINE_REQUESTS];
    struct engine_command command[ENGINE_COMMANDS];
};

enum engine_phase { ENGINE_RUNNING, ENGINE_DRAINING, ENGINE_MAINS };

struct engine_setup {
    uint32_t volume_count;
    uint32_t buffer_number; /* for the disk: of the memory that holds slot data and scratch */
    uint64_t slots_offset;  /* of the slots' data in that buffer */
    uint64_t scratch_offset;
    uint32_t scratch_sectors; /* at least 64 */
    uint64_t dirty_limit;     /* bytes, 0: none */
    struct rate_limits limits;
    bool unsafe_no_drain;
    bool strict_order;        /* an epoch is flushed before the next one is written */
    struct kept_header *kept; /* beside the slots */
    bool survives_reset;      /* the slots' memory may outlive a reset of the machine */
    bool has_dump;            /* volume number volume_count is the dump area */
    bool ordered;             /* all volumes drain through it as one domain */
    uint8_t *journal_memory;  /* journal_blocks() blocks, which the disk finds in the buffer at */
    uint64_t journal_offset;
    uint32_t *journal_order; /* one for each slot */
    struct rapilog_gauges *gauges;
    uint64_t report_ns; /* between two lines of report.c, 0: none */
};

struct engine_report { /* the last one */
    uint64_t at, next; /* ns */
    uint64_t writes, bytes, drained;
};

struct engine {
    struct engine_setup setup;
    struct buffer buffer;
    enum engine_phase phase;
    bool drained;     /* told */
    struct rate rate; /* the worst of the volumes */
    enum rapilog_reason reason;
    uint64_t budget;      /* ns, for what is promised */
    uint64_t full_budget; /* ns, with the part that placing may leave in the disk's cache */
    uint64_t told_bound;  /* bytes */
    bool news;            /* since the last step something other than a client has come */
    uint64_t idle_until;  /* when remeasure_step() has something to do by itself */
    uint64_t told_gauges; /* when they were published */
    bool bounded;         /* there is a bound, of whatever size */
    bool closed;          /* an ordered domain that cannot promise anything now */
    struct rapilog_gauges gauges;
    struct engine_report report;
    struct journal journal;
    struct engine_volume volume[BUFFER_MAX_VOLUMES + 1]; /* behind the last: the dump area */
};

/* ---- For the service ---- */

/* The buffer's memory as in buffer_init(). All volumes are ABSENT. */
void engine_init(struct engine *engine, const struct engine_setup *setup, struct buffer_slot *slots,
                 uint32_t slot_count, uint32_t *buckets, uint32_t bucket_count, uint8_t *data);
/* After engine_init(), once: what an earlier life has left in the buffer's memory (kept.h) is drained. */
void engine_restore(struct engine *engine, enum kept_past past);
/* The volume's disk can be used; it is measured first. */
void engine_disk_ready(struct engine *engine, uint32_t volume, const char *name, uint64_t sectors,
                       uint32_t max_sectors, bool read_only, uint64_t now);
/* One of the disks cannot be used and never will be. With a dump area that means that none is, and nothing waits for it. */
void engine_disk_unusable(struct engine *engine);
bool engine_can_take(const struct engine *engine, uint32_t volume);
/* A checked request of a serving volume; data: where the client's bytes are. Only when engine_can_take(). */
void engine_take(struct engine *engine, uint32_t volume, const struct block_request *request,
                 uint8_t *data);
/* Writes that wait for room are answered with an error: their client does not keep the bytes any longer. */
void engine_refuse_waiting(struct engine *engine, uint32_t volume);
void engine_disk_done(struct engine *engine, uint32_t volume, uint64_t id, enum block_status status,
                      uint64_t now);
/* The disk will answer nothing any more: everything in flight at it has failed. True when there was something. */
bool engine_disk_gone(struct engine *engine, uint32_t volume, uint64_t now);
void engine_mains(struct engine *engine);
/* The mains are back. Nothing to do when they were not lost. */
void engine_mains_back(struct engine *engine);
void engine_drain(struct engine *engine);
/* Returns when to be called again at the latest, ns, or ENGINE_NEVER. */
uint64_t engine_step(struct engine *engine, uint64_t now);

/* After the answers: a part of what can wait. True: there is more of it. */
bool engine_rest(struct engine *engine);

/* ---- Implemented by the service, or by a test ---- */

bool engine_port_submit(uint32_t volume, const struct block_request *request); /* false: no room */
void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status);
void engine_port_serving(uint32_t volume);                     /* the volume has been measured */
void engine_port_refused(uint32_t volume, const char *reason); /* it will not be served */
void engine_port_drained(void);

/* ---- Between the engine's files ---- */

/* engine.c */
uint32_t engine_volume_number(const struct engine *engine, const struct engine_volume *volume);
/* How many there are: volumes, and the dump area. */
static inline uint32_t engine_disks(const struct engine *engine)
{
    return engine->setup.volume_count + (engine->setup.has_dump ? 1 : 0);
}
/* Sends a command; false when the disk has no room. `like` tells kind, request and run. */
bool engine_send(struct engine *engine, struct engine_volume *volume,
                 const struct engine_command *like, struct block_request *request);
/* Issues what the measurement of the volume wants next. */
void engine_measure(struct engine *engine, struct engine_volume *volume, uint64_t now);
/* A FLUSH has failed: the disk may have dropped what any volume had in its cache. */
void engine_cache_lost(struct engine *engine);

/* requests.c: the clients' requests */
bool engine_holding(const struct engine *engine, const struct engine_volume *volume);
void requests_init(struct engine_volume *volume);
void requests_step(struct engine *engine, struct engine_volume *volume);
void requests_read_done(struct engine *engine, struct engine_volume *volume, uint16_t number,
                        enum block_status status);
/* A slot did not get to the disk; writes that wait for it will be answered with an error. */
void requests_refused(struct engine_volume *volume, const struct buffer_fate *fate);
/* An epoch has ended. Answers what waited for it. */
void requests_settle(struct engine *engine, struct engine_volume *volume, bool failed);
/* The dump area takes nothing, or an epoch does not get in place: answers with an error what waits for that. */
void requests_fail_waiting(struct engine *engine, struct engine_volume *volume);

/* drain.c: epochs to the volumes */
void drain_step(struct engine *engine, struct engine_volume *volume, uint64_t now);
void drain_run_done(struct engine *engine, const struct buffer_run *run, bool ok);
void drain_flush_done(struct engine *engine, struct engine_volume *volume, bool ok, uint64_t now);
void drain_portion_done(struct engine *engine, struct engine_volume *volume, bool ok);
void drain_final_done(struct engine *engine, struct engine_volume *volume, bool ok);
/* When drain_step() has something to do by itself. */
uint64_t drain_deadline(const struct engine *engine, const struct engine_volume *volume);

/* measuring.c: how a volume starts */
void measuring_step(struct engine *engine, uint64_t now);
/* The volume can be used from now on. */
void engine_serve(struct engine *engine, uint32_t number);
/* A first measurement that the disk answered with an error begins once more, but once only: a FLUSH that fails may only tell of a loss
 * that was before (quoll/block.h). */
bool measuring_again(struct engine_volume *volume, uint64_t now);
/* What the first measurement that had the time has found, if there was one. */
void measuring_end(struct engine *engine, struct engine_volume *volume);
/* remeasure.c: measures volumes that are idle; returns when it has something to do by itself. */
uint64_t remeasure_step(struct engine *engine, uint64_t now);
/* The volume's first measurement is still to be made, and is the next: nothing may be sealed before. */
bool remeasure_awaits(const struct engine *engine, const struct engine_volume *volume);

/* promise.c: what may be promised. Sets the bound anew, from the volumes' rates of now. */
void promise_rebound(struct engine *engine);
/* How many bytes may be promised when a slot takes so long. */
uint64_t promise_bytes(const struct engine *engine, uint64_t slot_ns);
/* Whether something in an ordered domain keeps all of it from promising. */
bool promise_is_closed(const struct engine *engine);

/* gauges.c: publishes the gauges, when there is news or it is time; returns when it will be again. */
uint64_t gauges_step(struct engine *engine, bool news, uint64_t now);
/* report.c: says in the log what the gauges say, when it is time; returns when it will be again. */
uint64_t report_step(struct engine *engine, uint64_t now);

#endif
