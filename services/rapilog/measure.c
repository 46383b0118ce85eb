/* The start-up measurement; see measure.h. */
#include "measure.h"

#include "buffer.h"

#define ENOUGH_NS                                                                                  \
    UINT64_C(1000000000) /* no new probe after that, once the necessary ones are there */
#define NECESSARY_PROBES 2u

enum probe_kind { PROBE_BLOCK, PROBE_LONG, PROBE_SCATTERED };

static const struct probe {
    enum probe_kind kind;
    uint32_t pieces;
    uint32_t place; /* in 1/16 of the volume; for a long piece 16 is its last possible place */
} probes[] = {
    {PROBE_BLOCK, 1, 5},     {PROBE_LONG, 1, 16}, {PROBE_BLOCK, 1, 11},
    {PROBE_SCATTERED, 8, 0}, {PROBE_LONG, 1, 0},
};
#define PROBES (sizeof(probes) / sizeof(probes[0]))

static uint32_t piece_sectors(const struct measure *measure)
{
    return probes[measure->probe].kind == PROBE_LONG ? measure->long_sectors : BUFFER_BLOCK_SECTORS;
}

/* Where piece `number` of the probe lies, a multiple of the block. Scattered pieces go back and forth. */
static uint64_t piece_place(const struct measure *measure, uint32_t number)
{
    const struct probe *probe = &probes[measure->probe];
    uint64_t room = measure->sectors - piece_sectors(measure);
    uint32_t place = probe->kind == PROBE_SCATTERED ? number * 5 % 8 * 2 + 1 : probe->place;
    uint64_t sector = room / 16 * place;
    return sector - sector % BUFFER_BLOCK_SECTORS;
}

bool measure_begin(struct measure *measure, uint64_t sectors, uint32_t max_sectors, uint64_t now)
{
    *measure = (struct measure){.sectors = sectors, .begun = now};
    measure->phase = MEASURE_FINISHED;
    measure->failed = true;
    uint32_t most = max_sectors < MEASURE_MOST_SECTORS ? max_sectors : MEASURE_MOST_SECTORS;
    most = most - most % BUFFER_BLOCK_SECTORS;
    if (sectors < MEASURE_LEAST_SECTORS || most == 0)
        return false;
    while (most > sectors / 4)
        most = most / 2 - most / 2 % BUFFER_BLOCK_SECTORS;
    measure->long_sectors = most;
    measure->phase = MEASURE_READ;
    measure->failed = false;
    return true;
}

bool measure_again(struct measure *measure, uint64_t now)
{
    if (measure->long_sectors == 0)
        return false;
    *measure = (struct measure){
        .sectors = measure->sectors,
        .long_sectors = measure->long_sectors,
        .phase = MEASURE_READ,
        .begun = now,
    };
    return true;
}

void measure_stop(struct measure *measure)
{
    measure->stopped = true;
    measure->failed = true;
    if (measure->issued == measure->answered)
        measure->phase = MEASURE_FINISHED;
}

static uint32_t phase_commands(const struct measure *measure)
{
    if (measure->stopped)
        return measure->issued;
    return measure->phase == MEASURE_FLUSH ? 1 : probes[measure->probe].pieces;
}

bool measure_next(struct measure *measure, uint64_t now, struct measure_command *command)
{
    if (measure->phase == MEASURE_FINISHED || measure->issued == phase_commands(measure))
        return false;
    uint32_t number = measure->issued++;
    if (measure->phase == MEASURE_FLUSH) {
        *command = (struct measure_command){.operation = BLOCK_FLUSH};
        return true;
    }
    if (measure->phase == MEASURE_WRITE && number == 0)
        measure->probe_begun = now;
    *command = (struct measure_command){
        .operation = measure->phase == MEASURE_READ ? BLOCK_READ : BLOCK_WRITE,
        .sector = piece_place(measure, number),
        .count = piece_sectors(measure),
        .offset = number * BUFFER_BLOCK,
    };
    return true;
}

static void note_block(struct rate_sample *sample, uint64_t ns)
{
    if (sample->flush_least == 0 || ns < sample->flush_least)
        sample->flush_least = ns;
    if (ns > sample->flush_most)
        sample->flush_most = ns;
}

static void note_probe(struct measure *measure, uint64_t ns)
{
    struct rate_sample *sample = &measure->sample;
    switch (probes[measure->probe].kind) {
    case PROBE_BLOCK:
        note_block(sample, ns);
        break;
    case PROBE_LONG:
        if (ns > sample->long_ns)
            sample->long_ns = ns;
        sample->long_slots = measure->long_sectors / BUFFER_BLOCK_SECTORS;
        break;
    case PROBE_SCATTERED:
        sample->scattered_ns = ns;
        sample->scattered_slots = probes[measure->probe].pieces;
        break;
    }
}

static void next_probe(struct measure *measure, uint64_t now)
{
    note_probe(measure, now - measure->probe_begun);
    measure->probe++;
    bool enough = measure->probe >= NECESSARY_PROBES && now - measure->begun > ENOUGH_NS;
    measure->phase = measure->probe == PROBES || enough ? MEASURE_FINISHED : MEASURE_READ;
}

void measure_done(struct measure *measure, bool ok, uint64_t now)
{
    measure->failed = measure->failed || !ok;
    measure->answered++;
    if (measure->answered < phase_commands(measure))
        return;
    measure->issued = 0;
    measure->answered = 0;
    if (measure->failed)
        measure->phase = MEASURE_FINISHED;
    else if (measure->phase == MEASURE_FLUSH)
        next_probe(measure, now);
    else
        measure->phase = measure->phase == MEASURE_READ ? MEASURE_WRITE : MEASURE_FLUSH;
}

bool measure_finished(const struct measure *measure)
{
    return measure->phase == MEASURE_FINISHED;
}

bool measure_is_under_way(const struct measure *measure)
{
    bool begun = measure->probe > 0 || measure->phase != MEASURE_READ || measure->issued > 0;
    return begun && !measure_finished(measure);
}

bool measure_result(const struct measure *measure, struct rate *rate)
{
    *rate = (struct rate){0};
    if (!measure_finished(measure) || measure->failed)
        return false;
    rate_begin(rate, &measure->sample);
    return true;
}
