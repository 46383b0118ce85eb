/*
 * A hostile system description, as the host tool reads it.
 *
 * What must hold: every mistake is told with its place; what is accepted is within all limits and refers only to what exists; reading it
 * again gives the same.
 *
 * Input: the text as it is, up to its first zero byte.
 */
#include "description.h"
#include "input.h"

static char messages[2][16384];

static bool good_name(const char *name)
{
    return name != NULL && name[0] != 0 && strlen(name) <= DESCRIPTION_NAME;
}

static void check_schedule(const struct description *description, const struct schedule *schedule)
{
    HOLDS(schedule->core < description->machine.cores && schedule->priority <= 255);
    HOLDS(schedule->budget != 0 && schedule->budget <= schedule->period);
}

static void check_volumes(const struct description *description, const struct volume_use *volumes,
                          uint32_t count)
{
    HOLDS(count <= VMM_MAX_DISKS);
    for (uint32_t i = 0; i < count; i++)
        HOLDS(volumes[i].disk < description->disk_count && volumes[i].label != NULL);
}

static void check_vms(const struct description *description)
{
    HOLDS(description->vm_count <= QUOLL_MAX_VMS);
    for (uint32_t i = 0; i < description->vm_count; i++) {
        const struct vm *vm = &description->vms[i];
        HOLDS(good_name(vm->name) && vm->kernel != NULL && vm->memory % QUOLL_PAGE_SIZE == 0);
        HOLDS(vm->vcpu_count != 0 && vm->vcpu_count <= QUOLL_MAX_VCPUS_PER_VM);
        for (uint32_t v = 0; v < vm->vcpu_count; v++)
            HOLDS(vm->vcpu_core[v] < description->machine.cores);
        check_schedule(description, &vm->devices);
        check_volumes(description, vm->volumes, vm->volume_count);
    }
}

static void check_components(const struct description *description)
{
    HOLDS(description->component_count <= DESCRIPTION_MAX_COMPONENTS);
    for (uint32_t i = 0; i < description->component_count; i++) {
        const struct component *component = &description->components[i];
        HOLDS(good_name(component->name) && component->thread_count != 0 &&
              component->thread_count <= DESCRIPTION_MAX_THREADS);
        for (uint32_t t = 0; t < component->thread_count; t++)
            check_schedule(description, &component->threads[t]);
        HOLDS(component->memory_count <= DESCRIPTION_MAX_ITEMS &&
              component->channel_count <= DESCRIPTION_MAX_ITEMS &&
              component->device_count <= DESCRIPTION_MAX_ITEMS &&
              component->control_count <= DESCRIPTION_MAX_ITEMS);
        check_volumes(description, component->volumes, component->volume_count);
    }
}

/* The files that are named: the same path, or one in the description's folder. */
static void check_paths(const struct description *description)
{
    for (uint32_t i = 0; i < description->vm_count; i++) {
        char *path = description_path(description, description->vms[i].kernel);
        HOLDS(path != NULL);
        free(path);
    }
}

static bool load(const char *text, char *told, size_t size)
{
    static struct description description;
    struct report report = {.out = fmemopen(told, size, "w")};
    bool good = description_load(&description, "a/x.yaml", text, &report);
    fclose(report.out);
    HOLDS(good == (report.errors == 0));
    HOLDS(good || strncmp(told, "a/x.yaml:", 9) == 0);
    if (good) {
        HOLDS(description.machine.cores != 0 && description.machine.cores <= QUOLL_MAX_CORES);
        check_vms(&description);
        check_components(&description);
        check_paths(&description);
        for (uint32_t i = 0; i < SERVICE_COUNT; i++)
            check_schedule(&description, &description.services[i]);
    }
    description_free(&description);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, bytes, size);
    text[size] = 0;
    memset(messages[0], 0, 8);
    bool good = load(text, messages[0], sizeof(messages[0]));
    if (size % 8 == 0) { /* now and then: the second reading costs as much as the first */
        memset(messages[1], 0, 8);
        HOLDS(load(text, messages[1], sizeof(messages[1])) == good &&
              strcmp(messages[0], messages[1]) == 0);
    }
    free(text);
    return 0;
}
