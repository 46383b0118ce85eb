/* The format of the dump area; see dump.h. */
#include "dump.h"

#include "checksum.h"

#define MAGIC_DESCRIPTOR 0x63736564676c7071ULL /* "qplgdesc" */
#define MAGIC_SUPER 0x72707573676c7071ULL      /* "qplgsupr" */
#define LARGEST_CAPACITY (1u << 24)

uint32_t dump_blocks(uint32_t entries)
{
    return entries + (entries + DUMP_CHUNK - 1) / DUMP_CHUNK;
}

static uint64_t half_blocks(uint64_t sectors)
{
    uint64_t blocks = sectors / DUMP_BLOCK_SECTORS;
    return blocks < DUMP_SUPERS ? 0 : (blocks - DUMP_SUPERS) / 2;
}

uint32_t dump_capacity(uint64_t sectors)
{
    uint64_t blocks = half_blocks(sectors);
    uint64_t rest = blocks % (DUMP_CHUNK + 1);
    uint64_t entries = blocks / (DUMP_CHUNK + 1) * DUMP_CHUNK + (rest > 0 ? rest - 1 : 0);
    if (entries < DUMP_LEAST)
        return 0;
    return entries < LARGEST_CAPACITY ? (uint32_t)entries : LARGEST_CAPACITY;
}

uint64_t dump_half(uint64_t sectors, uint64_t sequence)
{
    return DUMP_SUPERS + (sequence % 2) * half_blocks(sectors);
}

uint64_t dump_identity(uint64_t before, const char *label, uint64_t sectors)
{
    uint64_t hash = before ^ UINT64_C(0xcbf29ce484222325);
    for (const char *c = label; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    for (unsigned shift = 0; shift < 64; shift += 8)
        hash = (hash ^ (sectors >> shift & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

static uint32_t sum_of_descriptor(const struct dump_descriptor *descriptor)
{
    const uint32_t nothing = 0;
    const size_t field = offsetof(struct dump_descriptor, sum);
    const size_t rest = field + sizeof(nothing);
    uint32_t sum = checksum(0, descriptor, field);
    sum = checksum(sum, &nothing, sizeof(nothing));
    return checksum(sum, (const uint8_t *)descriptor + rest, sizeof(*descriptor) - rest);
}

static uint32_t sum_of_super(const struct dump_super *super)
{
    struct dump_super copy = *super;
    copy.sum = 0;
    return checksum(0, &copy, sizeof(copy));
}

void dump_seal_descriptor(struct dump_descriptor *descriptor)
{
    descriptor->magic = MAGIC_DESCRIPTOR;
    descriptor->version = DUMP_VERSION;
    descriptor->sum = sum_of_descriptor(descriptor);
}

void dump_seal_super(struct dump_super *super)
{
    super->magic = MAGIC_SUPER;
    super->version = DUMP_VERSION;
    super->sum = sum_of_super(super);
}

bool dump_descriptor_sound(const struct dump_descriptor *descriptor)
{
    return descriptor->magic == MAGIC_DESCRIPTOR && descriptor->version == DUMP_VERSION &&
           descriptor->sum == sum_of_descriptor(descriptor);
}

bool dump_super_sound(const struct dump_super *super)
{
    return super->magic == MAGIC_SUPER && super->version == DUMP_VERSION &&
           super->sum == sum_of_super(super);
}

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

bool dump_descriptor_first(const struct dump_descriptor *descriptor, uint64_t identity,
                           uint64_t sequence)
{
    return fits(descriptor, 0) && descriptor->identity == identity &&
           descriptor->sequence == sequence && descriptor->before == 0;
}

bool dump_descriptor_next(const struct dump_descriptor *descriptor,
                          const struct dump_descriptor *before)
{
    return fits(descriptor, before->chunk + 1) && descriptor->identity == before->identity &&
           descriptor->sequence == before->sequence && descriptor->before == before->sum &&
           descriptor->total == before->total;
}
