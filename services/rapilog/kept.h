/*
 * What of RapiLog's buffer outlives RapiLog: its own restart finds in the region "dirty" what was acknowledged before.
 *
 * Slot data and slot records lie in that region, which a restart leaves alone. Of a record only `block` and `kept` count
 * then. `kept` is one word that is stored at once, so it is either the old or the new one, whatever instant the end came at:
 *
 *     bits 0-7    promised sectors
 *     bits 8-11   volume
 *     bit  12     in the dump area, flushed there: not needed any more, the dump area has it
 *     bit  13     open (DIRTY); otherwise
 *     bits 16-23  number of the epoch that it was sealed in, modulo 256
 *     bits 32-63  checksum of the above, the block and the slot's number
 *
 * 0 is a slot with nothing promised. It is stored after the data that it speaks of. Bytes that nobody was promised are not
 * kept: the client still waits for an answer and asks again.
 *
 * Two slots of a block are put together, newer over older: epochs in the order of their numbers, of which only neighbours
 * exist at the same time, then the open one. Should RapiLog be restarted again in the middle of that, it does the same again.
 */
#ifndef RAPILOG_KEPT_H
#define RAPILOG_KEPT_H

#include "buffer.h"

struct kept_header { /* at the start of the region */
    uint64_t magic;
    uint64_t layout; /* whatever decides where in the region what is */
    uint64_t lives;
    uint64_t sum; /* of the above */
    uint64_t
        dumped; /* ordered domain: up to this epoch everything is in the dump area, flushed; with a checksum */
};

/* Whether the region is that of an earlier life with the same layout. The header is not touched. */
bool kept_header_sound(const struct kept_header *header, uint64_t layout);
/* The next life begins. Only when no slot has a `kept` that does not count. */
void kept_header_write(struct kept_header *header, uint64_t layout);

/* Until the dump area has been read: whatever is there is from before this memory's first life, which knows no number of it. */
#define KEPT_NOT_READ (UINT64_MAX >> 16)
/* Everything up to epoch `sequence` is in the dump area. Before the slots say so. */
void kept_note_dumped(struct kept_header *header, uint64_t sequence);
/* That number; UINT64_MAX when it does not pass its check. */
uint64_t kept_dumped(const struct kept_header *header);

/* The slot's `kept` anew, after a change. */
/*@ requires index < buffer->slot_count && \valid(buffer->slot + index) && \valid_read(buffer); // for Frama-C (tests/proof)
    assigns buffer->slot[index].kept; */
void kept_note(struct buffer *buffer, uint32_t index);

struct kept_account {
    uint32_t found, damaged; /* slots; damaged: not served */
};

/* After buffer_init(): takes hold of the slots that an earlier life has left, or when there was none (survived false) of none.
 * They are in nobody's way and not yet readable. What is in the dump area is left to that: slots that say so, and of an
 * ordered domain those sealed up to epoch `dumped`; without a dump area, has_dump is false. */
struct kept_account kept_find(struct buffer *buffer, uint32_t volumes, bool survived, bool has_dump,
                              bool ordered, uint64_t dumped);
/* What kept_find() has found becomes open slots, newer than everything that is in the buffer. Before any client is served. */
void kept_adopt(struct buffer *buffer);

#endif
