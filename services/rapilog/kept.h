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
 * THE DATA. After a restart of RapiLog alone, memory is what it was. After a reset of the machine it is believed only as far as it
 * passes its checks, so where the buffer is to survive that, each slot has a CRC-32C of its 4 KiB, too (`sum`). It is taken away
 * before the data changes and made when there is nothing else to do, a little after the acknowledgement. What has no
 * checksum yet, or a wrong one, is not taken; of an ordered domain then nothing is, since a part would be no prefix: it is
 * as after a loss of power, what the dump area has.
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
    uint64_t sum;    /* of the above */
    /* Numbers of epochs, each with a checksum: */
    uint64_t dumped; /* everything up to this one is in the dump area, flushed */
    uint64_t placed; /* ... is in place, flushed, whether the dump area says so or not */
};

/* Whether the region is that of an earlier life with the same layout. The header is not touched. */
bool kept_header_sound(const struct kept_header *header, uint64_t layout);
/* What is there is going to be forgotten: a life that ends in the middle of that must not leave a part as the whole. */
void kept_header_void(struct kept_header *header);
/* From now on the region is that of an earlier life. Only when no slot has a `kept` that does not count. */
void kept_header_write(struct kept_header *header, uint64_t layout);

/* Until the dump area has been read: whatever is there is from before this memory's first life, which knows no number of it. */
#define KEPT_NOT_READ (UINT64_MAX >> 16)
/* Everything up to epoch `sequence` is in the dump area. Before the slots say so. */
void kept_note_dumped(struct kept_header *header, uint64_t sequence);
/* That number; UINT64_MAX when it does not pass its check. */
uint64_t kept_dumped(const struct kept_header *header);
/* Everything up to epoch `sequence` is in place. Before its slots are freed: then there may be no room to load it again. */
void kept_note_placed(struct kept_header *header, uint64_t sequence);
/* That number; 0 when it does not pass its check. */
uint64_t kept_placed(const struct kept_header *header);

/* The slot's `kept` anew, after a change. */
/*@ requires index < buffer->slot_count && \valid(buffer->slot + index) && \valid_read(buffer); // for Frama-C (tests/proof)
    assigns buffer->slot[index].kept; */
void kept_note(struct buffer *buffer, uint32_t index);

/* The data of the slot is going to change: it has no checksum until kept_make_sums() has made one. */
void kept_unsum(struct buffer *buffer, uint32_t index);
/* Makes so many of the checksums that are missing, at most; true: there are more. */
bool kept_make_sums(struct buffer *buffer, uint32_t most);

enum kept_past {
    KEPT_NOTHING,   /* the first life in this memory */
    KEPT_RESTARTED, /* RapiLog was; memory is what it was */
    KEPT_RESET,     /* the machine was */
};

struct kept_account {
    uint32_t found;
    uint32_t damaged;  /* records that do not pass their check; not served */
    uint32_t refused;  /* KEPT_RESET: slots whose data does not pass its check, not served; */
    uint32_t unsummed; /* of them, so many had no checksum yet */
};

struct kept_search {
    enum kept_past past;
    uint32_t volumes;
    bool has_dump;
    bool ordered;    /* what was sealed up to epoch */
    uint64_t dumped; /* this one is left to the dump area, as everything is that says so itself */
};

/* After buffer_init(): how many slots kept_find() would find, and how many not. */
struct kept_account kept_inspect(const struct buffer *buffer, const struct kept_search *search);
/* Takes hold of the slots that an earlier life has left, and forgets all others. They are in nobody's way and not yet readable. */
struct kept_account kept_find(struct buffer *buffer, const struct kept_search *search);
/* What kept_find() has found becomes open slots, newer than everything that is in the buffer. Before any client is served. */
void kept_adopt(struct buffer *buffer);

#endif
