/*
 * Validation of the system image: components with their threads, and the objects, channels and interrupts by which they reach others; see
 * image_parts.h.
 */
#include "image_parts.h"

#define LONGEST_PERIOD UINT64_C(1000000000) /* microseconds */

/*@ predicate component_good(struct image *m, integer i) =
      m->components[i].first_object + m->components[i].object_count <= m->object_count &&
      is_ram_region(m, m->components[i].environment) &&
      (m->components[i].fault_channel == IMAGE_NONE || m->components[i].fault_channel < m->channel_count);
    predicate thread_good(struct image *m, integer i) =
      m->threads[i].component < m->component_count && m->threads[i].core < m->header->cores &&
      m->threads[i].priority <= 255 && 0 < m->threads[i].budget <= m->threads[i].period &&
      m->threads[i].entry < ADDRESS_LIMIT;
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
        m->objects[i].index < (m->objects[i].argument == 1 ? m->irq_count : m->channel_count)); */

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
bool image_check_component(struct checker *check, uint32_t index)
{
    const struct image *image = check->image;
    const struct image_component *component = &image->components[index];
    const char *bad = NULL;
    if (component->first_object > image->object_count ||
        component->object_count > image->object_count - component->first_object)
        bad = "has objects outside the object table";
    else if (!image_is_ram(image, component->environment))
        bad = "has no memory for its environment";
    else if (image->regions[component->environment].content_size != 0)
        bad = "has contents where its environment goes";
    else if (image->regions[component->environment].size < environment_size(image, index))
        bad = "has too little memory for its environment";
    else if (component->fault_channel != IMAGE_NONE &&
             component->fault_channel >= image->channel_count)
        bad = "has a fault channel that does not exist";
    return bad == NULL || image_wrong(check, "component", index, component->name, bad);
}

/*@ requires is_check(check) && index < check->image->thread_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> thread_good(check->image, index); */
bool image_check_thread(struct checker *check, uint32_t index)
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
    return bad == NULL || image_wrong(check, "thread", index, NULL, bad);
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
bool image_check_object(struct checker *check, uint32_t index)
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
    return bad == NULL || image_wrong(check, "object", index, object->name, bad);
}

/*@ requires is_check(check);
    requires \forall integer i; 0 <= i < check->image->component_count ==> component_good(check->image, i);
    requires \forall integer i; 0 <= i < check->image->object_count ==> object_good(check->image, i);
    requires \forall integer i; 0 <= i < check->image->channel_count ==>
      signal_good(check->image, check->image->channels[i].thread, check->image->channels[i].bit);
    requires \forall integer i; 0 <= i < check->image->irq_count ==>
      signal_good(check->image, check->image->irqs[i].thread, check->image->irqs[i].bit);
    assigns check->reason[0 .. check->reason_size - 1]; */
bool image_check_receives(struct checker *check)
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
                return image_wrong(check, "object", component->first_object + i, object->name,
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
bool image_check_channel(struct checker *check, uint32_t index)
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
    return bad == NULL || image_wrong(check, "channel", index, NULL, bad);
}

/*@ requires is_check(check) && index < check->image->irq_count;
    assigns check->reason[0 .. check->reason_size - 1];
    ensures \result ==> signal_good(check->image, check->image->irqs[index].thread, check->image->irqs[index].bit);
    ensures \result ==> check->image->irqs[index].device < check->image->device_count;
    ensures its_own_signal: \result ==> \forall integer i; 0 <= i < index ==>
      check->image->irqs[i].thread != check->image->irqs[index].thread ||
      check->image->irqs[i].bit != check->image->irqs[index].bit; */
bool image_check_irq(struct checker *check, uint32_t index)
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
    return bad == NULL || image_wrong(check, "irq", index, NULL, bad);
}
