/* The format of the dump area; see dump.h. */
#include "dump.h"

#include "checksum.h"

#define MAGIC_DESCRIPTOR 0x63736564676c7071ULL /* "qplgdesc" */
#define MAGIC_SUPER 0x72707573676c7071ULL      /* "qplgsupr" */
#define LARGEST_CAPACITY (1u << 24)

/* What is proved of this file (tests/proof): its arithmetic, and that a descriptor which passes says nothing impossible. */
/*@ logic integer half_of(integer sectors) = sectors / 8 < 2 ? 0 : (sectors / 8 - 2) / 2;
    predicate is_chunk(struct dump_descriptor *d, integer chunk) =
      d->chunk == chunk && chunk * DUMP_CHUNK < d->total && 0 < d->entries <= DUMP_CHUNK &&
      chunk * DUMP_CHUNK + d->entries <= d->total &&
      (d->last == 1 <==> chunk * DUMP_CHUNK + d->entries == d->total); */

/*@ requires entries <= LARGEST_CAPACITY;
    assigns \nothing;
    ensures \result == entries + (entries + DUMP_CHUNK - 1) / DUMP_CHUNK; */
uint32_t dump_blocks(uint32_t entries)
{
    return entries + (entries + DUMP_CHUNK - 1) / DUMP_CHUNK;
}

/*@ assigns \nothing;
    ensures \result == half_of(sectors); */
static uint64_t half_blocks(uint64_t sectors)
{
    uint64_t blocks = sectors / DUMP_BLOCK_SECTORS;
    return blocks < DUMP_SUPERS ? 0 : (blocks - DUMP_SUPERS) / 2;
}

/*@ assigns \nothing;
    ensures \result == 0 || DUMP_LEAST <= \result <= LARGEST_CAPACITY;
    ensures fits_its_half: \result + (\result + DUMP_CHUNK - 1) / DUMP_CHUNK <= half_of(sectors); */
uint32_t dump_capacity(uint64_t sectors)
{
    uint64_t blocks = half_blocks(sectors);
    uint64_t rest = blocks % (DUMP_CHUNK + 1);
    uint64_t entries = blocks / (DUMP_CHUNK + 1) * DUMP_CHUNK + (rest > 0 ? rest - 1 : 0);
    if (entries < DUMP_LEAST)
        return 0;
    return entries < LARGEST_CAPACITY ? (uint32_t)entries : LARGEST_CAPACITY;
}

/*@ assigns \nothing;
    ensures DUMP_SUPERS <= \result;
    ensures on_the_disk: sectors >= 8 * DUMP_SUPERS ==> \result + half_of(sectors) <= sectors / 8;
    ensures halves_apart: sequence % 2 == 1 ==> \result == DUMP_SUPERS + half_of(sectors);
    ensures first_half: sequence % 2 == 0 ==> \result == DUMP_SUPERS; */
uint64_t dump_half(uint64_t sectors, uint64_t sequence)
{
    return DUMP_SUPERS + (sequence % 2) * half_blocks(sectors);
}

/*@ requires valid_read_string(label);
    assigns \nothing; */
uint64_t dump_identity(uint64_t before, const char *label, uint64_t sectors)
{
    uint64_t hash = before ^ UINT64_C(0xcbf29ce484222325);
    /*@ loop invariant \base_addr(c) == \base_addr(label) && label <= c <= label + strlen(label);
        loop assigns c, hash;
        loop variant strlen(label) - (c - label); */
    for (const char *c = label; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    /*@ loop invariant shift <= 64 && shift % 8 == 0;
        loop assigns shift, hash;
        loop variant 64 - shift; */
    for (unsigned shift = 0; shift < 64; shift += 8)
        hash = (hash ^ (sectors >> shift & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

/* Of all bytes, those of the checksum itself taken as 0. */
/*@ requires \valid_read((uint8_t *)record + (0 .. size - 1)) && field + 4 <= size;
    assigns \nothing; */
static uint32_t sum_without(const void *record, size_t size, size_t field)
{
    const uint8_t *bytes = record;
    static const uint8_t zeros[sizeof(uint32_t)];
    const size_t rest = field + sizeof(zeros);
    uint32_t sum = checksum(0, bytes, field);
    sum = checksum(sum, zeros, sizeof(zeros));
    return checksum(sum, bytes + rest, size - rest);
}

/*@ requires \valid_read(descriptor);
    assigns \nothing; */
static uint32_t sum_of_descriptor(const struct dump_descriptor *descriptor)
{
    return sum_without(descriptor, sizeof(*descriptor), offsetof(struct dump_descriptor, sum));
}

/*@ requires \valid_read(super);
    assigns \nothing; */
static uint32_t sum_of_super(const struct dump_super *super)
{
    return sum_without(super, sizeof(*super), offsetof(struct dump_super, sum));
}

/*@ requires \valid(descriptor);
    assigns descriptor->magic, descriptor->version, descriptor->sum; */
void dump_seal_descriptor(struct dump_descriptor *descriptor)
{
    descriptor->magic = MAGIC_DESCRIPTOR;
    descriptor->version = DUMP_VERSION;
    descriptor->sum = sum_of_descriptor(descriptor);
}

/*@ requires \valid(super);
    assigns super->magic, super->version, super->sum; */
void dump_seal_super(struct dump_super *super)
{
    super->magic = MAGIC_SUPER;
    super->version = DUMP_VERSION;
    super->sum = sum_of_super(super);
}

/*@ requires \valid_read(descriptor);
    assigns \nothing; */
bool dump_descriptor_sound(const struct dump_descriptor *descriptor)
{
    return descriptor->magic == MAGIC_DESCRIPTOR && descriptor->version == DUMP_VERSION &&
           descriptor->sum == sum_of_descriptor(descriptor);
}

/*@ requires \valid_read(super);
    assigns \nothing; */
bool dump_super_sound(const struct dump_super *super)
{
    return super->magic == MAGIC_SUPER && super->version == DUMP_VERSION &&
           super->sum == sum_of_super(super);
}

/*@ requires \valid_read(super);
    assigns \nothing; */
bool dump_super_of_another_version(const struct dump_super *super)
{
    return super->magic == MAGIC_SUPER && super->version != DUMP_VERSION;
}

/*@ requires \valid_read(descriptor);
    assigns \nothing;
    ensures \result ==> is_chunk(descriptor, chunk); */
static bool fits(const struct dump_descriptor *descriptor, uint32_t chunk)
{
    if (!dump_descriptor_sound(descriptor) || descriptor->chunk != chunk || descriptor->last > 1)
        return false;
    if (descriptor->total <= (uint64_t)chunk * DUMP_CHUNK)
        return false;
    uint32_t left = descriptor->total - chunk * DUMP_CHUNK;
    return descriptor->entries == (left < DUMP_CHUNK ? left : DUMP_CHUNK) &&
           (descriptor->last == 1) == (left <= DUMP_CHUNK);
}

/*@ requires \valid_read(descriptor);
    assigns \nothing;
    ensures \result ==> is_chunk(descriptor, 0) && descriptor->sequence == sequence && descriptor->identity == identity; */
bool dump_descriptor_first(const struct dump_descriptor *descriptor, uint64_t identity,
                           uint64_t sequence)
{
    return fits(descriptor, 0) && descriptor->identity == identity &&
           descriptor->sequence == sequence && descriptor->before == 0;
}

/*@ requires \valid_read(descriptor) && \valid_read(before) && is_chunk(before, before->chunk);
    assigns \nothing;
    ensures \result ==> is_chunk(descriptor, before->chunk + 1) && descriptor->total == before->total;
    ensures \result ==> descriptor->sequence == before->sequence && descriptor->identity == before->identity; */
bool dump_descriptor_next(const struct dump_descriptor *descriptor,
                          const struct dump_descriptor *before)
{
    return fits(descriptor, before->chunk + 1) && descriptor->identity == before->identity &&
           descriptor->sequence == before->sequence && descriptor->before == before->sum &&
           descriptor->total == before->total;
}
