/*
 * What the parts of image.c share: what is being checked, and how a mistake is told.
 *
 *     image.c              header, checksum, tables, names; then every record, by the check of its kind
 *     image_memory.c       devices, regions, mappings
 *     image_components.c   components and their threads; objects, channels and interrupts, by which they reach others
 *     image_vms.c          VMs, vCPUs, doorbells, lines
 *
 * Contracts are for Frama-C (tests/proof, whose run names the functions that are proved): each check of a record reads inside the tables
 * only, whatever the record says, and what it lets pass is what its contract says. Checks of later tables rest on what those of earlier ones
 * have let pass (IMAGE_TABLES).
 */
#ifndef KERNEL_IMAGE_PARTS_H
#define KERNEL_IMAGE_PARTS_H

#include "image.h"
#include <quoll/text.h>

#define ADDRESS_LIMIT (UINT64_C(1) << 39) /* what stage 2 can map */

struct checker {
    struct image *image;
    char *reason;
    size_t reason_size;
};

/*@ predicate has_tables(struct image *m) =
      \valid_read(m->header) &&
      \valid_read(m->components + (0 .. m->component_count - 1)) &&
      \valid_read(m->threads + (0 .. m->thread_count - 1)) &&
      \valid_read(m->devices + (0 .. m->device_count - 1)) &&
      \valid_read(m->regions + (0 .. m->region_count - 1)) &&
      \valid_read(m->mappings + (0 .. m->mapping_count - 1)) &&
      \valid_read(m->objects + (0 .. m->object_count - 1)) &&
      \valid_read(m->channels + (0 .. m->channel_count - 1)) &&
      \valid_read(m->irqs + (0 .. m->irq_count - 1)) &&
      \valid_read(m->vms + (0 .. m->vm_count - 1)) &&
      \valid_read(m->vcpus + (0 .. m->vcpu_count - 1)) &&
      \valid_read(m->doorbells + (0 .. m->doorbell_count - 1)) &&
      \valid_read(m->lines + (0 .. m->line_count - 1));
    predicate is_check(struct checker *c) =
      \valid_read(c) && \valid_read(c->image) && has_tables(c->image) && \valid(c->reason + (0 .. c->reason_size - 1));
    predicate is_ram_region(struct image *m, integer region) =
      0 <= region < m->region_count && m->regions[region].kind == IMAGE_REGION_RAM;
    predicate mapping_refers(struct image *m, integer i) =
      m->mappings[i].region < m->region_count && m->mappings[i].space_kind <= IMAGE_SPACE_VM &&
      m->mappings[i].space < (m->mappings[i].space_kind == IMAGE_SPACE_VM ? m->vm_count : m->component_count); */

#define FAIL(...) (text_format(check->reason, check->reason_size, __VA_ARGS__), false)

/* One check for each kind of record, in this order: each relies on what the earlier ones have let pass. */
#define TABLE(name, limit) bool image_check_##name(struct checker *check, uint32_t index);
IMAGE_TABLES(TABLE)
#undef TABLE
/* When all records are good: a receive tells a component about a signal of its own. */
bool image_check_receives(struct checker *check);

/* "RECORD 3 ('name') ...; remedy" for what only a wrong tool can produce. */
/*@ requires \valid_read(check) && \valid(check->reason + (0 .. check->reason_size - 1));
    assigns check->reason[0 .. check->reason_size - 1];
    ensures !\result; */
bool image_wrong(struct checker *check, const char *record, uint32_t index, const char *name,
                 const char *what);

/*@ requires \valid_read(image) && has_tables(image);
    assigns \nothing;
    ensures \result <==> is_ram_region(image, region); */
bool image_is_ram(const struct image *image, uint32_t region);

/* Whether the address lies in a mapping of the VM. */
/*@ requires \valid_read(image) && has_tables(image);
    requires \forall integer i; 0 <= i < image->mapping_count ==> mapping_refers(image, i);
    assigns \nothing; */
bool image_is_mapped(const struct image *image, uint32_t vm, uint64_t address);

#endif
