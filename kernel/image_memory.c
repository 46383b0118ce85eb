/*
 * Validation of the system image: devices, regions of memory, and where they are mapped; see image_parts.h.
 */
#include "image_parts.h"

#define ALL_RIGHTS (QUOLL_READ | QUOLL_WRITE | QUOLL_EXECUTE | QUOLL_UNCACHED)

/*@ predicate is_content(struct image *m, struct image_region *r) =
      r->content_offset + r->content_size <= m->header->total_size;
    predicate region_good(struct image *m, integer i) =
      m->regions[i].kind < IMAGE_REGION_KIND_COUNT && m->regions[i].size <= ADDRESS_LIMIT &&
      m->regions[i].size % QUOLL_PAGE_SIZE == 0 &&
      (m->regions[i].device < m->device_count || m->regions[i].device == IMAGE_NONE) &&
      (m->regions[i].kind == IMAGE_REGION_RAM ==> 0 < m->regions[i].size &&
        m->regions[i].content_size <= m->regions[i].size &&
        (m->regions[i].content_size != 0 ==> is_content(m, m->regions + i))) &&
      (m->regions[i].kind == IMAGE_REGION_IMAGE ==>
        m->regions[i].content_offset % QUOLL_PAGE_SIZE == 0 && is_content(m, m->regions + i));
    predicate mapping_good(struct image *m, integer i) =
      mapping_refers(m, i) && m->mappings[i].offset <= ADDRESS_LIMIT && m->mappings[i].size <= ADDRESS_LIMIT &&
      (m->regions[m->mappings[i].region].size != 0 ==>
        m->mappings[i].offset + m->mappings[i].size <= m->regions[m->mappings[i].region].size) &&
      (m->mappings[i].rights != 0 ==>
        m->mappings[i].address % QUOLL_PAGE_SIZE == 0 && m->mappings[i].address < ADDRESS_LIMIT); */

bool image_is_ram(const struct image *image, uint32_t region)
{
    return region < image->region_count && image->regions[region].kind == IMAGE_REGION_RAM;
}

/*@ requires is_check(check) && index < check->image->device_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> check->image->devices[index].compatible[0] != 0; */
bool image_check_device(struct checker *check, uint32_t index)
{
    const struct image_device *device = &check->image->devices[index];
    return device->compatible[0] != 0 || image_wrong(check, "device", index, NULL, "has no name");
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
bool image_check_region(struct checker *check, uint32_t index)
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
    return bad == NULL || image_wrong(check, "region", index, region->name, bad);
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
bool image_check_mapping(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_mapping *mapping = &image->mappings[index];
    bool in_vm = mapping->space_kind == IMAGE_SPACE_VM;
    if (mapping->space_kind > IMAGE_SPACE_VM ||
        mapping->space >= (in_vm ? image->vm_count : image->component_count) ||
        mapping->region >= image->region_count)
        return image_wrong(check, "mapping", index, mapping->name,
                           "is of nothing, or into nothing");
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
    return bad == NULL || image_wrong(check, "mapping", index, name, bad);
}

bool image_is_mapped(const struct image *image, uint32_t vm, uint64_t address)
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
