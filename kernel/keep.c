/* Memory that outlives a reset of the machine; see keep.h. */
#include "keep.h"

#include "log.h"

#define MAGIC UINT64_C(0x7470656b6c6c6f71) /* "qollkept" */
#define KIB 1024u

/* Of the bss, but not cleared with it: kernel.ld. */
static struct keep_record {
    uint64_t magic;
    uint64_t image;  /* what its header says, checksum included */
    uint64_t places; /* of the regions */
    uint64_t sum;
} record __attribute__((section(".bss.keep")));

static uint64_t mixed(uint64_t so_far, uint64_t word)
{
    uint64_t value = (so_far ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (value ^ value >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static uint64_t identity_of_image(void)
{
    const struct image_header *header = build.image->header;
    uint64_t identity = mixed(header->checksum, header->total_size);
    identity = mixed(identity, header->checked_size);
    for (uint32_t i = 0; i < sizeof(header->label); i++)
        identity = mixed(identity, (uint8_t)header->label[i]);
    return identity;
}

static uint64_t places_of_regions(uint64_t *bytes)
{
    uint64_t places = 0;
    *bytes = 0;
    for (uint32_t i = 0; i < region_count; i++) {
        if (!keep_wants(&build.image->regions[i]))
            continue;
        places = mixed(mixed(places, regions[i].base.value), build.image->regions[i].size);
        *bytes += build.image->regions[i].size;
    }
    return places;
}

static uint64_t sum_of(const struct keep_record *of)
{
    return mixed(mixed(of->magic, of->image), of->places);
}

static void set_record(struct keep_record to)
{
    record = to;
    arch_memory_clean(paddr((uintptr_t)&record), sizeof(record));
}

bool keep_decide(void)
{
    uint64_t bytes;
    const struct keep_record found = record;
    uint64_t places = places_of_regions(&bytes);
    bool whole = found.magic == MAGIC && found.sum == sum_of(&found);
    bool same = whole && bytes != 0 && found.image == identity_of_image() && found.places == places;
    if (same) {
        klog("%lu KiB of memory are kept as the reset has left them", bytes / KIB);
        return true;
    }
    if (whole)
        klog("memory that was kept for another system image, or elsewhere, is not used");
    set_record((struct keep_record){0});
    return false;
}

void keep_remember(void)
{
    uint64_t bytes;
    struct keep_record now = {.magic = MAGIC, .image = identity_of_image()};
    now.places = places_of_regions(&bytes);
    now.sum = sum_of(&now);
    if (bytes != 0)
        set_record(now);
}
