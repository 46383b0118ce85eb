/* What must hold in the ordered world; see ordered_world.h. */
#include "ordered_parts.h"

/* Up to 7 unflushed sectors, all subsets are tried. */
static const struct disk_cuts cuts = {.few = 7, .random = 24, .singles = true};

static bool covers(uint32_t number, uint32_t place)
{
    const struct world_write *write = &scenario->write[number];
    uint32_t first = place_of(write->volume, write->sector);
    return place >= first && place < first + write->count;
}

/* The newest version of a sector among the first `writes` writes, or among those of them that were acknowledged. */
static uint32_t version_after(uint32_t place, uint32_t writes, bool acknowledged)
{
    uint32_t version = 0;
    for (uint32_t i = 0; i < writes; i++)
        if (covers(i, place) && (!acknowledged || own.acknowledged[i]))
            version = i + 1;
    return version;
}

/* Of a write that was not answered when RapiLog was restarted, what had taken the place of promised sectors was kept and the rest
 * not: as of any write in flight, a part may be there, but only with everything that was acknowledged before it was made. */
static bool may_be_torn(uint32_t version, uint32_t writes)
{
    return own.torn[version - 1] && own.after[version - 1] <= writes;
}

/* All of the first `writes` writes and nothing later. A write that was answered with an error, or not yet, may be missing where
 * that can come about: with disk errors, or when it is acknowledged later than what came after it. */
static bool is_state_after(const uint8_t stamp[SECTORS], uint32_t writes)
{
    bool lenient = scenario->errors > 0 || scenario->through || scenario->returns > 0 ||
                   scenario->restarts > 0 || scenario->resets > 0;
    for (uint32_t place = 0; place < SECTORS; place++)
        if ((stamp[place] > version_after(place, writes, false) &&
             !may_be_torn(stamp[place], writes)) ||
            stamp[place] < version_after(place, writes, lenient))
            return false;
    return true;
}

static void check_lost(const uint8_t stamp[SECTORS])
{
    for (uint32_t place = 0; place < SECTORS; place++)
        if (stamp[place] < version_after(place, world.next, true))
            trouble("power off after \"drained\": sector %u has version %u, acknowledged was %u",
                    place, stamp[place], version_after(place, world.next, true));
}

/* After a clean end nobody needs the dump area to read the volumes. */
static void check_in_place(const uint32_t left[DISK_PLACES])
{
    for (uint32_t place = 0; place < SECTORS; place++) {
        uint64_t stamp = stamp_of_value(left[place]);
        if (stamp < version_after(place, world.next, true))
            trouble("power off after a clean end: sector %u has version %lu in place, acknowledged "
                    "was %u",
                    place, (unsigned long)stamp, version_after(place, world.next, true));
    }
}

static void check_cut(const uint32_t left[DISK_PLACES])
{
    world_cuts++;
    if (world.drained && scenario->drain)
        check_in_place(left);
    const uint8_t *stamp = ordered_recover(left);
    if (world.drained)
        check_lost(stamp);
    if (scenario->held)
        return;
    for (uint32_t writes = 0; writes <= world.next; writes++)
        if (is_state_after(stamp, writes))
            return;
    trouble("after a cut with %u writes the volumes hold no prefix of them", world.next);
}

static void check_reads(void)
{
    uint8_t stamp[SECTORS];
    if (engine.volume[0].state != VOLUME_SERVING)
        return;
    ordered_read_all(stamp);
    for (uint32_t place = 0; place < SECTORS; place++)
        if (stamp[place] < version_after(place, world.next, true))
            trouble("sector %u reads as version %u, acknowledged was %u", place, stamp[place],
                    version_after(place, world.next, true));
}

const char *world_check(void)
{
    check_reads();
    disk_cut(&world.disk, &cuts, check_cut);
    return world_trouble;
}

const char *world_check_end(void)
{
    parts_check_end();
    if (own.answered < world.next && (!world.ended || scenario->drain))
        trouble("a write was never answered");
    return world_trouble;
}
