/*
 * Validation of the system image; see image.h.
 *
 * The image may hold anything. Checks go from the outside in: header, checksum, where the tables are, then each
 * table's records in the order of IMAGE_TABLES, and last what concerns several records together. A record's
 * fields are looked at only after its table is known to lie inside the image, and a reference is followed only after it has been
 * checked. The first mistake found ends it.
 */
#include "image.h"
#include <quoll/text.h>

#define REBUILD "build it again with `quoll build`"
#define ADDRESS_LIMIT (UINT64_C(1) << 39)   /* what stage 2 can map */
#define LONGEST_PERIOD UINT64_C(1000000000) /* microseconds */
#define ALL_RIGHTS (QUOLL_READ | QUOLL_WRITE | QUOLL_EXECUTE | QUOLL_UNCACHED)

struct checker {
    struct image *image;
    char *reason;
    size_t reason_size;
};

/*
 * Contracts are for Frama-C (tests/proof, whose run names the functions that are proved): each check of a record reads inside the tables
 * only, whatever the record says, and what it lets pass is what its contract says. Checks of later tables rest on what those of earlier ones have let pass (IMAGE_TABLES).
 */
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

    predicate is_content(struct image *m, struct image_region *r) =
      r->content_offset + r->content_size <= m->header->total_size;
    predicate is_ram_region(struct image *m, integer region) =
      0 <= region < m->region_count && m->regions[region].kind == IMAGE_REGION_RAM;
    predicate component_good(struct image *m, integer i) =
      m->components[i].first_object + m->components[i].object_count <= m->object_count &&
      is_ram_region(m, m->components[i].environment) &&
      (m->components[i].fault_channel == IMAGE_NONE || m->components[i].fault_channel < m->channel_count);
    predicate thread_good(struct image *m, integer i) =
      m->threads[i].component < m->component_count && m->threads[i].core < m->header->cores &&
      m->threads[i].priority <= 255 && 0 < m->threads[i].budget <= m->threads[i].period &&
      m->threads[i].entry < ADDRESS_LIMIT;
    predicate region_good(struct image *m, integer i) =
      m->regions[i].kind < IMAGE_REGION_KIND_COUNT && m->regions[i].size <= ADDRESS_LIMIT &&
      m->regions[i].size % QUOLL_PAGE_SIZE == 0 &&
      (m->regions[i].device < m->device_count || m->regions[i].device == IMAGE_NONE) &&
      (m->regions[i].kind == IMAGE_REGION_RAM ==> 0 < m->regions[i].size &&
        m->regions[i].content_size <= m->regions[i].size &&
        (m->regions[i].content_size != 0 ==> is_content(m, m->regions + i))) &&
      (m->regions[i].kind == IMAGE_REGION_IMAGE ==>
        m->regions[i].content_offset % QUOLL_PAGE_SIZE == 0 && is_content(m, m->regions + i));
    predicate mapping_refers(struct image *m, integer i) =
      m->mappings[i].region < m->region_count && m->mappings[i].space_kind <= IMAGE_SPACE_VM &&
      m->mappings[i].space < (m->mappings[i].space_kind == IMAGE_SPACE_VM ? m->vm_count : m->component_count);
    predicate mapping_good(struct image *m, integer i) =
      mapping_refers(m, i) && m->mappings[i].offset <= ADDRESS_LIMIT && m->mappings[i].size <= ADDRESS_LIMIT &&
      (m->regions[m->mappings[i].region].size != 0 ==>
        m->mappings[i].offset + m->mappings[i].size <= m->regions[m->mappings[i].region].size) &&
      (m->mappings[i].rights != 0 ==>
        m->mappings[i].address % QUOLL_PAGE_SIZE == 0 && m->mappings[i].address < ADDRESS_LIMIT);
    predicate signal_good(struct image *m, integer thread, integer bit) =
      thread < m->thread_count && bit < QUOLL_SIGNAL_CHANNELS;
    predicate object_good(struct image *m, integer i) =
      m->objects[i].type < QUOLL_OBJECT_TYPE_COUNT &&
      (m->objects[i].type == QUOLL_OBJECT_THREAD ==> m->objects[i].index < m->thread_count) &&
      (m->objects[i].type == QUOLL_OBJECT_CHANNEL ==> m->objects[i].index < m->channel_count) &&
      (m->objects[i].type == QUOLL_OBJECT_IRQ ==> m->objects[i].index < m->irq_count) &&
      (m->objects[i].type == QUOLL_OBJECT_VCPU ==> m->objects[i].index < m->vcpu_count) &&
      (m->objects[i].type == QUOLL_OBJECT_VM ==> m->objects[i].index < m->vm_count) &&
      (m->objects[i].type == QUOLL_OBJECT_LINE ==> m->objects[i].index < m->line_count) &&
      (m->objects[i].type == QUOLL_OBJECT_REGION ==> is_ram_region(m, m->objects[i].index)) &&
      (m->objects[i].type == QUOLL_OBJECT_RECEIVE ==>
        m->objects[i].index < (m->objects[i].argument == 1 ? m->irq_count : m->channel_count));
    predicate vm_good(struct image *m, integer i) =
      m->vms[i].component < m->component_count && is_ram_region(m, m->vms[i].interrupts) &&
      0 < m->vms[i].vcpu_count <= QUOLL_MAX_VCPUS_PER_VM &&
      m->vms[i].first_vcpu + m->vms[i].vcpu_count <= m->vcpu_count;
    predicate vcpu_good(struct image *m, integer i) =
      m->vcpus[i].vm < m->vm_count && m->vcpus[i].thread < m->thread_count && is_ram_region(m, m->vcpus[i].page) &&
      m->vms[m->vcpus[i].vm].first_vcpu <= i < m->vms[m->vcpus[i].vm].first_vcpu + m->vms[m->vcpus[i].vm].vcpu_count; */

#define FAIL(...) (text_format(check->reason, check->reason_size, __VA_ARGS__), false)

/* "RECORD 3 ('name') ...; remedy" for what only a wrong tool can produce. */
/*@ requires \valid_read(check) && \valid(check->reason + (0 .. check->reason_size - 1));
    assigns check->reason[0 .. check->reason_size - 1];
    ensures !\result; */
static bool wrong(struct checker *check, const char *record, uint32_t index, const char *name,
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
            return wrong(check, #record, i, NULL, "has a name that does not end");                 \
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

/*@ requires \valid_read(image) && has_tables(image);
    assigns \nothing;
    ensures \result <==> is_ram_region(image, region); */
static bool is_ram(const struct image *image, uint32_t region)
{
    return region < image->region_count && image->regions[region].kind == IMAGE_REGION_RAM;
}

/*@ requires \valid_read(image) && has_tables(image) && component < image->component_count;
    assigns \nothing; */
static uint64_t environment_size(const struct image *image, uint32_t component)
{
    uint64_t entries = image->components[component].object_count;
    /*@ loop invariant i <= image->mapping_count;
        loop assigns i, entries;
        loop variant image->mapping_count - i; */
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        entries += image->mappings[i].space_kind == IMAGE_SPACE_COMPONENT &&
                           image->mappings[i].space == component
                       ? 1
                       : 0;
    }
    return sizeof(struct quoll_environment) + entries * sizeof(struct quoll_environment_entry);
}

/*@ requires is_check(check) && index < check->image->component_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> component_good(check->image, index); */
static bool check_component(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_component *component = &image->components[index];
    const char *bad = NULL;
    if (component->first_object > image->object_count ||
        component->object_count > image->object_count - component->first_object)
        bad = "has objects outside the object table";
    else if (!is_ram(image, component->environment))
        bad = "has no memory for its environment";
    else if (image->regions[component->environment].content_size != 0)
        bad = "has contents where its environment goes";
    else if (image->regions[component->environment].size < environment_size(image, index))
        bad = "has too little memory for its environment";
    else if (component->fault_channel != IMAGE_NONE &&
             component->fault_channel >= image->channel_count)
        bad = "has a fault channel that does not exist";
    return bad == NULL || wrong(check, "component", index, component->name, bad);
}

/*@ requires is_check(check) && index < check->image->thread_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> thread_good(check->image, index); */
static bool check_thread(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_thread *thread = &image->threads[index];
    const char *bad = NULL;
    if (thread->component >= image->component_count)
        bad = "belongs to no component";
    else if (thread->core >= image->header->cores)
        bad = "is on a core that the system does not use";
    else if (thread->priority > 255)
        bad = "has a priority above 255";
    else if ((thread->flags & ~IMAGE_THREAD_SUSPENDED) != 0)
        bad = "has unknown flags";
    else if (thread->period == 0 || thread->period > LONGEST_PERIOD || thread->budget == 0 ||
             thread->budget > thread->period)
        bad = "has a budget that is not between 1 us and its period";
    else if (thread->entry >= ADDRESS_LIMIT || thread->entry % 4 != 0)
        bad = "starts at an impossible address";
    else if (thread->stack > ADDRESS_LIMIT || thread->stack % 16 != 0)
        bad = "has an impossible stack address";
    else if (thread->argument > UINT16_MAX)
        bad = "has an impossible number";
    uint32_t before = 0;
    /*@ loop invariant i <= index;
        loop assigns i, before, bad;
        loop variant index - i; */
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        before += image->threads[i].core == thread->core ? 1 : 0;
        if (image->threads[i].component == thread->component &&
            image->threads[i].argument == thread->argument)
            bad = "has the same number as another thread of its component";
    }
    if (bad == NULL && before >= QUOLL_MAX_THREADS_PER_CORE)
        return FAIL("core %u has more than %u threads; spread the components and VMs over more "
                    "cores in the system description",
                    thread->core, QUOLL_MAX_THREADS_PER_CORE);
    return bad == NULL || wrong(check, "thread", index, NULL, bad);
}

/*@ requires is_check(check) && index < check->image->device_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> check->image->devices[index].compatible[0] != 0; */
static bool check_device(struct checker *check, uint32_t index)
{
    const struct image_device *device = &check->image->devices[index];
    return device->compatible[0] != 0 || wrong(check, "device", index, NULL, "has no name");
}

/*@ requires \valid_read(image) && \valid_read(image->header) && \valid_read(region);
    assigns \nothing;
    ensures \result <==> is_content(image, region); */
static bool content_fits(const struct image *image, const struct image_region *region)
{
    return region->content_offset <= image->header->total_size &&
           region->content_size <= image->header->total_size - region->content_offset;
}

//@ assigns \nothing;
static uint64_t whole_pages(uint64_t size)
{
    return (size + QUOLL_PAGE_SIZE - 1) & ~(QUOLL_PAGE_SIZE - 1);
}

/*@ requires is_check(check) && index < check->image->region_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> region_good(check->image, index); */
static bool check_region(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_region *region = &image->regions[index];
    bool device = region->kind == IMAGE_REGION_REGISTERS || region->kind == IMAGE_REGION_WINDOW;
    const char *bad = NULL;
    if (region->kind >= IMAGE_REGION_KIND_COUNT)
        bad = "is of unknown kind";
    else if (device ? region->device >= image->device_count : region->device != IMAGE_NONE)
        bad = "names a device that it cannot have";
    else if (region->size % QUOLL_PAGE_SIZE != 0 || region->size > ADDRESS_LIMIT)
        bad = "has a size that is not a possible number of pages";
    else if (region->kind == IMAGE_REGION_RAM &&
             (region->size == 0 || region->content_size > region->size ||
              (region->content_size != 0 && !content_fits(image, region))))
        bad = "has no size, or contents that are not in the image";
    else if ((region->flags & ~IMAGE_REGION_KEEP) != 0 ||
             (region->flags != 0 &&
              (region->kind != IMAGE_REGION_RAM || region->content_size != 0)))
        bad = "has flags that it cannot have";
    else if (region->kind == IMAGE_REGION_IMAGE &&
             (region->content_offset % QUOLL_PAGE_SIZE != 0 || region->content_size == 0 ||
              !content_fits(image, region) || region->size != whole_pages(region->content_size)))
        bad = "is not a range of whole pages of the image";
    else if (region->kind != IMAGE_REGION_RAM && region->kind != IMAGE_REGION_IMAGE &&
             (region->content_size != 0 || region->size != 0))
        bad = "has a size or contents, which only the machine can tell";
    return bad == NULL || wrong(check, "region", index, region->name, bad);
}

/* The rights that a region of this kind may be mapped with. */
/*@ requires \valid_read(mapping);
    assigns \nothing; */
static bool rights_allowed(const struct image_mapping *mapping, uint32_t kind)
{
    uint32_t rights = mapping->rights;
    if ((rights & ~(uint32_t)ALL_RIGHTS) != 0 || !(rights & QUOLL_READ))
        return false;
    bool device = kind == IMAGE_REGION_REGISTERS || kind == IMAGE_REGION_WINDOW;
    if (device)
        return (rights & QUOLL_UNCACHED) && !(rights & QUOLL_EXECUTE);
    if (kind != IMAGE_REGION_RAM && (rights & (QUOLL_WRITE | QUOLL_UNCACHED)))
        return false;
    if ((kind == IMAGE_REGION_DEVICE_TREE || kind == IMAGE_REGION_KERNEL_LOG) &&
        (rights & QUOLL_EXECUTE))
        return false;
    return true;
}

//@ assigns \nothing;
static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* The size as far as the image tells; 0: only the machine does. */
/*@ requires \valid_read(image) && has_tables(image) && \valid_read(mapping) && mapping->region < image->region_count;
    assigns \nothing; */
static uint64_t known_size(const struct image *image, const struct image_mapping *mapping)
{
    uint64_t size = image->regions[mapping->region].size;
    if (mapping->size != 0)
        return mapping->size;
    return size != 0 ? size - mapping->offset : 0;
}

/*@ requires \valid_read(image) && has_tables(image) && index < image->mapping_count;
    requires \forall integer i; 0 <= i <= index ==> mapping_refers(image, i);
    assigns \nothing; */
static const char *check_overlaps(const struct image *image, uint32_t index)
{
    const struct image_mapping *mapping = &image->mappings[index];
    uint64_t size = known_size(image, mapping);
    /*@ loop invariant i <= index;
        loop assigns i;
        loop variant index - i; */
    for (uint32_t i = 0; i < index; i++) {
        const struct image_mapping *other = &image->mappings[i];
        if (other->rights != 0 && other->space_kind == mapping->space_kind &&
            other->space == mapping->space &&
            overlap(mapping->address, size != 0 ? size : 1, other->address,
                    known_size(image, other) != 0 ? known_size(image, other) : 1))
            return "overlaps another mapping in the same address space";
    }
    if (mapping->space_kind != IMAGE_SPACE_VM)
        return NULL;
    const struct image_vm *vm = &image->vms[mapping->space];
    if (vm->paged_size != 0 && vm->paged_address < ADDRESS_LIMIT &&
        vm->paged_size <= ADDRESS_LIMIT &&
        overlap(mapping->address, size != 0 ? size : 1, vm->paged_address, vm->paged_size))
        return "overlaps the paged range of its VM";
    return NULL;
}

/*@ requires is_check(check) && index < check->image->mapping_count;
    requires \forall integer i; 0 <= i < index ==> mapping_refers(check->image, i);
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> mapping_good(check->image, index); */
static bool check_mapping(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_mapping *mapping = &image->mappings[index];
    bool in_vm = mapping->space_kind == IMAGE_SPACE_VM;
    if (mapping->space_kind > IMAGE_SPACE_VM ||
        mapping->space >= (in_vm ? image->vm_count : image->component_count) ||
        mapping->region >= image->region_count)
        return wrong(check, "mapping", index, mapping->name, "is of nothing, or into nothing");
    const struct image_region *region = &image->regions[mapping->region];
    const char *name = mapping->name[0] != 0 ? mapping->name : region->name;
    const char *bad = NULL;
    if ((mapping->offset | mapping->size) % QUOLL_PAGE_SIZE != 0 ||
        mapping->offset > ADDRESS_LIMIT || mapping->size > ADDRESS_LIMIT)
        bad = "has an offset or size that is not a possible number of pages";
    else if (region->size != 0 &&
             (mapping->offset >= region->size || mapping->size > region->size - mapping->offset))
        bad = "reaches beyond its region";
    else if (mapping->rights == 0)
        return true;
    else if (mapping->address % QUOLL_PAGE_SIZE != 0 || mapping->address >= ADDRESS_LIMIT ||
             known_size(image, mapping) > ADDRESS_LIMIT - mapping->address)
        bad = "has an impossible address";
    else if (!rights_allowed(mapping, region->kind))
        bad = "has rights that its region does not allow";
    else if (!in_vm && (mapping->rights & QUOLL_WRITE) && (mapping->rights & QUOLL_EXECUTE))
        bad = "is both writable and executable";
    else
        bad = check_overlaps(image, index);
    return bad == NULL || wrong(check, "mapping", index, name, bad);
}

/*@ requires \valid_read(image) && has_tables(image) && \valid_read(object);
    assigns \nothing;
    ensures object->type == QUOLL_OBJECT_THREAD ==> \result == image->thread_count;
    ensures object->type == QUOLL_OBJECT_CHANNEL ==> \result == image->channel_count;
    ensures object->type == QUOLL_OBJECT_IRQ ==> \result == image->irq_count;
    ensures object->type == QUOLL_OBJECT_VCPU ==> \result == image->vcpu_count;
    ensures object->type == QUOLL_OBJECT_VM ==> \result == image->vm_count;
    ensures object->type == QUOLL_OBJECT_LINE ==> \result == image->line_count;
    ensures object->type == QUOLL_OBJECT_REGION ==> \result == image->region_count;
    ensures object->type == QUOLL_OBJECT_RECEIVE ==>
      \result == (object->argument == 1 ? image->irq_count : image->channel_count); */
static uint32_t objects_of_type(const struct image *image, const struct image_object *object)
{
    switch ((enum quoll_object_type)object->type) {
    case QUOLL_OBJECT_CHANNEL:
        return image->channel_count;
    case QUOLL_OBJECT_LINE:
        return image->line_count;
    case QUOLL_OBJECT_IRQ:
        return image->irq_count;
    case QUOLL_OBJECT_VCPU:
        return image->vcpu_count;
    case QUOLL_OBJECT_VM:
        return image->vm_count;
    case QUOLL_OBJECT_REGION:
        return image->region_count;
    case QUOLL_OBJECT_THREAD:
        return image->thread_count;
    case QUOLL_OBJECT_MACHINE:
        return 1;
    case QUOLL_OBJECT_RECEIVE:
        return object->argument == 1 ? image->irq_count : image->channel_count;
    default:
        return 0;
    }
}

/*@ requires is_check(check) && index < check->image->object_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> object_good(check->image, index); */
static bool check_object(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_object *object = &image->objects[index];
    const char *bad = NULL;
    if (object->type >= QUOLL_OBJECT_TYPE_COUNT)
        bad = "is of unknown type";
    else if (object->type != QUOLL_OBJECT_NONE && object->index >= objects_of_type(image, object))
        bad = "names something that does not exist";
    else if (object->type == QUOLL_OBJECT_REGION &&
             image->regions[object->index].kind != IMAGE_REGION_RAM)
        bad = "names a region that is not RAM: whoever has it may map it writable";
    return bad == NULL || wrong(check, "object", index, object->name, bad);
}

/* A receive tells a component about a signal of its own. */
/*@ requires is_check(check);
    requires \forall integer i; 0 <= i < check->image->component_count ==> component_good(check->image, i);
    requires \forall integer i; 0 <= i < check->image->object_count ==> object_good(check->image, i);
    requires \forall integer i; 0 <= i < check->image->channel_count ==>
      signal_good(check->image, check->image->channels[i].thread, check->image->channels[i].bit);
    requires \forall integer i; 0 <= i < check->image->irq_count ==>
      signal_good(check->image, check->image->irqs[i].thread, check->image->irqs[i].bit);
    assigns check->reason[0 .. check->reason_size - 1]; */
static bool check_receives(struct checker *check)
{
    const struct image *image = check->image;
    /*@ loop invariant c <= image->component_count;
        loop assigns c;
        loop variant image->component_count - c; */
    for (uint32_t c = 0; c < image->component_count; c++) {
        const struct image_component *component = &image->components[c];
        /*@ loop invariant i <= component->object_count;
            loop assigns i;
            loop variant component->object_count - i; */
        for (uint32_t i = 0; i < component->object_count; i++) {
            const struct image_object *object = &image->objects[component->first_object + i];
            if (object->type != QUOLL_OBJECT_RECEIVE)
                continue;
            uint32_t thread = object->argument == 1 ? image->irqs[object->index].thread
                                                    : image->channels[object->index].thread;
            if (image->threads[thread].component != c)
                return wrong(check, "object", component->first_object + i, object->name,
                             "receives another component's signal");
        }
    }
    return true;
}

/*@ requires is_check(check) && index < check->image->channel_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> signal_good(check->image, check->image->channels[index].thread, check->image->channels[index].bit);
    ensures its_own_signal: \result ==> \forall integer i; 0 <= i < index ==>
      check->image->channels[i].thread != check->image->channels[index].thread ||
      check->image->channels[i].bit != check->image->channels[index].bit; */
static bool check_channel(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_channel *channel = &image->channels[index];
    const char *bad = NULL;
    if (channel->thread >= image->thread_count || channel->bit >= QUOLL_SIGNAL_CHANNELS)
        bad = "raises a signal that does not exist";
    /*@ loop invariant i <= index;
        loop invariant bad == \null ==> \forall integer n; 0 <= n < i ==>
          image->channels[n].thread != channel->thread || image->channels[n].bit != channel->bit;
        loop assigns i, bad;
        loop variant index - i; */
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->channels[i].thread == channel->thread && image->channels[i].bit == channel->bit)
            bad = "raises the same signal as another channel";
    }
    return bad == NULL || wrong(check, "channel", index, NULL, bad);
}

/*@ requires is_check(check) && index < check->image->irq_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> signal_good(check->image, check->image->irqs[index].thread, check->image->irqs[index].bit);
    ensures \result ==> check->image->irqs[index].device < check->image->device_count;
    ensures its_own_signal: \result ==> \forall integer i; 0 <= i < index ==>
      check->image->irqs[i].thread != check->image->irqs[index].thread ||
      check->image->irqs[i].bit != check->image->irqs[index].bit; */
static bool check_irq(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_irq *irq = &image->irqs[index];
    const char *bad = NULL;
    if (irq->device >= image->device_count)
        bad = "is of no device";
    else if (irq->thread >= image->thread_count || irq->bit >= QUOLL_SIGNAL_CHANNELS)
        bad = "raises a signal that does not exist";
    /*@ loop invariant i <= index;
        loop invariant bad == \null ==> \forall integer n; 0 <= n < i ==>
          image->irqs[n].thread != irq->thread || image->irqs[n].bit != irq->bit;
        loop assigns i, bad;
        loop variant index - i; */
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->irqs[i].device == irq->device && image->irqs[i].number == irq->number)
            bad = "is the same interrupt as another one";
        else if (image->irqs[i].thread == irq->thread && image->irqs[i].bit == irq->bit)
            bad = "raises the same signal as another interrupt";
    }
    /*@ loop invariant i <= image->channel_count;
        loop assigns i, bad;
        loop variant image->channel_count - i; */
    for (uint32_t i = 0; bad == NULL && i < image->channel_count; i++) {
        if (image->channels[i].thread == irq->thread && image->channels[i].bit == irq->bit)
            bad = "raises the same signal as a channel";
    }
    return bad == NULL || wrong(check, "irq", index, NULL, bad);
}

/* A page that the kernel shares with one VMM, and that nothing else uses. */
/*@ requires \valid_read(image) && has_tables(image);
    assigns \nothing;
    ensures \result ==> is_ram_region(image, region); */
static bool is_shared_page(const struct image *image, uint32_t region)
{
    return is_ram(image, region) && image->regions[region].size == QUOLL_PAGE_SIZE &&
           image->regions[region].flags == 0;
}

/*@ requires is_check(check) && index < check->image->vm_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> vm_good(check->image, index); */
static bool check_vm(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_vm *vm = &image->vms[index];
    uint32_t expected = 0;
    const char *bad = NULL;
    /*@ loop invariant i <= index;
        loop assigns i, expected, bad;
        loop variant index - i; */
    for (uint32_t i = 0; i < index; i++) {
        expected += image->vms[i].vcpu_count;
        if (image->vms[i].interrupts == vm->interrupts)
            bad = "shares its interrupt page with another";
    }
    if (vm->component >= image->component_count)
        bad = "has no VMM";
    else if (!is_shared_page(image, vm->interrupts))
        bad = "has no interrupt page";
    else if (vm->vcpu_count == 0 || vm->vcpu_count > QUOLL_MAX_VCPUS_PER_VM ||
             vm->first_vcpu != expected || vm->vcpu_count > image->vcpu_count - expected)
        bad = "has no vCPUs, too many, or another VM's";
    else if ((vm->paged_address | vm->paged_size) % QUOLL_PAGE_SIZE != 0 ||
             vm->paged_size > ADDRESS_LIMIT ||
             (vm->paged_size != 0 && vm->paged_address > ADDRESS_LIMIT - vm->paged_size))
        bad = "has an impossible paged range";
    return bad == NULL || wrong(check, "vm", index, vm->name, bad);
}

/*@ requires is_check(check) && index < check->image->vcpu_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> vcpu_good(check->image, index); */
static bool check_vcpu(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_vcpu *vcpu = &image->vcpus[index];
    const char *bad = NULL;
    if (vcpu->vm >= image->vm_count || index < image->vms[vcpu->vm].first_vcpu ||
        index - image->vms[vcpu->vm].first_vcpu >= image->vms[vcpu->vm].vcpu_count)
        bad = "is not where its VM has its vCPUs";
    else if (vcpu->thread >= image->thread_count ||
             image->threads[vcpu->thread].component != image->vms[vcpu->vm].component)
        bad = "has no handler thread in its VM's component";
    else if (!is_shared_page(image, vcpu->page))
        bad = "has no vCPU page";
    /*@ loop invariant i <= image->vm_count;
        loop assigns i, bad;
        loop variant image->vm_count - i; */
    for (uint32_t i = 0; bad == NULL && i < image->vm_count; i++) {
        if (image->vms[i].interrupts == vcpu->page)
            bad = "uses an interrupt page as its vCPU page";
    }
    /*@ loop invariant i <= index;
        loop assigns i, bad;
        loop variant index - i; */
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->vcpus[i].thread == vcpu->thread || image->vcpus[i].page == vcpu->page)
            bad = "shares its thread or page with another";
    }
    return bad == NULL || wrong(check, "vcpu", index, NULL, bad);
}

/*@ requires \valid_read(image) && has_tables(image);
    requires \forall integer i; 0 <= i < image->mapping_count ==> mapping_refers(image, i);
    assigns \nothing; */
static bool is_mapped_in_vm(const struct image *image, uint32_t vm, uint64_t address)
{
    /*@ loop invariant i <= image->mapping_count;
        loop assigns i;
        loop variant image->mapping_count - i; */
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->space_kind == IMAGE_SPACE_VM && mapping->space == vm && mapping->rights != 0 &&
            overlap(mapping->address, known_size(image, mapping), address, 1))
            return true;
    }
    return false;
}

/*@ requires is_check(check) && index < check->image->doorbell_count;
    requires \forall integer i; 0 <= i < check->image->mapping_count ==> mapping_refers(check->image, i);
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> check->image->doorbells[index].vm < check->image->vm_count &&
      check->image->doorbells[index].channel < check->image->channel_count; */
static bool check_doorbell(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_doorbell *bell = &image->doorbells[index];
    const char *bad = NULL;
    bool size_good = bell->size == 1 || bell->size == 2 || bell->size == 4 || bell->size == 8;
    if (bell->vm >= image->vm_count || bell->channel >= image->channel_count)
        bad = "is of no VM or raises no channel";
    else if (!size_good || bell->address % bell->size != 0 || bell->address >= ADDRESS_LIMIT)
        bad = "has an impossible address or size";
    else if (is_mapped_in_vm(image, bell->vm, bell->address))
        bad = "is in a page that the VM has mapped";
    /*@ loop invariant i <= index;
        loop assigns i, bad;
        loop variant index - i; */
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->doorbells[i].vm == bell->vm && image->doorbells[i].address == bell->address)
            bad = "is at the same address as another";
    }
    return bad == NULL || wrong(check, "doorbell", index, NULL, bad);
}

/*@ requires is_check(check) && index < check->image->line_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> check->image->lines[index].vm < check->image->vm_count &&
      32 <= check->image->lines[index].intid < 32 + QUOLL_VM_SPIS; */
static bool check_line(struct checker *check, uint32_t index)
{
    const struct image_line *line = &check->image->lines[index];
    if (line->vm < check->image->vm_count && line->intid >= 32 && line->intid < 32 + QUOLL_VM_SPIS)
        return true;
    return wrong(check, "line", index, NULL, "is of no VM or names no SPI");
}

static bool check_records(struct checker *check)
{
    const struct image *image = check->image;
#define TABLE(name, limit)                                                                         \
    for (uint32_t i = 0; i < image->name##_count; i++) {                                           \
        if (!check_##name(check, i))                                                               \
            return false;                                                                          \
    }
    IMAGE_TABLES(TABLE)
#undef TABLE
    uint32_t log_channel = image->header->log_channel;
    if (log_channel != IMAGE_NONE && log_channel >= image->channel_count)
        return FAIL("the system image is wrong: its log channel does not exist; " REBUILD);
    return check_receives(check);
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
