/* RapiLog's buffer after its own restart; see kept.h. */
#include "kept.h"

#include "checksum.h"
#include "sectors.h"
#include "slots.h"

#include <string.h>

#define MAGIC 0x7470656b676c7071ULL /* "qplgkept" */

#define VOLUME_SHIFT 8u
#define DUMPED (UINT32_C(1) << 12)
#define OPEN (UINT32_C(1) << 13)
#define EPOCH_SHIFT 16u

static uint64_t mixed(uint64_t value)
{
    value = (value ^ value >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (value ^ value >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* ---- Header ---- */

static uint64_t sum_of(const struct kept_header *header)
{
    return mixed(header->magic ^ mixed(header->layout));
}

bool kept_header_sound(const struct kept_header *header, uint64_t layout)
{
    const struct kept_header copy = *header;
    return copy.magic == MAGIC && copy.sum == sum_of(&copy) && copy.layout == layout;
}

void kept_header_write(struct kept_header *header, uint64_t layout)
{
    if (kept_header_sound(header, layout))
        return; /* a life that ended between two stores would take all of it for nothing */
    header->magic = MAGIC;
    header->layout = layout;
    header->sum = sum_of(header);
}

void kept_header_void(struct kept_header *header)
{
    __atomic_store_n(&header->magic, 0, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void note_sequence(uint64_t *word, uint64_t sequence)
{
    __atomic_store_n(word, sequence << 16 | (mixed(sequence) >> 48), __ATOMIC_RELEASE);
}

static uint64_t sequence_of(uint64_t word, uint64_t otherwise)
{
    uint64_t sequence = word >> 16;
    return (word & 0xffff) == mixed(sequence) >> 48 ? sequence : otherwise;
}

void kept_note_dumped(struct kept_header *header, uint64_t sequence)
{
    note_sequence(&header->dumped, sequence);
}

uint64_t kept_dumped(const struct kept_header *header)
{
    return sequence_of(header->dumped, UINT64_MAX);
}

void kept_note_placed(struct kept_header *header, uint64_t sequence)
{
    note_sequence(&header->placed, sequence);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

uint64_t kept_placed(const struct kept_header *header)
{
    return sequence_of(header->placed, 0);
}

/* ---- Words ---- */

static uint64_t word_of(const struct buffer_slot *slot, uint32_t index, uint32_t what)
{
    uint64_t sum = mixed(slot->block ^ mixed((uint64_t)index << 32 | what)) >> 32;
    return sum << 32 | what;
}

static void store(struct buffer_slot *slot, uint64_t word)
{
    /* After the data; a restart sees what this core has stored, in this order. */
    __atomic_store_n(&slot->kept, word, __ATOMIC_RELEASE);
}

void kept_note(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint32_t what = slot->promised | (uint32_t)slot->volume << VOLUME_SHIFT |
                    (slot->dumped ? DUMPED : 0) | (slot->state == BUFFER_DIRTY ? OPEN : 0) |
                    (uint32_t)slot->epoch << EPOCH_SHIFT;
    store(slot, slot->promised == 0 ? 0 : word_of(slot, index, what));
}

static uint8_t promised_in(uint32_t what)
{
    return (uint8_t)(what & 0xff);
}

static uint8_t epoch_in(uint32_t what)
{
    return (uint8_t)(what >> EPOCH_SHIFT);
}

/* ---- Checksums of the data ---- */

/* 0 means that there is none. */
static uint32_t sum_of_data(const struct buffer *buffer, uint32_t index)
{
    uint32_t sum = checksum(0, slots_data(buffer, index, 0), BUFFER_BLOCK);
    return sum != 0 ? sum : 1;
}

void kept_unsum(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    slot->sum = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* before the data that it no longer belongs to */
    if (slot->unsummed)
        return;
    slot->unsummed = true;
    slot->next_unsummed = buffer->unsummed;
    buffer->unsummed = index;
}

bool kept_make_sums(struct buffer *buffer, uint32_t most)
{
    for (; most > 0 && buffer->unsummed != BUFFER_NONE; most--) {
        uint32_t index = buffer->unsummed;
        struct buffer_slot *slot = &buffer->slot[index];
        buffer->unsummed = slot->next_unsummed;
        slot->unsummed = false;
        if (slot->kept != 0)
            slot->sum = sum_of_data(buffer, index);
    }
    return buffer->unsummed != BUFFER_NONE;
}

/* ---- Finding ---- */

static bool is_sound(const struct buffer *buffer, uint32_t index, uint32_t volumes)
{
    const struct buffer_slot *slot = &buffer->slot[index];
    uint32_t what = (uint32_t)slot->kept;
    return slot->kept == word_of(slot, index, what) && promised_in(what) != 0 &&
           (what >> VOLUME_SHIFT & 0xf) < volumes;
}

static void take_hold(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint32_t what = (uint32_t)slot->kept;
    /* Its block, `kept` and checksum are never anything else than what they are, or a reset in between would refuse them. */
    slot->first_write = 1;
    slot->last_write = 0;
    slot->volume = (uint8_t)(what >> VOLUME_SHIFT & 0xf);
    slot->state = BUFFER_FOUND;
    slot->valid = promised_in(what);
    slot->promised = 0;
    slot->todo = 0;
    slot->failed = false;
    slot->dumped = false;
    slot->epoch = 0;
    slot->head = false;
    slot->unsummed = false;
    if (buffer->sums && slot->sum == 0)
        kept_unsum(buffer, index);
    buffer->slots++;
    buffer->volume[slot->volume].slots++;
}

/* Epochs in memory are neighbours, so that a few bits of their numbers tell which is later. */
static bool is_sealed_up_to(uint32_t what, uint64_t dumped)
{
    return dumped != UINT64_MAX && (what & OPEN) == 0 &&
           (int8_t)(uint8_t)(epoch_in(what) - (uint8_t)dumped) <= 0;
}

static bool is_in_dump_area(uint32_t what, const struct kept_search *search)
{
    return search->has_dump &&
           ((what & DUMPED) != 0 || (search->ordered && is_sealed_up_to(what, search->dumped)));
}

/* Whether the slot has something that was acknowledged, is nowhere else, and passes its checks. */
static bool is_to_be_found(const struct buffer *buffer, uint32_t index,
                           const struct kept_search *search, struct kept_account *account)
{
    const struct buffer_slot *slot = &buffer->slot[index];
    if (search->past == KEPT_NOTHING || slot->kept == 0)
        return false;
    if (!is_sound(buffer, index, search->volumes)) {
        account->damaged++;
        return false;
    }
    if (is_in_dump_area((uint32_t)slot->kept, search))
        return false;
    if (search->past == KEPT_RESET && (slot->sum == 0 || slot->sum != sum_of_data(buffer, index))) {
        account->refused++;
        account->unsummed += slot->sum == 0 ? 1 : 0;
        return false;
    }
    account->found++;
    return true;
}

struct kept_account kept_inspect(const struct buffer *buffer, const struct kept_search *search)
{
    struct kept_account account = {0};
    for (uint32_t index = 0; index < buffer->slot_count; index++)
        (void)is_to_be_found(buffer, index, search, &account);
    return account;
}

struct kept_account kept_find(struct buffer *buffer, const struct kept_search *search)
{
    struct kept_account account = {0};
    for (uint32_t index = 0; index < buffer->slot_count; index++) {
        if (is_to_be_found(buffer, index, search, &account))
            take_hold(buffer, index);
        else
            store(&buffer->slot[index], 0);
    }
    return account;
}

/* ---- Adopting ---- */

/* An older slot of the block takes what a newer one has, and is as new as that from then on. */
static void absorb(struct buffer *buffer, uint32_t older, uint32_t newer)
{
    struct buffer_slot *to = &buffer->slot[older], *from = &buffer->slot[newer];
    if (buffer->sums)
        kept_unsum(buffer, older);
    for (uint32_t sector = 0; sector < BUFFER_BLOCK_SECTORS; sector++)
        if (has_sector(from->valid, sector))
            memcpy(slots_data(buffer, older, sector), slots_data(buffer, newer, sector),
                   BUFFER_SECTOR);
    to->valid |= from->valid;
    store(to, word_of(to, older, ((uint32_t)from->kept & ~UINT32_C(0xff)) | to->valid));
    store(from, 0);
    from->state = BUFFER_FREE;
    buffer->slots--;
    buffer->volume[from->volume].slots--;
}

/* A slot in a chain counts as head from then on; the others do not yet. */
static void chain_or_absorb(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint32_t so_far = slots_newest(buffer, slot->volume, slot->block);
    if (so_far != BUFFER_NONE && buffer->slot[so_far].state == BUFFER_FOUND) {
        absorb(buffer, so_far, index);
    } else {
        slots_chain(buffer, index);
        slots_set_head(buffer, slot, true);
    }
}

static int distance(const struct buffer_slot *slot, uint8_t from)
{
    return (int8_t)(uint8_t)(epoch_in((uint32_t)slot->kept) - from);
}

static bool is_found(const struct buffer_slot *slot, uint32_t volume, bool open)
{
    return slot->state == BUFFER_FOUND && !slot->head && slot->volume == volume &&
           ((slot->kept & OPEN) != 0) == open;
}

/* The volume's epochs lie between *first and *last, as distances from *base. */
static void epochs_of(const struct buffer *buffer, uint32_t volume, uint8_t *base, int *first,
                      int *last)
{
    bool any = false;
    *first = 0;
    *last = -1;
    for (uint32_t index = 0; index < buffer->slot_count; index++) {
        const struct buffer_slot *slot = &buffer->slot[index];
        if (!is_found(slot, volume, false))
            continue;
        if (!any) {
            *base = epoch_in((uint32_t)slot->kept);
            *last = 0;
        }
        any = true;
        int at = distance(slot, *base);
        *first = at < *first ? at : *first;
        *last = at > *last ? at : *last;
    }
}

static void order_volume(struct buffer *buffer, uint32_t volume)
{
    uint8_t base = 0;
    int first, last;
    epochs_of(buffer, volume, &base, &first, &last);
    for (int at = first; at <= last; at++)
        for (uint32_t index = 0; index < buffer->slot_count; index++)
            if (is_found(&buffer->slot[index], volume, false) &&
                distance(&buffer->slot[index], base) == at)
                chain_or_absorb(buffer, index);
    for (uint32_t index = 0; index < buffer->slot_count; index++)
        if (is_found(&buffer->slot[index], volume, true))
            chain_or_absorb(buffer, index);
}

void kept_adopt(struct buffer *buffer)
{
    for (uint32_t volume = 0; volume < BUFFER_MAX_VOLUMES; volume++)
        if (buffer->volume[volume].slots > 0)
            order_volume(buffer, volume);
    for (uint32_t index = 0; index < buffer->slot_count; index++) {
        struct buffer_slot *slot = &buffer->slot[index];
        if (slot->state != BUFFER_FOUND)
            continue;
        slot->state = BUFFER_DIRTY;
        slots_append(buffer, &buffer->volume[slot->volume].open, index);
        slots_set_promised(buffer, slot, slot->valid);
    }
}
