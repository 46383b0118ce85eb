/*
 * The slots of RapiLog's buffer (buffer.h), for buffer.c and epochs.c: where they hang, and how they come and go.
 *
 * A slot in use is in the hash chain of its block, newest first, and in exactly one list: of open, failed, writing or
 * flushing ones. Heads, promised slots and slots in use are counted here and nowhere else.
 */
#ifndef RAPILOG_SLOTS_H
#define RAPILOG_SLOTS_H

#include "buffer.h"

static const struct buffer_list slots_none = {BUFFER_NONE, BUFFER_NONE};

void slots_append(struct buffer *buffer, struct buffer_list *list, uint32_t index);
/* The first of a list that is not empty, taken out. */
uint32_t slots_take(struct buffer *buffer, struct buffer_list *list);

/* The block's newest slot, the next older one of the same block, the block's DIRTY one (by invariant 1 the newest);
 * BUFFER_NONE: there is none. */
uint32_t slots_newest(const struct buffer *buffer, uint32_t volume, uint64_t block);
uint32_t slots_next_older(const struct buffer *buffer, uint32_t index);
uint32_t slots_dirty(const struct buffer *buffer, uint32_t volume, uint64_t block);
/* Makes it the newest of its block. */
void slots_to_front(struct buffer *buffer, uint32_t index);
/* Puts a slot that is in no chain into its block's, as the newest. */
void slots_chain(struct buffer *buffer, uint32_t index);
uint8_t *slots_data(const struct buffer *buffer, uint32_t index, uint32_t sector);

/* A new DIRTY slot, not yet valid in any sector; `mask` will be. BUFFER_NONE when there is none or the bound forbids it. */
uint32_t slots_open(struct buffer *buffer, uint32_t number, uint64_t block, uint8_t mask,
                    bool promise);
/* The same for what comes from the dump area: whatever the bound says, and in no list yet. */
uint32_t slots_load(struct buffer *buffer, uint32_t number, uint64_t block);
/* Frees a slot that is in no list any more. */
void slots_release(struct buffer *buffer, uint32_t index);
void slots_set_head(struct buffer *buffer, struct buffer_slot *slot, bool head);
void slots_set_promised(struct buffer *buffer, struct buffer_slot *slot, uint8_t promised);

#endif
