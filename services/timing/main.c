/*
 * The timing service: makes the disk below it as slow as a named one, for measurements. A description inserts it with
 * `timing:` of a disk. Requests pass through it unchanged and at once; their completions wait until the named disk would have
 * been done (pace.h), times the dilation, by the machine's own clock.
 *
 * Its use over a slow disk outside the machine: QEMU's -icount makes the machine's clock count instructions, so a disk
 * whose delays follow that clock makes whole measurements independent of the host's speed and load. With "sleep=off" that clock jumps
 * to the next timer whenever all CPUs are idle, so no delay costs real time; but the disk outside works in real time,
 * and an idle machine would jump arbitrarily far while it does. So as long as a request is under way there is a timer: at the
 * time when it is due, and from then on every LATE_NS.
 */
#include "pace.h"

#include <quoll/block_io.h>
#include <quoll/quoll.h>
#include <string.h>

#define NONE UINT64_MAX
#define LATE_NS 20000 /* how soon one looks again for an answer that is late */

struct passage {
    uint64_t id;  /* the client's */
    uint64_t due; /* ticks */
    enum block_status status;
    bool in_use, answered;
};

static struct {
    struct timing_config config;
    struct block_server client;
    struct block_client disk;
    struct pace pace;
    struct passage passage[BLOCK_RING_ENTRIES];
    uint32_t under_way; /* passages in use */
    bool gone;
} timing;

/* ---- Time ---- */

static uint64_t model_now(void)
{
    return quoll_ns_from_ticks(quoll_now()) * 10 / timing.config.dilation_tenths;
}

static uint64_t ticks_of(uint64_t model_time)
{
    return quoll_ticks_from_ns(model_time * timing.config.dilation_tenths / 10) + 1;
}

static uint64_t due(const struct block_request *request)
{
    uint64_t now = model_now();
    switch (request->operation) {
    case BLOCK_WRITE:
        return ticks_of(pace_write(&timing.pace, now, request->sector * BLOCK_SECTOR,
                                   (uint64_t)request->count * BLOCK_SECTOR,
                                   (request->flags & BLOCK_FUA) != 0));
    case BLOCK_FLUSH:
        return ticks_of(pace_flush(&timing.pace, now));
    default:
        return timing.config.timed_reads == 0
                   ? 0
                   : ticks_of(pace_read(&timing.pace, now, request->sector * BLOCK_SECTOR,
                                        (uint64_t)request->count * BLOCK_SECTOR));
    }
}

/* ---- Passing on ---- */

static void end_passage(struct passage *passage)
{
    block_server_complete(&timing.client, passage->id, passage->status);
    passage->in_use = false;
    timing.under_way--;
}

static void answered(uint64_t number, enum block_status status)
{
    if (number >= BLOCK_RING_ENTRIES)
        return;
    struct passage *passage = &timing.passage[number];
    if (!passage->in_use || passage->answered)
        return;
    passage->answered = true;
    passage->status = status;
    /* An error goes at once: a good FLUSH that the disk has answered later must not overtake a bad one. */
    if (status != BLOCK_OK)
        end_passage(passage);
}

static void pass_on(struct block_request request)
{
    uint64_t number = 0;
    while (timing.passage[number].in_use)
        number++;
    timing.passage[number] =
        (struct passage){.id = request.id, .due = due(&request), .in_use = true};
    timing.under_way++;
    request.id = number;
    if (!block_client_submit(&timing.disk, &request))
        answered(number, BLOCK_IO_ERROR);
}

static bool may_take(void)
{
    return timing.under_way < BLOCK_RING_ENTRIES && timing.disk.in_flight < BLOCK_RING_ENTRIES;
}

static void lose_disk(void)
{
    timing.gone = true;
    for (uint32_t i = 0; i < BLOCK_RING_ENTRIES; i++)
        answered(i, BLOCK_GONE);
    block_server_failed(&timing.client, timing.disk.reason);
}

/* Completes what is due. Returns when to look again, ticks, or NONE. */
static uint64_t complete_due(void)
{
    uint64_t now = quoll_now(), next = NONE;
    uint64_t soon = now + quoll_ticks_from_ns(LATE_NS);
    for (uint32_t i = 0, left = timing.under_way; left > 0; i++) {
        struct passage *passage = &timing.passage[i];
        if (!passage->in_use)
            continue;
        left--;
        if (passage->answered && passage->due <= now) {
            end_passage(passage);
            continue;
        }
        uint64_t look = passage->due > now ? passage->due : soon;
        if (look < next)
            next = look;
    }
    return next;
}

static uint64_t work(void)
{
    struct block_request request;
    struct block_completion completion;
    bool failed = block_client_state(&timing.disk) == BLOCK_LINK_FAILED;
    while (block_client_take(&timing.disk, &completion))
        answered(completion.id, (enum block_status)completion.status);
    if (failed && !timing.gone)
        lose_disk();
    while (may_take() && block_server_take(&timing.client, &request))
        pass_on(request);
    block_client_publish(&timing.disk);
    uint64_t next = complete_due();
    block_server_publish(&timing.client);
    return next;
}

static void wait(uint64_t next)
{
    bool quiet = !may_take() || block_server_sleep(&timing.client);
    quiet = block_client_sleep(&timing.disk) && quiet;
    (void)quoll_timer_set(quiet ? next : 0);
    (void)quoll_wait();
    block_server_awake(&timing.client);
    block_client_awake(&timing.disk);
}

/* ---- Start ---- */

static const char *objection(const struct disk_kind *kind)
{
    if (kind == NULL)
        return "the timing service knows no disk of that name";
    if (timing.config.dilation_tenths == 0)
        return "the timing service cannot dilate time by 0";
    if (timing.disk.geometry.sectors > PACE_LARGEST_DISK / BLOCK_SECTOR)
        return "the timing service knows disks up to 16 GiB";
    return NULL;
}

static void start(void)
{
    uint64_t signals = 0;
    memcpy(&timing.config, quoll_memory("config", sizeof(timing.config)), sizeof(timing.config));
    timing.config.like[sizeof(timing.config.like) - 1] = '\0';
    const struct disk_kind *kind = latency_kind(timing.config.like);
    block_server_find(&timing.client, 0, NULL, timing.config.allowed_buffers);
    block_client_find(&timing.disk, 0);
    bool ready = block_client_wait(&timing.disk, &signals) == BLOCK_LINK_READY;
    const char *reason = ready ? objection(kind) : timing.disk.reason;
    timing.gone = reason != NULL;
    if (timing.gone) {
        block_server_failed(&timing.client, reason);
        return;
    }
    pace_start(&timing.pace, kind, quoll_memory("blocks", PACE_BITMAP_BYTES));
    struct block_geometry geometry = timing.disk.geometry;
    geometry.abilities &= ~(uint32_t)BLOCK_VOLATILE_CACHE;
    geometry.abilities |= kind->volatile_cache ? BLOCK_VOLATILE_CACHE : 0u;
    quoll_log("\"%s\" is as slow as: %s; times %u.%u", geometry.name, kind->description,
              timing.config.dilation_tenths / 10, timing.config.dilation_tenths % 10);
    block_server_ready(&timing.client, &geometry);
}

void component_main(void)
{
    start();
    for (;;)
        wait(work());
}
