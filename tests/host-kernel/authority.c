/*
 * Authority never grows: what names what, as boot filled it in, stays to the last byte; so does the image, which
 * reports print from.
 */
#include "model_parts.h"
#include <stdlib.h>
#include <string.h>

#define MOST 65536u

static uint8_t snapshot[MOST];

/* Calls `use` with each piece of constant data. */
static void each(void (*use)(void *context, const void *bytes, size_t size, const char *what),
                 void *context)
{
#define PIECE(array, count) use(context, array, (count) * sizeof((array)[0]), #array)
    PIECE(objects, system_image.object_count);
    PIECE(channels, system_image.channel_count);
    PIECE(irqs, irq_count);
    PIECE(regions, region_count);
    PIECE(vms, vm_count);
    PIECE(doorbells, system_image.doorbell_count);
    PIECE(lines, system_image.line_count);
    PIECE(&system_image, 1);
    use(context, world.image, offsetof(struct world_image, content), "the system image");
    PIECE(components, component_count);
    for (uint32_t i = 0; i < thread_count; i++) {
        PIECE(&threads[i].core, 1);
        PIECE(&threads[i].component, 1);
        PIECE(&threads[i].vcpu, 1);
        PIECE(&threads[i].priority, 1);
        PIECE(&threads[i].slot, 1);
    }
    for (uint32_t i = 0; i < vcpu_count; i++)
        use(context, &vcpus[i], offsetof(struct vcpu, look), "vcpu");
#undef PIECE
}

struct cursor {
    size_t at;
};

static void keep(void *context, const void *bytes, size_t size, const char *what)
{
    struct cursor *cursor = context;
    if (size > MOST - cursor->at)
        abort(); /* the snapshot is too small for such a world */
    memcpy(snapshot + cursor->at, bytes, size);
    cursor->at += size;
}

static void compare(void *context, const void *bytes, size_t size, const char *what)
{
    struct cursor *cursor = context;
    if (memcmp(snapshot + cursor->at, bytes, size) != 0)
        broken("%s: what boot filled in has changed", what);
    cursor->at += size;
}

void authority_boot(void)
{
    struct cursor cursor = {0};
    each(keep, &cursor);
}

void authority_check(void)
{
    struct cursor cursor = {0};
    each(compare, &cursor);
}
