/*
 * A system image in the making: the tables of <quoll/image.h>, filled by small steps, then written out.
 *
 * The model decides what no description says: virtual addresses of a component's regions (with unmapped
 * space between any two), signal bits of threads, the order of object tables, places in the file. Steps never fail;
 * a table that overflows is noted, and model_write then refuses.
 *
 * Address space of a component:
 *   0x0040_0000  code and data, where its ELF file says
 *   0x1000_0000  environment
 *   0x1800_0000  stacks
 *   0x2000_0000  everything else
 *   0x40_0000_0000  a VM's RAM
 */
#ifndef TOOL_MODEL_H
#define TOOL_MODEL_H

#include "content.h"
#include "description.h"
#include "elf_file.h"

#include <quoll/image.h>

#define MODEL_STACK_SIZE 0x10000ULL
#define MODEL_RAM_ADDRESS 0x4000000000ULL

struct model_space { /* of a component, beside its record */
    uint64_t next_address;
    uint64_t entry;
    uint32_t thread_count;
    uint32_t first_thread; /* its threads are consecutive */
};

struct model {
    struct report *report;
    char label[64];
    uint32_t cores, log_channel;
#define TABLE(name, limit)                                                                         \
    struct image_##name name[limit];                                                               \
    uint32_t name##_count;
    IMAGE_TABLES(TABLE)
#undef TABLE
    struct model_space space[QUOLL_MAX_COMPONENTS];
    uint32_t object_owner[QUOLL_MAX_OBJECTS];
    struct content contents[QUOLL_MAX_REGIONS];
    bool payload[QUOLL_MAX_REGIONS]; /* after checked_size */
    uint32_t next_bit[QUOLL_MAX_THREADS];
    uint32_t next_buffer;
    const char *overflow; /* the first table that was too small */
};

struct model *model_new(struct report *report, const char *label, uint32_t cores);
void model_free(struct model *model);

/* Regions. `content` is taken over (and freed with the model). */
uint32_t model_ram(struct model *model, const char *name, uint64_t size);
uint32_t model_bytes(struct model *model, const char *name, struct content content);
uint32_t model_payload(struct model *model, const char *name, struct content content);
uint32_t model_initialized(struct model *model, const char *name, uint64_t size,
                           struct content content);
uint32_t model_device(struct model *model, const char *compatible, uint32_t instance);
/* REGISTERS, WINDOW, DEVICE_TREE, KERNEL_LOG; device IMAGE_NONE for the latter two. */
uint32_t model_special(struct model *model, const char *name, enum image_region_kind kind,
                       uint32_t device);

/* A component from its ELF file, with its threads in the order of `threads`. */
uint32_t model_component(struct model *model, const char *name, const struct elf_file *elf,
                         const struct schedule threads[], uint32_t thread_count);
/* Thread `number` of a component. */
uint32_t model_thread(const struct model *model, uint32_t component, uint32_t number);

/* Maps a region into a component at an address of the model's choice, under `name`. */
void model_map(struct model *model, uint32_t component, uint32_t region, const char *name,
               uint32_t rights);
void model_map_part(struct model *model, uint32_t component, uint32_t region, const char *name,
                    uint32_t rights, uint64_t size);
void model_map_at(struct model *model, enum image_space_kind kind, uint32_t space, uint32_t region,
                  const char *name, uint32_t rights, uint64_t address);
/* Only tells the component the region's physical address. */
void model_tell(struct model *model, uint32_t component, uint32_t region, const char *name);

/* Objects. */
void model_object(struct model *model, uint32_t component, const char *name,
                  enum quoll_object_type type, uint32_t index, uint32_t argument);
/* A signal to thread `to_thread` of component `to`, which receives it as `receive` (NULL: not told). Returns the
 * channel, which model_may_signal then gives to others. */
uint32_t model_channel(struct model *model, uint32_t to, uint32_t to_thread, const char *receive);
void model_may_signal(struct model *model, uint32_t from, const char *name, uint32_t channel);
/* Both at once. */
void model_signal(struct model *model, uint32_t from, const char *name, uint32_t to,
                  uint32_t to_thread, const char *receive);
/* The component may raise this interrupt of a VM. */
void model_line(struct model *model, uint32_t component, const char *name, uint32_t vm,
                uint32_t intid);
void model_interrupt(struct model *model, uint32_t component, uint32_t thread, uint32_t device,
                     uint32_t number, const char *name);

/* The image as bytes; false: it does not fit, reported. */
bool model_write(struct model *model, struct content *image);

#endif
