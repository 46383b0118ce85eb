/* The kernel's objects, from the system image's tables; see start_parts.h. */
#include "log.h"
#include "signal.h"
#include "start_parts.h"

static uint64_t ticks(uint64_t microseconds)
{
    uint64_t frequency = arch_frequency();
    uint64_t result =
        microseconds / 1000000 * frequency + microseconds % 1000000 * frequency / 1000000;
    return result != 0 ? result : 1;
}

static void build_components(void)
{
    component_count = build.image->component_count;
    for (uint32_t i = 0; i < component_count; i++) {
        const struct image_component *from = &build.image->components[i];
        struct component *component = &components[i];
        start_copy((uintptr_t)component->name, from->name, QUOLL_NAME_SIZE);
        component->index = i;
        component->first_object = from->first_object;
        component->object_count = from->object_count;
        component->fault_channel = from->fault_channel;
    }
    for (uint32_t i = 0; i < build.image->object_count; i++) {
        objects[i].type = build.image->objects[i].type;
        objects[i].index = build.image->objects[i].index;
    }
}

static void build_threads(void)
{
    thread_count = build.image->thread_count;
    for (uint32_t i = 0; i < thread_count; i++) {
        const struct image_thread *from = &build.image->threads[i];
        struct thread *thread = &threads[i];
        struct core *core = &cores[from->core];
        thread->number = (uint32_t)from->argument;
        thread->entry = from->entry;
        thread->stack = from->stack;
        thread_begin(thread, 0);
        thread->core = core;
        thread->component = &components[from->component];
        thread->suspended = (from->flags & IMAGE_THREAD_SUSPENDED) != 0;
        thread->priority = (uint8_t)from->priority;
        thread->slot = core->thread_count;
        core->threads[core->thread_count++] = thread;
        thread->period = ticks(from->period);
        thread->budget = from->budget == from->period ? thread->period : ticks(from->budget);
        thread->budget_left = thread->budget;
        thread->period_start = arch_now();
        thread->index = i;
    }
}

static void build_channels(void)
{
    const struct image *image = build.image;
    for (uint32_t i = 0; i < image->channel_count; i++) {
        channels[i].thread = &threads[image->channels[i].thread];
        channels[i].bit = image->channels[i].bit;
    }
    if (image->header->log_channel != IMAGE_NONE)
        log_channel = &channels[image->header->log_channel];
}

static void build_irqs(void)
{
    const struct devicetree *tree = &build.machine->tree;
    irq_count = build.image->irq_count;
    for (uint32_t i = 0; i < irq_count; i++) {
        const struct image_irq *from = &build.image->irqs[i];
        const struct devicetree_node *node = &build.devices[from->device];
        struct devicetree_property map;
        struct irq *irq = &irqs[i];
        irq->thread = &threads[from->thread];
        irq->bit = from->bit;
        bool found = devicetree_property(tree, node, "interrupt-map", &map)
                         ? devicetree_pci_interrupt(tree, node, from->number, &irq->intid)
                         : devicetree_interrupt(tree, node, from->number, &irq->intid);
        if (!found || irq->intid < 32)
            kstop("device '%s' has no interrupt number %u that Quoll can use, in the device tree "
                  "of this machine",
                  start_device_name(from->device), from->number);
        for (uint32_t j = 0; j < i; j++) {
            if (irqs[j].intid == irq->intid)
                kstop("interrupt %u of device '%s' is also another device's: two components "
                      "cannot share it",
                      irq->intid, start_device_name(from->device));
        }
    }
}

static void build_vms(void)
{
    const struct image *image = build.image;
    vm_count = image->vm_count;
    vcpu_count = image->vcpu_count;
    for (uint32_t i = 0; i < vm_count; i++) {
        const struct image_vm *from = &image->vms[i];
        struct vm *vm = &vms[i];
        start_copy((uintptr_t)vm->name, from->name, QUOLL_NAME_SIZE);
        vm->interrupts =
            (struct quoll_vm_interrupts *)(uintptr_t)regions[from->interrupts].base.value;
        vm->vcpus = &vcpus[from->first_vcpu];
        vm->vcpu_count = from->vcpu_count;
        vm->paged_address = ipaddr(from->paged_address);
        vm->paged_size = from->paged_size;
        vm->index = i;
    }
    for (uint32_t i = 0; i < vcpu_count; i++) {
        const struct image_vcpu *from = &image->vcpus[i];
        struct vcpu *vcpu = &vcpus[i];
        vcpu->page = (struct quoll_vcpu_page *)(uintptr_t)regions[from->page].base.value;
        vcpu->vm = &vms[from->vm];
        vcpu->thread = &threads[from->thread];
        vcpu->thread->vcpu = vcpu;
        vcpu->index = i - image->vms[from->vm].first_vcpu;
    }
}

/* A VM's doorbells lie side by side in the kernel's array, whatever their order in the image. */
static void build_doorbells_and_lines(void)
{
    const struct image *image = build.image;
    uint32_t next = 0;
    for (uint32_t v = 0; v < image->vm_count; v++) {
        vms[v].doorbells = &doorbells[next];
        for (uint32_t i = 0; i < image->doorbell_count; i++) {
            const struct image_doorbell *from = &image->doorbells[i];
            if (from->vm != v)
                continue;
            doorbells[next++] =
                (struct doorbell){ipaddr(from->address), from->size, &channels[from->channel]};
            vms[v].doorbell_count++;
        }
    }
    for (uint32_t i = 0; i < image->line_count; i++)
        lines[i] = (struct line){&vms[image->lines[i].vm], image->lines[i].intid};
}

void objects_build(void)
{
    build_components();
    build_threads();
    build_channels();
    build_irqs();
    build_vms();
    build_doorbells_and_lines();
}
