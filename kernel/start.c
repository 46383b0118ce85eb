/*
 * Placing and building everything that the system image names; see start.h, and start_parts.h for the parts.
 *
 * Order: devices; free memory and regions; stage-2 tables; objects; environments, which need to know where everything is.
 */
#include "log.h"
#include "sched.h"
#include "start_parts.h"

struct builder build;

static void find_devices(void)
{
    for (uint32_t i = 0; i < build.image->device_count; i++) {
        const struct image_device *device = &build.image->devices[i];
        if (!devicetree_find_compatible(&build.machine->tree, device->compatible, device->instance,
                                        &build.devices[i]))
            kstop("this machine (%s) has no device '%s' number %u; the system needs it: add it to "
                  "the machine, or take what uses it out of the system description",
                  build.machine->model, device->compatible, device->instance);
    }
}

void start_build(const struct start_request *request, struct start_result *result)
{
    *result = (struct start_result){0};
    build.image = request->image;
    build.machine = request->machine;
    build.image_base = request->image_base;
    if (request->image->header->cores > core_count)
        kstop("the system '%s' uses %u cores; this machine has %u: give the machine more or the "
              "system fewer",
              request->image->header->label, request->image->header->cores, core_count);
    place_start(request);
    find_devices();
    place_regions(result);
    spaces_build(result);
    place_verify(request, result);
    objects_build();
    for (uint32_t i = 0; i < component_count; i++)
        environment_write(i);
    for (uint32_t i = 0; i < irq_count; i++)
        arch_irq_enable(irqs[i].intid, irqs[i].thread->core);
}

void start_core(struct core *core)
{
    for (uint32_t i = 0; i < core->thread_count; i++)
        sched_make_ready(core, core->threads[i]);
}
