/* Putting a system image together: services, components of the user's, the whole. See assemble.h. */
#include "assemble_parts.h"

#include "../kernel/image.h"
#include "paths.h"

#include <quoll/stream.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------------------------------------
 * Components in general
 */

struct content copy_content(const void *bytes, size_t size)
{
    struct content copy = {malloc(size + 1), size};
    if (copy.bytes == NULL)
        abort();
    memcpy(copy.bytes, bytes, size);
    return copy;
}

/* A folder beside the description may have the name of a component: the source tree has one called vmm. */
static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

uint32_t add_component(struct assembly *assembly, const char *name, const char *elf_name,
                       const struct schedule threads[], uint32_t thread_count, struct place place)
{
    struct elf_file elf = {0};
    char *path = description_path(assembly->description, elf_name);
    if (!is_file(path)) {
        free(path);
        path = paths_find_built(elf_name);
    }
    if (path == NULL)
        report_error(assembly->report, place,
                     "component `%s` has no ELF file: there is no `%s` beside the description, and "
                     "neither `%s` "
                     "nor `%s.elf` was built in %s; build it, or write elf: PATH",
                     name, elf_name, elf_name, elf_name, paths_target());
    else
        elf_file_load(&elf, path, assembly->report, place);
    uint32_t component = model_component(assembly->model, name, &elf, threads, thread_count);
    elf_file_free(&elf);
    free(path);
    return component;
}

static struct place whole_file(const struct assembly *assembly)
{
    return (struct place){assembly->description->document.path, 0, 0};
}

uint32_t add_service(struct assembly *assembly, enum service service, const char *name)
{
    return add_component(assembly, name, service_names[service],
                         &assembly->description->services[service], 1, whole_file(assembly));
}

void add_config(struct assembly *assembly, uint32_t component, const void *config, size_t size)
{
    uint32_t region = model_bytes(assembly->model, "config", copy_content(config, size));
    model_map(assembly->model, component, region, "config", QUOLL_READ);
}

void add_registers(struct assembly *assembly, uint32_t component, const char *name, uint32_t device)
{
    uint32_t region = model_special(assembly->model, name, IMAGE_REGION_REGISTERS, device);
    model_map(assembly->model, component, region, name, QUOLL_READ | QUOLL_WRITE | QUOLL_UNCACHED);
}

/* ------------------------------------------------------------------------------------------------
 * Services that every system with a VM has
 */

static void add_supervisor(struct assembly *assembly)
{
    struct model *model = assembly->model;
    assembly->supervisor = add_service(assembly, SERVICE_supervisor, "supervisor");
    model_object(model, assembly->supervisor, "machine", QUOLL_OBJECT_MACHINE, 0, 0);
}

static void add_uart(struct assembly *assembly)
{
    struct model *model = assembly->model;
    assembly->uart = add_service(assembly, SERVICE_pl011, "pl011");
    uint32_t device = model_device(model, "arm,pl011", 0);
    add_registers(assembly, assembly->uart, "registers", device);
    model_interrupt(model, assembly->uart, 0, device, 0, "interrupt");
}

static void add_console(struct assembly *assembly)
{
    struct model *model = assembly->model;
    uint32_t console = add_service(assembly, SERVICE_console, "console");
    assembly->console = console;
    uint32_t log = model_special(model, "kernel-log", IMAGE_REGION_KERNEL_LOG, IMAGE_NONE);
    model_map(model, console, log, "kernel-log", QUOLL_READ);
    model->log_channel = model_channel(model, console, 0, "kernel-log");
    uint32_t link = model_ram(model, "uart", STREAM_LINK_BYTES);
    model_map(model, console, link, "uart", QUOLL_READ | QUOLL_WRITE);
    model_map(model, assembly->uart, link, "stream0", QUOLL_READ | QUOLL_WRITE);
    model_signal(model, console, "uart", assembly->uart, 0, "stream0");
    model_signal(model, assembly->uart, "stream0", console, 0, "uart");
    model_signal(model, assembly->supervisor, "console-flush", console, 0, "console-flush");
    model_signal(model, console, "console-flushed", assembly->supervisor, 0, "console-flushed");
}

static void add_services(struct assembly *assembly)
{
    const struct description *description = assembly->description;
    if (description->vm_count > 0 || power_is_signalled(&description->power))
        add_supervisor(assembly);
    add_power(assembly);
    if (description->vm_count > 0) {
        add_uart(assembly);
        add_console(assembly);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Components of the user's
 */

static uint32_t shared_region(struct assembly *assembly, const char *name)
{
    struct model *model = assembly->model;
    for (uint32_t i = 0; i < assembly->description->shared_count; i++)
        if (strcmp(assembly->description->shared[i].name, name) == 0)
            for (uint32_t j = 0; j < model->region_count; j++)
                if (strncmp(model->region[j].name, "shared.", 7) == 0 &&
                    strcmp(model->region[j].name + 7, name) == 0)
                    return j;
    return 0;
}

static void add_memory(struct assembly *assembly, const struct component *component, uint32_t index)
{
    for (uint32_t i = 0; i < component->memory_count; i++) {
        const struct memory_area *area = &component->memory[i];
        uint32_t region = area->shared ? shared_region(assembly, area->shared)
                                       : model_ram(assembly->model, area->name, area->size);
        model_map(assembly->model, index, region, area->name,
                  QUOLL_READ | (area->writable ? QUOLL_WRITE : 0u));
    }
}

static void add_devices(struct assembly *assembly, const struct component *component,
                        uint32_t index)
{
    for (uint32_t i = 0; i < component->device_count; i++) {
        const struct device_use *use = &component->devices[i];
        uint32_t device = model_device(assembly->model, use->compatible, use->instance);
        add_registers(assembly, index, use->name, device);
        if (use->interrupt)
            model_interrupt(assembly->model, index, 0, device, 0, use->name);
    }
}

static void add_own_component(struct assembly *assembly, const struct component *component)
{
    struct place place =
        node_place(node_present(component->elf_node) ? component->elf_node : component->node);
    uint32_t index = add_component(assembly, component->name, component->elf, component->threads,
                                   component->thread_count, place);
    add_memory(assembly, component, index);
    add_devices(assembly, component, index);
    if (component->restart)
        add_part(assembly, index, CONFIG_NOBODY, CONFIG_NOBODY);
    if (component->machine)
        model_object(assembly->model, index, "machine", QUOLL_OBJECT_MACHINE, 0, 0);
    struct rapilog_parts *rapilog = add_rapilog(assembly, &component->rapilog, component->name);
    for (uint32_t i = 0; i < component->volume_count; i++)
        add_volume_use(assembly, index, i, &component->volumes[i], rapilog);
    add_dump(assembly, &component->rapilog, rapilog);
}

static uint32_t own_component(const struct assembly *assembly, const char *name)
{
    for (uint32_t i = 0; i < assembly->model->component_count; i++)
        if (strcmp(assembly->model->component[i].name, name) == 0)
            return i;
    return 0;
}

/* Channels and control may refer to components further down in the file. */
static void connect_own_component(struct assembly *assembly, const struct component *component)
{
    struct model *model = assembly->model;
    uint32_t index = own_component(assembly, component->name);
    for (uint32_t i = 0; i < component->channel_count; i++) {
        const struct channel_use *channel = &component->channels[i];
        model_signal(model, index, channel->name, own_component(assembly, channel->to),
                     channel->thread, channel->as);
    }
    for (uint32_t i = 0; i < component->control_count; i++) {
        uint32_t other = own_component(assembly, component->controls[i]);
        for (uint32_t j = 0; j < model->space[other].thread_count; j++) {
            char *name = text_print("%s.thread%u", component->controls[i], j);
            model_object(model, index, name, QUOLL_OBJECT_THREAD, model_thread(model, other, j), 0);
            free(name);
        }
    }
}

static void add_own_components(struct assembly *assembly)
{
    const struct description *description = assembly->description;
    for (uint32_t i = 0; i < description->shared_count; i++) {
        char *name = text_print("shared.%s", description->shared[i].name);
        model_ram(assembly->model, name, description->shared[i].size);
        free(name);
    }
    for (uint32_t i = 0; i < description->component_count; i++)
        add_own_component(assembly, &description->components[i]);
    for (uint32_t i = 0; i < description->component_count; i++)
        connect_own_component(assembly, &description->components[i]);
}

/* ------------------------------------------------------------------------------------------------
 * The whole
 */

/* A fault anywhere is told to the supervisor, except its own. VMMs and RapiLogs have channels of their own. */
static void add_fault_channel(struct assembly *assembly)
{
    struct model *model = assembly->model;
    uint32_t channel = model_channel(model, assembly->supervisor, 0, "fault");
    for (uint32_t i = 0; i < model->component_count; i++)
        if (i != assembly->supervisor && model->component[i].fault_channel == IMAGE_NONE)
            model->component[i].fault_channel = channel;
}

static bool fits_machine(const struct assembly *assembly, const struct content *image)
{
    const struct description *description = assembly->description;
    uint64_t sum = image->size;
    for (uint32_t i = 0; i < assembly->model->region_count; i++)
        if (assembly->model->region[i].kind == IMAGE_REGION_RAM)
            sum += assembly->model->region[i].size;
    if (sum <= description->machine.memory)
        return true;
    unsigned long needed = (unsigned long)((sum >> 20) + 1);
    report_error(assembly->report, whole_file(assembly),
                 "the system with its %lu MiB image needs %lu MiB, but the machine has %lu MiB; "
                 "give VMs less `memory`, or "
                 "write machine: {memory: %lu MiB}",
                 (unsigned long)(image->size >> 20), needed,
                 (unsigned long)(description->machine.memory >> 20), needed + 32);
    return false;
}

/* The kernel's own validation has the last word. */
static bool check_image(const struct assembly *assembly, const struct content *image)
{
    struct image checked;
    char reason[256];
    if (image_check(image->bytes, image->size, &checked, reason, sizeof reason))
        return fits_machine(assembly, image);
    report_failure(
        assembly->report,
        "the image made from this description is not valid: %s; this is a mistake of quoll itself",
        reason);
    return false;
}

bool assemble(const struct description *description, struct content *image)
{
    struct assembly assembly = {.description = description,
                                .report = description->report,
                                .supervisor = NO_COMPONENT,
                                .console = NO_COMPONENT,
                                .uart = NO_COMPONENT,
                                .mains_channel = IMAGE_NONE};
    for (int i = 0; i < DESCRIPTION_MAX_DISKS; i++)
        assembly.disks[i].driver = NO_COMPONENT;
    unsigned before = description->report->errors;
    *image = (struct content){0};
    assembly.model = model_new(description->report, description->name, description->machine.cores);
    add_services(&assembly);
    for (uint32_t i = 0; i < description->vm_count; i++)
        add_vm(&assembly, &description->vms[i], i);
    add_own_components(&assembly);
    finish_storage(&assembly);
    add_kills(&assembly);
    if (assembly.supervisor != NO_COMPONENT) {
        add_fault_channel(&assembly);
        add_config(&assembly, assembly.supervisor, &assembly.supervisor_config,
                   sizeof assembly.supervisor_config);
    }
    if (assembly.console != NO_COMPONENT)
        add_config(&assembly, assembly.console, &assembly.console_config,
                   sizeof assembly.console_config);
    bool good = description->report->errors == before && model_write(assembly.model, image) &&
                check_image(&assembly, image);
    model_free(assembly.model);
    if (!good)
        content_free(image);
    return good;
}
