/*
 * Validation of the system image; see image.h. The checks of single records are where image_parts.h says.
 *
 * The image may hold anything. Checks go from the outside in: header, checksum, where the tables are, then each
 * table's records in the order of IMAGE_TABLES, and last what concerns several records together. A record's
 * fields are looked at only after its table is known to lie inside the image, and a reference is followed only after it has been
 * checked. The first mistake found ends it.
 */
#include "image_parts.h"

#define REBUILD "build it again with `quoll build`"

bool image_wrong(struct checker *check, const char *record, uint32_t index, const char *name,
                 const char *what)
{
    return FAIL("the system image is wrong: %s %u%s%s%s %s; " REBUILD, record, index,
                name != NULL ? " ('" : "", name != NULL ? name : "", name != NULL ? "')" : "",
                what);
}

/*@ requires \valid_read(bytes + (0 .. size - 1));
    assigns \nothing; */
static uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, uint64_t size)
{
    static const uint32_t half[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    /*@ loop invariant i <= size;
        loop assigns i, crc;
        loop variant size - i; */
    for (uint64_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ half[crc & 15];
        crc = crc >> 4 ^ half[crc & 15];
    }
    return crc;
}

/*@ requires sizeof(struct image_header) <= size && \valid_read(bytes + (0 .. size - 1));
    assigns \nothing; */
static uint32_t checksum(const uint8_t *bytes, uint64_t size)
{
    static const uint8_t zeros[4];
    const uint64_t field = offsetof(struct image_header, checksum);
    uint32_t crc = crc32_update(UINT32_MAX, bytes, field);
    crc = crc32_update(crc, zeros, sizeof(zeros));
    return ~crc32_update(crc, bytes + field + 4, size - field - 4);
}

static bool check_header(struct checker *check, const void *bytes, uint64_t size)
{
    const struct image_header *header = bytes;
    if (((uintptr_t)bytes & 7) != 0)
        return FAIL("the system image does not start at a multiple of 8 bytes in memory; have the "
                    "boot loader put it at a page boundary");
    if (size < sizeof(*header) || header->magic != IMAGE_MAGIC)
        return FAIL("the initrd is not a Quoll system image; make one with `quoll build` and hand "
                    "it to the boot loader as the initrd");
    if (header->version != IMAGE_VERSION || header->header_size != sizeof(*header))
        return FAIL("the system image has format %u, this kernel needs %u; " REBUILD
                    " of the same version as the kernel",
                    header->version, IMAGE_VERSION);
    if (header->total_size > size || header->total_size < sizeof(*header))
        return FAIL("the system image is cut off (%lu of %lu bytes); " REBUILD, size,
                    header->total_size);
    if (header->checked_size > header->total_size || header->checked_size < sizeof(*header))
        return FAIL("the system image is damaged (checked size %lu of %lu bytes); " REBUILD,
                    header->checked_size, header->total_size);
    uint32_t found = checksum(bytes, header->checked_size);
    if (found != header->checksum)
        return FAIL("the system image is damaged (checksum %08x, should be %08x); " REBUILD, found,
                    header->checksum);
    if (header->cores == 0 || header->cores > QUOLL_MAX_CORES)
        return FAIL("the system image is for %u cores, possible are 1 to %u; use fewer in the "
                    "system description",
                    header->cores, QUOLL_MAX_CORES);
    return true;
}

/*@ requires \valid_read(check) && \valid_read(check->image) && \valid_read(check->image->header) && \valid_read(table);
    requires \valid(check->reason + (0 .. check->reason_size - 1)) && record_size <= 4096;
    requires check->image->header->checked_size >= sizeof(struct image_header);
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> table->count <= limit && sizeof(struct image_header) <= table->offset;
    ensures inside: \result ==>
      table->offset + table->count * record_size <= check->image->header->checked_size; */
static bool check_table(struct checker *check, const char *name, const struct image_table *table,
                        uint32_t record_size, uint32_t limit)
{
    const struct image_header *header = check->image->header;
    if (table->count > limit)
        return FAIL("the system has %u records of kind '%s', at most %u are possible; make the "
                    "system description smaller",
                    table->count, name, limit);
    if (table->offset % 8 != 0 || table->offset < sizeof(*header) ||
        table->offset > header->checked_size ||
        (uint64_t)table->count * record_size > header->checked_size - table->offset)
        return FAIL("the system image is wrong: its table '%s' lies outside of it; " REBUILD, name);
    return true;
}

static bool check_tables(struct checker *check)
{
    struct image *image = check->image;
    const uint8_t *bytes = (const uint8_t *)image->header;
    const struct image_table *table = image->header->tables;
#define TABLE(name, limit)                                                                         \
    if (!check_table(check, #name, table, sizeof(struct image_##name), limit))                     \
        return false;                                                                              \
    image->name##s = (const struct image_##name *)(const void *)(bytes + table->offset);           \
    image->name##_count = table->count;                                                            \
    table++;
    IMAGE_TABLES(TABLE)
#undef TABLE
    return true;
}

/*@ requires \valid_read(name + (0 .. size - 1));
    assigns \nothing;
    ensures \result <==> \exists integer i; 0 <= i < size && name[i] == 0; */
static bool name_ends(const char *name, size_t size)
{
    /*@ loop invariant i <= size && \forall integer n; 0 <= n < i ==> name[n] != 0;
        loop assigns i;
        loop variant size - i; */
    for (size_t i = 0; i < size; i++) {
        if (name[i] == 0)
            return true;
    }
    return false;
}

/* Names are printed in messages: before anything else is checked, all of them must end. */
static bool check_names(struct checker *check)
{
    const struct image *image = check->image;
    if (!name_ends(image->header->label, sizeof(image->header->label)))
        return FAIL("the system image is wrong: its label does not end; " REBUILD);
#define NAMES(record, field)                                                                       \
    for (uint32_t i = 0; i < image->record##_count; i++) {                                         \
        if (!name_ends(image->record##s[i].field, sizeof(image->record##s[i].field)))              \
            return image_wrong(check, #record, i, NULL, "has a name that does not end");           \
    }
    NAMES(component, name)
    NAMES(device, compatible)
    NAMES(region, name)
    NAMES(mapping, name)
    NAMES(object, name)
    NAMES(vm, name)
#undef NAMES
    return true;
}

static bool check_records(struct checker *check)
{
    const struct image *image = check->image;
#define TABLE(name, limit)                                                                         \
    for (uint32_t i = 0; i < image->name##_count; i++) {                                           \
        if (!image_check_##name(check, i))                                                         \
            return false;                                                                          \
    }
    IMAGE_TABLES(TABLE)
#undef TABLE
    uint32_t log_channel = image->header->log_channel;
    if (log_channel != IMAGE_NONE && log_channel >= image->channel_count)
        return FAIL("the system image is wrong: its log channel does not exist; " REBUILD);
    return image_check_receives(check);
}

bool image_check(const void *bytes, uint64_t size, struct image *image, char *reason,
                 size_t reason_size)
{
    struct checker checker = {image, reason, reason_size}, *check = &checker;
    if (!check_header(check, bytes, size))
        return false;
    *image = (struct image){.header = bytes};
    image->size = image->header->total_size;
    return check_tables(check) && check_names(check) && check_records(check);
}
