/*
 * What a call should answer: from the description of the interface in quoll/abi.h and the system image. The kernel's own
 * tables are not asked. Which of several statuses a refused call gets is the kernel's choice.
 */
#include "model_parts.h"

const struct image_object *expect_object(const struct thread *thread, uint64_t handle,
                                         uint32_t type)
{
    const struct world_image *image = world.image;
    const struct image_component *component =
        &image->components[image->threads[thread->index].component];
    if (handle >= component->object_count)
        return NULL;
    const struct image_object *object = &image->objects[component->first_object + handle];
    return object->type == type ? object : NULL;
}

static bool pages_fit(const struct image_vm *vm, uint64_t address, uint64_t size)
{
    return address % PAGE_SIZE == 0 && size % PAGE_SIZE == 0 && size != 0 &&
           size <= QUOLL_MAP_BYTES && address >= vm->paged_address &&
           address - vm->paged_address < vm->paged_size &&
           size <= vm->paged_size - (address - vm->paged_address);
}

static bool rights_good(uint64_t rights)
{
    return rights < 8 && rights % 2 == 1; /* readable, and nothing but write and execute beside */
}

static bool map_good(const struct thread *thread, const struct image_vm *vm, const uint64_t *a)
{
    const struct image_object *region = expect_object(thread, a[2], QUOLL_OBJECT_REGION);
    uint64_t size = a[4] / PAGE_SIZE * PAGE_SIZE;
    return region != NULL && pages_fit(vm, a[1], size) && rights_good(a[4] % PAGE_SIZE) &&
           a[3] % PAGE_SIZE == 0 && a[3] < world.image->regions[region->index].size &&
           size <= world.image->regions[region->index].size - a[3];
}

static bool interrupt_good(const struct image_vm *vm, const uint64_t *a)
{
    if (a[2] == QUOLL_VCPU_IRQ_LOOK)
        return a[1] == QUOLL_VCPU_ALL || a[1] < vm->vcpu_count;
    if (a[2] < 32)
        return a[1] < vm->vcpu_count;
    return a[2] < 32 + QUOLL_VM_SPIS;
}

static bool vm_call_good(const struct thread *thread, uint64_t number, const uint64_t *a)
{
    const struct image_object *object = expect_object(thread, a[0], QUOLL_OBJECT_VM);
    if (object == NULL)
        return false;
    const struct image_vm *vm = &world.image->vms[object->index];
    switch (number) {
    case QUOLL_CALL_vcpu_irq:
        return interrupt_good(vm, a);
    case QUOLL_CALL_map:
        return map_good(thread, vm, a);
    case QUOLL_CALL_unmap:
        return pages_fit(vm, a[1], a[2]);
    default:
        return pages_fit(vm, a[1], a[2]) && rights_good(a[3]);
    }
}

static enum expectation expect_run(const struct thread *thread, uint64_t handle)
{
    const struct image_object *object = expect_object(thread, handle, QUOLL_OBJECT_VCPU);
    if (object == NULL || world.image->vcpus[object->index].thread != thread->index)
        return EXPECT_FAILURE;
    /* With a signal pending it does not look at the guest's state. */
    return vcpus[object->index].arch.prepare == QUOLL_OK ? EXPECT_SUCCESS : EXPECT_EITHER;
}

static bool irq_good(const struct thread *thread, uint64_t handle)
{
    const struct image_object *object = expect_object(thread, handle, QUOLL_OBJECT_IRQ);
    const struct image_thread *images = world.image->threads;
    return object != NULL &&
           images[world.image->irqs[object->index].thread].core == images[thread->index].core;
}

/* Restart is for others. */
static bool control_good(const struct thread *thread, uint64_t handle, uint64_t operation)
{
    const struct image_object *object = expect_object(thread, handle, QUOLL_OBJECT_THREAD);
    if (object == NULL)
        return false;
    return operation == QUOLL_THREAD_SUSPEND || operation == QUOLL_THREAD_RESUME ||
           (operation == QUOLL_THREAD_RESTART && object->index != thread->index);
}

static bool call_good(const struct thread *thread, const struct random_call *call)
{
    const uint64_t *a = call->argument;
    switch (call->number) {
    case QUOLL_CALL_wait:
    case QUOLL_CALL_timer_set:
        return true;
    case QUOLL_CALL_signal:
        return expect_object(thread, a[0], QUOLL_OBJECT_CHANNEL) != NULL ||
               expect_object(thread, a[0], QUOLL_OBJECT_LINE) != NULL;
    case QUOLL_CALL_irq_ack:
        return irq_good(thread, a[0]);
    case QUOLL_CALL_thread_control:
        return control_good(thread, a[0], a[1]);
    case QUOLL_CALL_thread_budget:
        return expect_object(thread, a[0], QUOLL_OBJECT_THREAD) != NULL && a[1] > 0 &&
               a[1] <= a[2] && a[2] <= 60 * arch_frequency();
    case QUOLL_CALL_debug_put:
        return a[0] <= 32;
    case QUOLL_CALL_vcpu_irq:
    case QUOLL_CALL_map:
    case QUOLL_CALL_unmap:
    case QUOLL_CALL_protect:
        return vm_call_good(thread, call->number, a);
    default: /* machine_control does not return when it succeeds */
        return false;
    }
}

enum expectation expect_call(const struct thread *thread, const struct random_call *call)
{
    if (call->number == QUOLL_CALL_vcpu_run)
        return expect_run(thread, call->argument[0]);
    return call_good(thread, call) ? EXPECT_SUCCESS : EXPECT_FAILURE;
}
