/*
 * Measures a volume: writes back what it has just read, and times it.
 *
 * Why this cannot hurt the data. At the start no client has been admitted yet, and later (remeasure.c) nothing is drained
 * meanwhile, so what is on the volume cannot change between the read and the write; and from the first read to the last answer the
 * scratch memory is this measurement's alone. Pieces are whole, aligned 4 KiB blocks, so no disk has to read, modify and write. Bytes
 * and place are those that were read: whichever subset of the sectors of such a write is on the disk after a power
 * failure, the content is the same. (A disk that damages the sector which it is writing when the power fails is outside
 * what NVMe and ATA promise for one logical block, and would damage any other write as well.) A piece that could
 * not be read is not written.
 *
 * Each probe reads its pieces, then writes them all and flushes; the time from the first write to the end of the flush
 * counts. The probes: one block (the fixed cost of an epoch), twice; one long piece at the volume's end and
 * at its start (zones differ); eight scattered blocks. On a slow disk the later ones are left out.
 *
 * Pure but for the caller: measure_next() tells the next command, measure_done() takes its result.
 */
#ifndef RAPILOG_MEASURE_H
#define RAPILOG_MEASURE_H

#include "rate.h"

#include <quoll/block.h>

#define MEASURE_MOST_SECTORS 2048u /* scratch memory: one piece of that size */
#define MEASURE_LEAST_SECTORS 512u /* a smaller volume is not measured */

enum measure_phase { MEASURE_READ, MEASURE_WRITE, MEASURE_FLUSH, MEASURE_FINISHED };

struct measure {
    uint64_t sectors;      /* of the volume */
    uint32_t long_sectors; /* of the long pieces */
    enum measure_phase phase;
    uint32_t probe;
    uint32_t issued, answered; /* commands of this phase */
    bool failed;
    bool stopped;                /* no further command is issued */
    uint64_t begun, probe_begun; /* ns */
    struct rate_sample sample;
};

struct measure_command {
    enum block_operation operation;
    uint64_t sector;
    uint32_t count;
    uint32_t offset; /* bytes into the scratch memory */
};

/* max_sectors: the disk's and the scratch memory's limit. False: the volume is too small. */
bool measure_begin(struct measure *measure, uint64_t sectors, uint32_t max_sectors, uint64_t now);
/* The same volume once more, later; false: it is too small. */
bool measure_again(struct measure *measure, uint64_t now);
/* There is no time for it any more: finished, without a result, when what is in flight has been answered. */
void measure_stop(struct measure *measure);
/* False: nothing to issue until a command is answered, or finished. */
bool measure_next(struct measure *measure, uint64_t now, struct measure_command *command);
void measure_done(struct measure *measure, bool ok, uint64_t now);
bool measure_finished(const struct measure *measure);
/* Begun and not finished: what was read lies in the scratch memory and may still be written back. */
bool measure_is_under_way(const struct measure *measure);
/* The result; false when the disk refused something. */
bool measure_result(const struct measure *measure, struct rate *rate);

#endif
