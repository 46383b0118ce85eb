/* Restarting the parts of the system; see parts.h. */
#include "parts.h"

#include <quoll/quoll.h>

#define SPARED_NS UINT64_C(100000000)
#define MINUTE_NS UINT64_C(60000000000)

static struct part parts[CONFIG_MAX_PARTS];
static uint32_t part_count;

uint32_t parts_count(void)
{
    return part_count;
}

struct part *part_number(uint32_t number)
{
    return &parts[number];
}

static void start(struct part *part, uint32_t number, const struct supervisor_config *config)
{
    char fault[QUOLL_NAME_SIZE];
    uint64_t now = quoll_now();
    quoll_format(fault, sizeof fault, "part%u.fault", number);
    *part = (struct part){
        .number = number,
        .thread_count = config->part[number].thread_count,
        .vm = config->part[number].vm,
        .drain = config->part[number].drain,
        .fault = quoll_receive(fault),
        .kills = config->part[number].kills,
        .kill_at = QUOLL_NEVER,
        .kill_every = quoll_ticks_from_ns(config->part[number].kill_every_ns),
    };
    quoll_format(part->name, sizeof part->name, "%.*s", QUOLL_NAME_SIZE - 1,
                 config->part[number].name);
    if (part->kills == 0)
        return;
    part->kill_at = now + quoll_ticks_from_ns(config->part[number].kill_after_ns);
    quoll_log("WARNING: %s will be killed %u times; this is for tests only", part->name,
              part->kills);
}

void parts_start(const struct supervisor_config *config)
{
    if (config->part_count > CONFIG_MAX_PARTS)
        quoll_fail("config names %u parts, at most %u are possible", config->part_count,
                   CONFIG_MAX_PARTS);
    part_count = config->part_count;
    for (uint32_t i = 0; i < part_count; i++)
        start(&parts[i], i, config);
}

static void restart(struct part *part)
{
    char name[QUOLL_NAME_SIZE];
    part->life++;
    for (uint32_t i = 0; i < part->thread_count; i++) {
        quoll_format(name, sizeof name, "part%u.thread%u", part->number, i);
        quoll_thread_restart(quoll_handle(name, QUOLL_OBJECT_THREAD), part->life);
    }
}

/* How many failures the last minute has seen, this one included; the ring's size stands for "too many". */
static uint32_t note_failure(struct part *part)
{
    uint64_t now = quoll_now(), minute = quoll_ticks_from_ns(MINUTE_NS);
    part->failed[part->failures++ % PARTS_MOST_RESTARTS] = now;
    uint32_t recent = 0;
    for (uint32_t i = 0; i < PARTS_MOST_RESTARTS && i < part->failures; i++)
        recent += now - part->failed[i] < minute;
    return recent;
}

bool part_failed(struct part *part)
{
    if (part->given_up)
        return false;
    uint32_t recent = note_failure(part);
    if (recent == PARTS_MOST_RESTARTS) {
        part->given_up = true;
        part->kill_at = QUOLL_NEVER;
        quoll_log("%s has failed %u times within a minute; it is not started any more", part->name,
                  recent);
        return false;
    }
    quoll_log("%s has failed and is restarted (%u within a minute)", part->name, recent);
    restart(part);
    return true;
}

bool part_killed(struct part *part)
{
    uint64_t now = quoll_now();
    if (now < part->kill_at)
        return false;
    part->kill_at = now + part->kill_every;
    if (++part->kills_done == part->kills)
        part->kill_at = QUOLL_NEVER;
    quoll_log("%s is killed and restarted, as the test wants (%u of %u)", part->name,
              part->kills_done, part->kills);
    restart(part);
    return true;
}

void part_spare(struct part *part)
{
    uint64_t now = quoll_now();
    if (now >= part->kill_at)
        part->kill_at = now + part->kill_every + quoll_ticks_from_ns(SPARED_NS);
}

uint64_t parts_next_kill(void)
{
    uint64_t next = QUOLL_NEVER;
    for (uint32_t i = 0; i < part_count; i++)
        if (parts[i].kill_at < next)
            next = parts[i].kill_at;
    return next;
}
