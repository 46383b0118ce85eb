/*
 * Ownership by AddressSanitizer's poison: while one core's kernel runs, the private parts of all other cores' objects are
 * poisoned, and so is all memory that the kernel has no business with after boot. Any access, a read too, is reported
 * where it happens. See ownership.h.
 */
#include "ownership.h"
#include "world.h"
#include <sanitizer/asan_interface.h>

static const struct core *entered;

static void mark(const void *from, const void *to, bool poison)
{
    size_t size = (size_t)((const uint8_t *)to - (const uint8_t *)from);
    if (poison)
        __asan_poison_memory_region(from, size);
    else
        __asan_unpoison_memory_region(from, size);
}

/* What kernel/object.h does not mark as shared, and what does not stay as boot left it. Flags that lie in the same eight
 * bytes as a constant are left out: poison is no finer. */
static void mark_thread(const struct thread *thread, bool poison)
{
    mark(&thread->registers, &thread->core, poison);
    mark(&thread->in_guest, &thread->queued, poison);
    mark(&thread->budget, &thread->pending, poison);
    mark(&thread->line_length, &thread->number, poison);
    if (thread->vcpu != NULL) {
        mark(&thread->vcpu->arch, thread->vcpu + 1, poison);
        mark(thread->vcpu->page, (const uint8_t *)thread->vcpu->page + PAGE_SIZE, poison);
    }
}

static void mark_core(const struct core *core, bool poison)
{
    mark(&core->current, core->threads, poison);
    mark(core->ready_priorities, &core->inbox, poison);
    mark(&core->log, &core->arch, poison);
    mark(&core->arch.deadline, &core->arch.entered + 1, poison);
    for (uint32_t i = 0; i < core->thread_count; i++)
        mark_thread(core->threads[i], poison);
}

void ownership_begin(void)
{
    const uint8_t *memory = world.memory, *image = (const uint8_t *)world.image;
    mark(memory, memory + world.memory_size, true);
    mark(image, image + offsetof(struct world_image, content), false); /* for reports */
    const struct devicetree_range *kept[] = {&world.tables, &world.shared};
    for (uint32_t i = 0; i < ARRAY_SIZE(kept); i++) {
        const uint8_t *base = (const uint8_t *)(uintptr_t)kept[i]->base;
        mark(base, base + kept[i]->size, false);
    }
    for (uint32_t i = 0; i < core_count; i++)
        mark_core(&cores[i], true);
    entered = NULL;
}

void ownership_enter(const struct core *core)
{
    if (core == entered)
        return;
    if (entered != NULL)
        mark_core(entered, true);
    mark_core(core, false);
    entered = core;
}

void ownership_end(void)
{
    mark(world.memory, world.memory + world.memory_size, false);
    mark(cores, cores + QUOLL_MAX_CORES, false);
    mark(threads, threads + QUOLL_MAX_THREADS, false);
    mark(vcpus, vcpus + QUOLL_MAX_VCPUS, false);
}
