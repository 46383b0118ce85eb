/*
 * Writing a system image: header, tables, contents of components, then (page-aligned, not covered by the
 * checksum) the guests' payloads. See model.h.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PAGE QUOLL_PAGE_SIZE

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* ------------------------------------------------------------------------------------------------
 * What can only be done when everything else is there
 */

/* Tables want each component's objects in a row; the model noted them in any order. */
static void sort_objects(struct model *model)
{
    struct image_object *sorted = calloc(QUOLL_MAX_OBJECTS, sizeof *sorted);
    uint32_t count = 0;
    if (sorted == NULL)
        abort();
    for (uint32_t c = 0; c < model->component_count; c++) {
        model->component[c].first_object = count;
        for (uint32_t i = 0; i < model->object_count; i++)
            if (model->object_owner[i] == c)
                sorted[count++] = model->object[i];
        model->component[c].object_count = count - model->component[c].first_object;
    }
    memcpy(model->object, sorted, count * sizeof *sorted);
    free(sorted);
}

/* One entry per mapping and object, and one for the environment itself; without a name there is none, but the kernel's check
 * (kernel/image_components.c) asks for its room all the same. */
static void add_environment(struct model *model, uint32_t component)
{
    uint64_t entries = 1 + model->component[component].object_count;
    for (uint32_t i = 0; i < model->mapping_count; i++)
        entries += model->mapping[i].space_kind == IMAGE_SPACE_COMPONENT &&
                   model->mapping[i].space == component;
    uint64_t size =
        sizeof(struct quoll_environment) + entries * sizeof(struct quoll_environment_entry);
    uint32_t region = model_ram(model, "environment", size);
    model->component[component].environment = region;
    model_map_at(model, IMAGE_SPACE_COMPONENT, component, region, "environment", QUOLL_READ,
                 QUOLL_ENVIRONMENT_ADDRESS);
}

/* ------------------------------------------------------------------------------------------------
 * Layout of the file
 */

struct layout {
    struct image_header header;
    uint64_t size;
};

static void place_table(struct layout *layout, int table, uint64_t record, uint32_t count)
{
    layout->header.tables[table] = (struct image_table){(uint32_t)layout->size, count};
    layout->size = round_up(layout->size + record * count, 8);
}

static void place_contents(struct model *model, struct layout *layout, bool payload)
{
    for (uint32_t i = 0; i < model->region_count; i++) {
        struct image_region *region = &model->region[i];
        if (model->contents[i].size == 0 || model->payload[i] != payload)
            continue;
        bool whole_pages = region->kind == IMAGE_REGION_IMAGE;
        layout->size = round_up(layout->size, whole_pages ? PAGE : 8);
        region->content_offset = layout->size;
        region->content_size = model->contents[i].size;
        layout->size += whole_pages ? region->size : region->content_size;
    }
}

static struct layout lay_out(struct model *model)
{
    struct layout layout = {.header = {.magic = IMAGE_MAGIC,
                                       .version = IMAGE_VERSION,
                                       .header_size = sizeof(struct image_header),
                                       .cores = model->cores,
                                       .log_channel = model->log_channel},
                            .size = sizeof(struct image_header)};
    memcpy(layout.header.label, model->label, sizeof layout.header.label);
#define TABLE(name, limit)                                                                         \
    place_table(&layout, IMAGE_TABLE_##name, sizeof(struct image_##name), model->name##_count);
    IMAGE_TABLES(TABLE)
#undef TABLE
    place_contents(model, &layout, false);
    layout.size = round_up(layout.size, PAGE);
    layout.header.checked_size = layout.size;
    place_contents(model, &layout, true);
    layout.size = round_up(layout.size, PAGE);
    layout.header.total_size = layout.size;
    return layout;
}

static void fill(const struct model *model, const struct image_header *header, uint8_t *bytes)
{
    memcpy(bytes, header, sizeof *header);
#define TABLE(name, limit)                                                                         \
    memcpy(bytes + header->tables[IMAGE_TABLE_##name].offset, model->name,                         \
           model->name##_count * sizeof(struct image_##name));
    IMAGE_TABLES(TABLE)
#undef TABLE
    for (uint32_t i = 0; i < model->region_count; i++)
        if (model->contents[i].size > 0)
            memcpy(bytes + model->region[i].content_offset, model->contents[i].bytes,
                   model->contents[i].size);
}

bool model_write(struct model *model, struct content *image)
{
    sort_objects(model);
    for (uint32_t i = 0; i < model->component_count; i++)
        add_environment(model, i);
    if (model->overflow != NULL) {
        report_failure(model->report,
                       "the system needs more %s records than an image can hold; make it smaller",
                       model->overflow);
        return false;
    }
    struct layout layout = lay_out(model);
    *image = (struct content){calloc(1, layout.size), layout.size};
    if (image->bytes == NULL) {
        report_failure(model->report, "no memory for an image of %lu MiB; free some",
                       (unsigned long)(layout.size >> 20));
        return false;
    }
    fill(model, &layout.header, image->bytes);
    layout.header.checksum = (uint32_t)crc32_z(0, image->bytes, (size_t)layout.header.checked_size);
    memcpy(image->bytes, &layout.header, sizeof layout.header);
    return true;
}
