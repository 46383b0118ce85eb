/* What each component is told at its start (struct quoll_environment), in the memory that it reads it from; see start_parts.h. */
#include "start_parts.h"

static struct quoll_environment_entry memory_entry(const struct image_mapping *mapping)
{
    struct quoll_environment_entry entry = {
        .kind = QUOLL_ENVIRONMENT_MEMORY,
        .type = (uint16_t)mapping->rights,
        .address = mapping->address,
        .size = spaces_mapping_size(mapping),
        .physical = regions[mapping->region].base.value + mapping->offset,
    };
    start_copy((uintptr_t)entry.name, mapping->name, QUOLL_NAME_SIZE);
    return entry;
}

static struct quoll_environment_entry object_entry(const struct image_object *object,
                                                   uint32_t handle)
{
    struct quoll_environment_entry entry = {
        .kind = QUOLL_ENVIRONMENT_HANDLE,
        .type = (uint16_t)object->type,
        .number = (uint16_t)handle,
    };
    start_copy((uintptr_t)entry.name, object->name, QUOLL_NAME_SIZE);
    if (object->type == QUOLL_OBJECT_RECEIVE) {
        bool is_irq = object->argument == 1;
        const struct thread *thread =
            is_irq ? irqs[object->index].thread : channels[object->index].thread;
        entry.kind = QUOLL_ENVIRONMENT_RECEIVE;
        entry.number = (uint16_t)(is_irq ? irqs[object->index].bit : channels[object->index].bit);
        entry.thread = (uint16_t)thread->number;
    }
    return entry;
}

void environment_write(uint32_t index)
{
    const struct image *image = build.image;
    const struct image_component *component = &image->components[index];
    const struct region *region = &regions[component->environment];
    struct quoll_environment *to = (struct quoll_environment *)(uintptr_t)region->base.value;
    uint32_t count = 0;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->space_kind == IMAGE_SPACE_COMPONENT && mapping->space == index &&
            mapping->name[0] != 0)
            to->entries[count++] = memory_entry(mapping);
    }
    for (uint32_t i = 0; i < component->object_count; i++) {
        const struct image_object *object = &image->objects[component->first_object + i];
        if (object->type != QUOLL_OBJECT_NONE && object->name[0] != 0)
            to->entries[count++] = object_entry(object, i);
    }
    for (uint32_t i = 0; i < thread_count; i++)
        to->thread_count += threads[i].component == &components[index] ? 1 : 0;
    to->magic = QUOLL_ENVIRONMENT_MAGIC;
    start_copy((uintptr_t)to->component, component->name, QUOLL_NAME_SIZE);
    to->counter_frequency = arch_frequency();
    to->entry_count = count;
    arch_memory_clean(region->base, region->size);
}
