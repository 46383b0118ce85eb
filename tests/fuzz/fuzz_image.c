/*
 * A hostile system image, as the kernel gets it from a boot loader.
 *
 * What must hold: nothing outside the image is read; a refusal says why; and of an image that is accepted, everything that
 * start-up will follow without looking again is inside its table, region, address space or file, names end, and no page that can
 * be written can be executed in a component. That is checked here a second time, plainly.
 *
 * Input: byte 0: 0: the rest is the file as it is. Else a valid small image is changed: bit 1: do not seal it afterwards,
 * and each change is a place (2 bytes), a kind (bits 0..1 width 1, 2, 4, 8; bits 2..4: store, add, shift left by 12, all
 * ones, zero) and a value (1 byte, sign-extended; 8 bytes for kind 7).
 */
#include "image.h"
#include "input.h"
#include "system_image.h"
#include <zlib.h>

enum change_kind {
    CHANGE_STORE,
    CHANGE_ADD,
    CHANGE_PAGES,
    CHANGE_ONES,
    CHANGE_ZERO,
    CHANGE_RAW = 7
};

static void seal(uint8_t *bytes, size_t size)
{
    struct image_header *header = (struct image_header *)(void *)bytes;
    uint64_t checked = header->checked_size;
    header->checksum = 0;
    header->checksum = (uint32_t)crc32(0, bytes, (uInt)(checked < size ? checked : size));
}

static void change(uint8_t *bytes, size_t size, struct input *input)
{
    size_t place = input_16(input) % size;
    uint8_t kind = input_8(input);
    size_t width = (size_t)1 << (kind & 3), left = size - place;
    uint64_t old = 0, value = (uint64_t)(int64_t)(int8_t)input_8(input);
    place &= ~(width - 1);
    memcpy(&old, bytes + place, width < left ? width : left);
    switch (kind >> 2 & 7) {
    case CHANGE_ADD:
        value += old;
        break;
    case CHANGE_PAGES:
        value <<= 12;
        break;
    case CHANGE_ONES:
        value = UINT64_MAX;
        break;
    case CHANGE_ZERO:
        value = 0;
        break;
    case CHANGE_RAW:
        value |= input_64(input) << 8;
        break;
    default:
        break;
    }
    memcpy(bytes + place, &value, width < left ? width : left);
}

/* ---- what an accepted image promises ---- */

static bool ends(const char *name, size_t size)
{
    return memchr(name, 0, size) != NULL;
}

static void check_tables(const struct image *image, size_t size)
{
    const uint8_t *begin = (const uint8_t *)image->header, *end = begin + size;
    HOLDS(image->size <= size && image->header->checked_size <= image->size);
    HOLDS(image->header->cores != 0 && image->header->cores <= QUOLL_MAX_CORES);
#define TABLE(name, limit)                                                                         \
    HOLDS(image->name##_count <= (limit));                                                         \
    HOLDS((const uint8_t *)image->name##s >= begin + sizeof(struct image_header) &&                \
          (const uint8_t *)(image->name##s + image->name##_count) <= end);
    IMAGE_TABLES(TABLE)
#undef TABLE
}

static void check_memory(const struct image *image)
{
    for (uint32_t i = 0; i < image->region_count; i++) {
        const struct image_region *region = &image->regions[i];
        bool stored = region->kind == IMAGE_REGION_RAM || region->kind == IMAGE_REGION_IMAGE;
        HOLDS(ends(region->name, sizeof(region->name)) && region->kind < IMAGE_REGION_KIND_COUNT);
        HOLDS(region->size % QUOLL_PAGE_SIZE == 0 && (region->size != 0) == stored);
        HOLDS(region->device == IMAGE_NONE || region->device < image->device_count);
        HOLDS(region->content_size <= region->size || region->kind == IMAGE_REGION_IMAGE);
        HOLDS(region->content_size == 0 ||
              (region->content_offset <= image->size &&
               region->content_size <= image->size - region->content_offset));
    }
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        bool vm = mapping->space_kind == IMAGE_SPACE_VM;
        HOLDS(mapping->space < (vm ? image->vm_count : image->component_count));
        HOLDS(mapping->region < image->region_count);
        const struct image_region *region = &image->regions[mapping->region];
        HOLDS(region->size == 0 || mapping->offset + mapping->size <= region->size);
        HOLDS(mapping->size < UINT64_C(1) << 40 && mapping->offset < UINT64_C(1) << 40);
        uint32_t both = QUOLL_WRITE | QUOLL_EXECUTE;
        HOLDS(vm || (mapping->rights & both) != both);
        HOLDS(region->kind == IMAGE_REGION_RAM || region->kind == IMAGE_REGION_REGISTERS ||
              region->kind == IMAGE_REGION_WINDOW || !(mapping->rights & QUOLL_WRITE));
    }
}

static uint64_t length_of(const struct image *image, const struct image_mapping *mapping)
{
    uint64_t size =
        mapping->size != 0 ? mapping->size : image->regions[mapping->region].size - mapping->offset;
    return image->regions[mapping->region].size == 0 && mapping->size == 0 ? 1 : size;
}

static void check_apart(const struct image *image)
{
    for (uint32_t i = 0; i < image->mapping_count; i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct image_mapping *a = &image->mappings[i], *b = &image->mappings[j];
            if (a->rights == 0 || b->rights == 0 || a->space_kind != b->space_kind ||
                a->space != b->space)
                continue;
            HOLDS(a->address >= b->address + length_of(image, b) ||
                  b->address >= a->address + length_of(image, a));
        }
}

static void check_references(const struct image *image)
{
    for (uint32_t i = 0; i < image->component_count; i++) {
        const struct image_component *component = &image->components[i];
        HOLDS((uint64_t)component->first_object + component->object_count <= image->object_count);
        HOLDS(component->environment < image->region_count);
        HOLDS(component->fault_channel == IMAGE_NONE ||
              component->fault_channel < image->channel_count);
    }
    for (uint32_t i = 0; i < image->thread_count; i++) {
        const struct image_thread *thread = &image->threads[i];
        HOLDS(thread->component < image->component_count && thread->core < image->header->cores);
        HOLDS(thread->budget != 0 && thread->budget <= thread->period && thread->priority < 256);
    }
    for (uint32_t i = 0; i < image->channel_count; i++)
        HOLDS(image->channels[i].thread < image->thread_count && image->channels[i].bit < 62);
    for (uint32_t i = 0; i < image->irq_count; i++)
        HOLDS(image->irqs[i].thread < image->thread_count && image->irqs[i].bit < 62 &&
              image->irqs[i].device < image->device_count);
    for (uint32_t i = 0; i < image->vm_count; i++)
        HOLDS(image->vms[i].component < image->component_count &&
              image->vms[i].interrupts < image->region_count && image->vms[i].vcpu_count != 0 &&
              (uint64_t)image->vms[i].first_vcpu + image->vms[i].vcpu_count <= image->vcpu_count);
    for (uint32_t i = 0; i < image->vcpu_count; i++)
        HOLDS(image->vcpus[i].vm < image->vm_count &&
              image->vcpus[i].thread < image->thread_count &&
              image->regions[image->vcpus[i].page].size == QUOLL_PAGE_SIZE);
    for (uint32_t i = 0; i < image->doorbell_count; i++)
        HOLDS(image->doorbells[i].vm < image->vm_count &&
              image->doorbells[i].channel < image->channel_count);
    for (uint32_t i = 0; i < image->line_count; i++)
        HOLDS(image->lines[i].vm < image->vm_count && image->lines[i].intid - 32 < QUOLL_VM_SPIS);
}

static void check_objects(const struct image *image)
{
    const uint32_t count[QUOLL_OBJECT_TYPE_COUNT] = {
        [QUOLL_OBJECT_NONE] = UINT32_MAX,
        [QUOLL_OBJECT_CHANNEL] = image->channel_count,
        [QUOLL_OBJECT_LINE] = image->line_count,
        [QUOLL_OBJECT_IRQ] = image->irq_count,
        [QUOLL_OBJECT_VCPU] = image->vcpu_count,
        [QUOLL_OBJECT_VM] = image->vm_count,
        [QUOLL_OBJECT_REGION] = image->region_count,
        [QUOLL_OBJECT_THREAD] = image->thread_count,
        [QUOLL_OBJECT_MACHINE] = 1,
    };
    for (uint32_t i = 0; i < image->object_count; i++) {
        const struct image_object *object = &image->objects[i];
        HOLDS(object->type < QUOLL_OBJECT_TYPE_COUNT);
        uint32_t most = count[object->type];
        if (object->type == QUOLL_OBJECT_RECEIVE)
            most = object->argument == 1 ? image->irq_count : image->channel_count;
        HOLDS(object->type == QUOLL_OBJECT_NONE || object->index < most);
        HOLDS(object->type != QUOLL_OBJECT_REGION ||
              image->regions[object->index].kind == IMAGE_REGION_RAM);
    }
}

static size_t make(uint8_t *bytes, struct input *input, uint8_t choice)
{
    static struct system_image valid;
    size_t size = offsetof(struct system_image, content);
    if (choice == 0) {
        struct input file = input_part(input, 4096);
        memcpy(bytes, file.bytes, file.size);
        return file.size;
    }
    if (valid.header.magic == 0) {
        system_image_make(&valid);
        valid.header.checked_size = size; /* contents are payload here: quicker to seal */
    }
    memcpy(bytes, &valid, size);
    while (input_more(input))
        change(bytes, size, input);
    if ((choice & 2) == 0)
        seal(bytes, size);
    return choice & 4 ? size : sizeof(valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static uint8_t place[sizeof(struct system_image)] __attribute__((aligned(4096)));
    struct input input = input_of(bytes, size);
    struct image image;
    char reason[256];
    if (size == 0)
        return 0;
    reason[0] = 0;
    size_t length = make(place, &input, input_8(&input));
    if (!image_check(place, length, &image, reason, sizeof(reason))) {
        HOLDS(reason[0] != 0 && ends(reason, sizeof(reason)));
        return 0;
    }
    check_tables(&image, length);
    check_memory(&image);
    check_apart(&image);
    check_references(&image);
    check_objects(&image);
    return 0;
}
