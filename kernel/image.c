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

#define FAIL(...) (text_format(check->reason, check->reason_size, __VA_ARGS__), false)

/* "RECORD 3 ('name') ...; remedy" for what only a wrong tool can produce. */
static bool wrong(struct checker *check, const char *record, uint32_t index, const char *name,
                  const char *what)
{
    return FAIL("the system image is wrong: %s %u%s%s%s %s; " REBUILD, record, index,
                name != NULL ? " ('" : "", name != NULL ? name : "", name != NULL ? "')" : "",
                what);
}

static uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, uint64_t size)
{
    static const uint32_t half[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    for (uint64_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ half[crc & 15];
        crc = crc >> 4 ^ half[crc & 15];
    }
    return crc;
}

static uint32_t checksum(const uint8_t *bytes, uint64_t size)
{
    const uint8_t zeros[4] = {0};
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

static bool name_ends(const char *name, size_t size)
{
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

static bool is_ram(const struct image *image, uint32_t region)
{
    return region < image->region_count && image->regions[region].kind == IMAGE_REGION_RAM;
}

static uint64_t environment_size(const struct image *image, uint32_t component)
{
    uint64_t entries = image->components[component].object_count;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        entries += image->mappings[i].space_kind == IMAGE_SPACE_COMPONENT &&
                           image->mappings[i].space == component
                       ? 1
                       : 0;
    }
    return sizeof(struct quoll_environment) + entries * sizeof(struct quoll_environment_entry);
}

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

static bool check_device(struct checker *check, uint32_t index)
{
    const struct image_device *device = &check->image->devices[index];
    return device->compatible[0] != 0 || wrong(check, "device", index, NULL, "has no name");
}

static bool content_fits(const struct image *image, const struct image_region *region)
{
    return region->content_offset <= image->header->total_size &&
           region->content_size <= image->header->total_size - region->content_offset;
}

static uint64_t whole_pages(uint64_t size)
{
    return (size + QUOLL_PAGE_SIZE - 1) & ~(QUOLL_PAGE_SIZE - 1);
}

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

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* The size as far as the image tells; 0: only the machine does. */
static uint64_t known_size(const struct image *image, const struct image_mapping *mapping)
{
    uint64_t size = image->regions[mapping->region].size;
    if (mapping->size != 0)
        return mapping->size;
    return size != 0 ? size - mapping->offset : 0;
}

static const char *check_overlaps(const struct image *image, uint32_t index)
{
    const struct image_mapping *mapping = &image->mappings[index];
    uint64_t size = known_size(image, mapping);
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
static bool check_receives(struct checker *check)
{
    const struct image *image = check->image;
    for (uint32_t c = 0; c < image->component_count; c++) {
        const struct image_component *component = &image->components[c];
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

static bool check_channel(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_channel *channel = &image->channels[index];
    const char *bad = NULL;
    if (channel->thread >= image->thread_count || channel->bit >= QUOLL_SIGNAL_CHANNELS)
        bad = "raises a signal that does not exist";
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->channels[i].thread == channel->thread && image->channels[i].bit == channel->bit)
            bad = "raises the same signal as another channel";
    }
    return bad == NULL || wrong(check, "channel", index, NULL, bad);
}

static bool check_irq(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_irq *irq = &image->irqs[index];
    const char *bad = NULL;
    if (irq->device >= image->device_count)
        bad = "is of no device";
    else if (irq->thread >= image->thread_count || irq->bit >= QUOLL_SIGNAL_CHANNELS)
        bad = "raises a signal that does not exist";
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->irqs[i].device == irq->device && image->irqs[i].number == irq->number)
            bad = "is the same interrupt as another one";
        else if (image->irqs[i].thread == irq->thread && image->irqs[i].bit == irq->bit)
            bad = "raises the same signal as another interrupt";
    }
    for (uint32_t i = 0; bad == NULL && i < image->channel_count; i++) {
        if (image->channels[i].thread == irq->thread && image->channels[i].bit == irq->bit)
            bad = "raises the same signal as a channel";
    }
    return bad == NULL || wrong(check, "irq", index, NULL, bad);
}

/* A page that the kernel shares with one VMM, and that nothing else uses. */
static bool is_shared_page(const struct image *image, uint32_t region)
{
    return is_ram(image, region) && image->regions[region].size == QUOLL_PAGE_SIZE;
}

static bool check_vm(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_vm *vm = &image->vms[index];
    uint32_t expected = 0;
    const char *bad = NULL;
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
    for (uint32_t i = 0; bad == NULL && i < image->vm_count; i++) {
        if (image->vms[i].interrupts == vcpu->page)
            bad = "uses an interrupt page as its vCPU page";
    }
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->vcpus[i].thread == vcpu->thread || image->vcpus[i].page == vcpu->page)
            bad = "shares its thread or page with another";
    }
    return bad == NULL || wrong(check, "vcpu", index, NULL, bad);
}

static bool is_mapped_in_vm(const struct image *image, uint32_t vm, uint64_t address)
{
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->space_kind == IMAGE_SPACE_VM && mapping->space == vm && mapping->rights != 0 &&
            overlap(mapping->address, known_size(image, mapping), address, 1))
            return true;
    }
    return false;
}

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
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->doorbells[i].vm == bell->vm && image->doorbells[i].address == bell->address)
            bad = "is at the same address as another";
    }
    return bad == NULL || wrong(check, "doorbell", index, NULL, bad);
}

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
