/* Filling the tables of a system image; see model.h. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#define PAGE QUOLL_PAGE_SIZE
#define STACKS_ADDRESS 0x18000000ULL
#define STACK_STRIDE 0x20000ULL
#define REGIONS_ADDRESS 0x20000000ULL
#define GUARD 0x10000ULL
#define BLOCK (2ULL << 20)
/* Address space set aside for a region whose size only the machine knows. */
#define UNKNOWN_SIZE (1ULL << 30)

struct model *model_new(struct report *report, const char *label, uint32_t cores)
{
    struct model *model = calloc(1, sizeof *model);
    if (model == NULL)
        abort();
    model->report = report;
    model->cores = cores;
    model->log_channel = IMAGE_NONE;
    snprintf(model->label, sizeof model->label, "%s", label);
    return model;
}

void model_free(struct model *model)
{
    for (uint32_t i = 0; i < model->region_count; i++)
        content_free(&model->contents[i]);
    free(model);
}

/* The next record of a table. When it is full the last one is handed out again, and model_write will refuse. */
#define NEXT(model, table, limit) next_index((model), &(model)->table##_count, (limit), #table)

static uint32_t next_index(struct model *model, uint32_t *count, uint32_t limit, const char *what)
{
    if (*count < limit)
        return (*count)++;
    if (model->overflow == NULL)
        model->overflow = what;
    return limit - 1;
}

static void copy_name(char to[QUOLL_NAME_SIZE], const char *from)
{
    snprintf(to, QUOLL_NAME_SIZE, "%s", from);
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* ------------------------------------------------------------------------------------------------
 * Regions
 */

static uint32_t add_region(struct model *model, const char *name, enum image_region_kind kind,
                           uint64_t size)
{
    uint32_t index = NEXT(model, region, QUOLL_MAX_REGIONS);
    struct image_region *region = &model->region[index];
    *region =
        (struct image_region){.size = round_up(size, PAGE), .kind = kind, .device = IMAGE_NONE};
    copy_name(region->name, name);
    return index;
}

uint32_t model_initialized(struct model *model, const char *name, uint64_t size,
                           struct content content)
{
    uint32_t index = add_region(model, name, IMAGE_REGION_RAM, size);
    content_free(&model->contents[index]);
    model->contents[index] = content;
    return index;
}

uint32_t model_ram(struct model *model, const char *name, uint64_t size)
{
    return model_initialized(model, name, size, (struct content){0});
}

uint32_t model_bytes(struct model *model, const char *name, struct content content)
{
    uint32_t index = model_initialized(model, name, content.size, content);
    model->region[index].kind = IMAGE_REGION_IMAGE;
    return index;
}

uint32_t model_payload(struct model *model, const char *name, struct content content)
{
    uint32_t index = model_bytes(model, name, content);
    model->payload[index] = true;
    return index;
}

uint32_t model_device(struct model *model, const char *compatible, uint32_t instance)
{
    for (uint32_t i = 0; i < model->device_count; i++)
        if (strcmp(model->device[i].compatible, compatible) == 0 &&
            model->device[i].instance == instance)
            return i;
    uint32_t index = NEXT(model, device, QUOLL_MAX_DEVICES);
    struct image_device *device = &model->device[index];
    *device = (struct image_device){.instance = instance};
    snprintf(device->compatible, sizeof device->compatible, "%s", compatible);
    return index;
}

uint32_t model_special(struct model *model, const char *name, enum image_region_kind kind,
                       uint32_t device)
{
    uint32_t index = add_region(model, name, kind, 0);
    model->region[index].device = device;
    return index;
}

/* ------------------------------------------------------------------------------------------------
 * Mappings
 */

void model_map_at(struct model *model, enum image_space_kind kind, uint32_t space, uint32_t region,
                  const char *name, uint32_t rights, uint64_t address)
{
    uint32_t index = NEXT(model, mapping, QUOLL_MAX_MAPPINGS);
    struct image_mapping *mapping = &model->mapping[index];
    *mapping = (struct image_mapping){
        .space_kind = kind, .space = space, .region = region, .rights = rights, .address = address};
    copy_name(mapping->name, name);
}

/* Large regions are aligned to blocks, so that they need fewer tables and TLB entries. */
static uint64_t choose_address(struct model *model, uint32_t component, uint64_t size)
{
    struct model_space *space = &model->space[component];
    uint64_t room = size ? size : UNKNOWN_SIZE;
    uint64_t address = round_up(space->next_address, room >= BLOCK ? BLOCK : PAGE);
    space->next_address = address + round_up(room, PAGE) + GUARD;
    return address;
}

void model_map_part(struct model *model, uint32_t component, uint32_t region, const char *name,
                    uint32_t rights, uint64_t size)
{
    uint64_t known = size ? size : model->region[region].size;
    model_map_at(model, IMAGE_SPACE_COMPONENT, component, region, name, rights,
                 choose_address(model, component, known));
    model->mapping[model->mapping_count - 1].size = size;
}

void model_map(struct model *model, uint32_t component, uint32_t region, const char *name,
               uint32_t rights)
{
    model_map_part(model, component, region, name, rights, 0);
}

void model_tell(struct model *model, uint32_t component, uint32_t region, const char *name)
{
    model_map_at(model, IMAGE_SPACE_COMPONENT, component, region, name, 0, 0);
}

/* ------------------------------------------------------------------------------------------------
 * Components
 */

/* A second copy, which stays as it is: a component that is restarted begins with it again. */
static void keep_initial_data(struct model *model, uint32_t component,
                              const struct elf_segment *segment)
{
    struct content copy = {malloc(segment->bytes.size), segment->bytes.size};
    if (copy.bytes == NULL)
        abort();
    memcpy(copy.bytes, segment->bytes.bytes, copy.size);
    uint32_t region = model_bytes(model, model->component[component].name, copy);
    model_map(model, component, region, "initial-data", QUOLL_READ);
}

static void map_segment(struct model *model, uint32_t component, const struct elf_segment *segment)
{
    struct content copy = {malloc(segment->bytes.size + 1), segment->bytes.size};
    if (copy.bytes == NULL)
        abort();
    memcpy(copy.bytes, segment->bytes.bytes, copy.size);
    const char *name = model->component[component].name;
    /* A read-only segment whose bytes fill it stays where it is in the image. */
    bool in_place = !(segment->rights & QUOLL_WRITE) && round_up(copy.size, PAGE) == segment->size;
    uint32_t region = in_place ? model_bytes(model, name, copy)
                               : model_initialized(model, name, segment->size, copy);
    model_map_at(model, IMAGE_SPACE_COMPONENT, component, region, "", segment->rights,
                 segment->address);
    if ((segment->rights & QUOLL_WRITE) && segment->bytes.size != 0)
        keep_initial_data(model, component, segment);
}

static void add_thread(struct model *model, uint32_t component, const struct schedule *schedule)
{
    struct model_space *space = &model->space[component];
    uint32_t number = space->thread_count++;
    uint64_t stack = STACKS_ADDRESS + number * STACK_STRIDE;
    uint32_t region = model_ram(model, model->component[component].name, MODEL_STACK_SIZE);
    model_map_at(model, IMAGE_SPACE_COMPONENT, component, region, "", QUOLL_READ | QUOLL_WRITE,
                 stack);
    uint32_t index = NEXT(model, thread, QUOLL_MAX_THREADS);
    if (number == 0)
        space->first_thread = index;
    model->thread[index] = (struct image_thread){.component = component,
                                                 .core = schedule->core,
                                                 .priority = schedule->priority,
                                                 .budget = schedule->budget,
                                                 .period = schedule->period,
                                                 .entry = space->entry,
                                                 .stack = stack + MODEL_STACK_SIZE,
                                                 .argument = number};
}

uint32_t model_component(struct model *model, const char *name, const struct elf_file *elf,
                         const struct schedule threads[], uint32_t thread_count)
{
    uint32_t index = NEXT(model, component, QUOLL_MAX_COMPONENTS);
    struct image_component *component = &model->component[index];
    *component = (struct image_component){.fault_channel = IMAGE_NONE};
    copy_name(component->name, name);
    model->space[index] =
        (struct model_space){.next_address = REGIONS_ADDRESS, .entry = elf->entry};
    for (uint32_t i = 0; i < elf->segment_count; i++)
        map_segment(model, index, &elf->segments[i]);
    for (uint32_t i = 0; i < thread_count; i++)
        add_thread(model, index, &threads[i]);
    return index;
}

uint32_t model_thread(const struct model *model, uint32_t component, uint32_t number)
{
    return model->space[component].first_thread + number;
}

/* ------------------------------------------------------------------------------------------------
 * Objects
 */

void model_object(struct model *model, uint32_t component, const char *name,
                  enum quoll_object_type type, uint32_t index, uint32_t argument)
{
    uint32_t object = NEXT(model, object, QUOLL_MAX_OBJECTS);
    model->object_owner[object] = component;
    model->object[object] =
        (struct image_object){.type = type, .index = index, .argument = argument};
    copy_name(model->object[object].name, name);
}

static uint32_t take_bit(struct model *model, uint32_t thread)
{
    if (model->next_bit[thread] < QUOLL_SIGNAL_CHANNELS)
        return model->next_bit[thread]++;
    if (model->overflow == NULL)
        model->overflow = "signals of one thread";
    return 0;
}

uint32_t model_channel(struct model *model, uint32_t to, uint32_t to_thread, const char *receive)
{
    uint32_t thread = model_thread(model, to, to_thread);
    uint32_t index = NEXT(model, channel, QUOLL_MAX_CHANNELS);
    model->channel[index] = (struct image_channel){thread, take_bit(model, thread)};
    if (receive != NULL)
        model_object(model, to, receive, QUOLL_OBJECT_RECEIVE, index, 0);
    return index;
}

void model_may_signal(struct model *model, uint32_t from, const char *name, uint32_t channel)
{
    model_object(model, from, name, QUOLL_OBJECT_CHANNEL, channel, 0);
}

void model_signal(struct model *model, uint32_t from, const char *name, uint32_t to,
                  uint32_t to_thread, const char *receive)
{
    model_may_signal(model, from, name, model_channel(model, to, to_thread, receive));
}

void model_line(struct model *model, uint32_t component, const char *name, uint32_t vm,
                uint32_t intid)
{
    uint32_t index = NEXT(model, line, QUOLL_MAX_LINES);
    model->line[index] = (struct image_line){vm, intid};
    model_object(model, component, name, QUOLL_OBJECT_LINE, index, 0);
}

void model_interrupt(struct model *model, uint32_t component, uint32_t thread, uint32_t device,
                     uint32_t number, const char *name)
{
    uint32_t receiver = model_thread(model, component, thread);
    uint32_t index = NEXT(model, irq, QUOLL_MAX_IRQS);
    model->irq[index] = (struct image_irq){device, number, receiver, take_bit(model, receiver)};
    model_object(model, component, name, QUOLL_OBJECT_IRQ, index, 0);
    model_object(model, component, name, QUOLL_OBJECT_RECEIVE, index, 1);
}
