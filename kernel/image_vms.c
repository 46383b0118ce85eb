/*
 * Validation of the system image: virtual machines, and what connects them with others; see image_parts.h.
 */
#include "image_parts.h"

/*@ predicate vm_good(struct image *m, integer i) =
      m->vms[i].component < m->component_count && is_ram_region(m, m->vms[i].interrupts) &&
      0 < m->vms[i].vcpu_count <= QUOLL_MAX_VCPUS_PER_VM &&
      m->vms[i].first_vcpu + m->vms[i].vcpu_count <= m->vcpu_count;
    predicate vcpu_good(struct image *m, integer i) =
      m->vcpus[i].vm < m->vm_count && m->vcpus[i].thread < m->thread_count && is_ram_region(m, m->vcpus[i].page) &&
      m->vms[m->vcpus[i].vm].first_vcpu <= i < m->vms[m->vcpus[i].vm].first_vcpu + m->vms[m->vcpus[i].vm].vcpu_count; */

/* A page that the kernel shares with one VMM, and that nothing else uses. */
/*@ requires \valid_read(image) && has_tables(image);
    assigns \nothing;
    ensures \result ==> is_ram_region(image, region); */
static bool is_shared_page(const struct image *image, uint32_t region)
{
    return image_is_ram(image, region) && image->regions[region].size == QUOLL_PAGE_SIZE &&
           image->regions[region].flags == 0;
}

/*@ requires is_check(check) && index < check->image->vm_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> vm_good(check->image, index); */
bool image_check_vm(struct checker *check, uint32_t index)
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
    return bad == NULL || image_wrong(check, "vm", index, vm->name, bad);
}

/*@ requires is_check(check) && index < check->image->vcpu_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> vcpu_good(check->image, index); */
bool image_check_vcpu(struct checker *check, uint32_t index)
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
    return bad == NULL || image_wrong(check, "vcpu", index, NULL, bad);
}

/*@ requires is_check(check) && index < check->image->doorbell_count;
    requires \forall integer i; 0 <= i < check->image->mapping_count ==> mapping_refers(check->image, i);
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> check->image->doorbells[index].vm < check->image->vm_count &&
      check->image->doorbells[index].channel < check->image->channel_count; */
bool image_check_doorbell(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_doorbell *bell = &image->doorbells[index];
    const char *bad = NULL;
    bool size_good = bell->size == 1 || bell->size == 2 || bell->size == 4 || bell->size == 8;
    if (bell->vm >= image->vm_count || bell->channel >= image->channel_count)
        bad = "is of no VM or raises no channel";
    else if (!size_good || bell->address % bell->size != 0 || bell->address >= ADDRESS_LIMIT)
        bad = "has an impossible address or size";
    else if (image_is_mapped(image, bell->vm, bell->address))
        bad = "is in a page that the VM has mapped";
    /*@ loop invariant i <= index;
        loop assigns i, bad;
        loop variant index - i; */
    for (uint32_t i = 0; bad == NULL && i < index; i++) {
        if (image->doorbells[i].vm == bell->vm && image->doorbells[i].address == bell->address)
            bad = "is at the same address as another";
    }
    return bad == NULL || image_wrong(check, "doorbell", index, NULL, bad);
}

/*@ requires is_check(check) && index < check->image->line_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> check->image->lines[index].vm < check->image->vm_count &&
      32 <= check->image->lines[index].intid < 32 + QUOLL_VM_SPIS; */
bool image_check_line(struct checker *check, uint32_t index)
{
    const struct image_line *line = &check->image->lines[index];
    if (line->vm < check->image->vm_count && line->intid >= 32 && line->intid < 32 + QUOLL_VM_SPIS)
        return true;
    return image_wrong(check, "line", index, NULL, "is of no VM or names no SPI");
}
