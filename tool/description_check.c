/* What the parts of a description ask for together, against what the machine has. See description.h. */
#include "description_parts.h"

#include <string.h>

/* What Quoll keeps for itself: kernel, tables, the boot image's copy of component contents. */
#define KERNEL_MEMORY (32ULL << 20)

static unsigned long mib(uint64_t bytes)
{
    return (unsigned long)((bytes + (1 << 20) - 1) >> 20);
}

static uint64_t volume_memory(const struct volume_use volumes[], uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += volumes[i].buffer;
    return sum;
}

static void check_memory(struct description *description)
{
    uint64_t sum = KERNEL_MEMORY;
    const struct vm *largest = &description->vms[0];
    for (uint32_t i = 0; i < description->vm_count; i++) {
        const struct vm *vm = &description->vms[i];
        sum += vm->memory + volume_memory(vm->volumes, vm->volume_count) + vm->rapilog.memory;
        if (vm->memory > largest->memory)
            largest = vm;
    }
    for (uint32_t i = 0; i < description->component_count; i++) {
        const struct component *component = &description->components[i];
        sum +=
            volume_memory(component->volumes, component->volume_count) + component->rapilog.memory;
        for (uint32_t j = 0; j < component->memory_count; j++)
            sum += component->memory[j].shared ? 0 : component->memory[j].size;
    }
    for (uint32_t i = 0; i < description->shared_count; i++)
        sum += description->shared[i].size;
    if (sum <= description->machine.memory)
        return;
    struct node root = document_root(&description->document);
    struct node where = description->vm_count ? largest->node : root;
    node_error(where,
               "the system needs %lu MiB (%lu MiB of it for Quoll), but the machine has %lu MiB; "
               "give VMs less `memory`, "
               "or write machine: {memory: %lu MiB}",
               mib(sum), mib(KERNEL_MEMORY), mib(description->machine.memory), mib(sum));
}

/* In thousandths of a core; threads without a budget take what is left, so they do not count. */
static uint64_t share(const struct schedule *schedule)
{
    return schedule->budget == schedule->period ? 0 : schedule->budget * 1000 / schedule->period;
}

static void check_budgets(struct description *description)
{
    uint64_t used[QUOLL_MAX_CORES] = {0};
    struct node last[QUOLL_MAX_CORES] = {{0}};
    for (int i = 0; i < SERVICE_COUNT; i++)
        used[description->services[i].core] += share(&description->services[i]);
    for (uint32_t i = 0; i < description->vm_count; i++) {
        const struct vm *vm = &description->vms[i];
        used[vm->devices.core] += share(&vm->devices);
        for (uint32_t j = 0; j < vm->vcpu_count; j++) {
            used[vm->vcpu_core[j]] += share(&vm->vcpus);
            last[vm->vcpu_core[j]] = vm->node;
        }
    }
    for (uint32_t i = 0; i < description->component_count; i++)
        for (uint32_t j = 0; j < description->components[i].thread_count; j++) {
            const struct schedule *schedule = &description->components[i].threads[j];
            used[schedule->core] += share(schedule);
            last[schedule->core] = description->components[i].node;
        }
    for (uint32_t core = 0; core < description->machine.cores; core++)
        if (used[core] > 1000)
            node_error(last[core].document ? last[core] : document_root(&description->document),
                       "the budgets on core %u add up to %lu %%, more than the core has; lower "
                       "some, or use another core",
                       core, (unsigned long)used[core] / 10);
}

/* Every volume that is used by anything, in the order of the file. */
static void check_volume(struct description *description, const struct volume_use *volume,
                         const struct volume_use *other)
{
    if (volume->disk != other->disk)
        return;
    const char *disk = description->disks[volume->disk].name;
    if (strcmp(volume->label, other->label) == 0)
        node_error(volume->node,
                   "%s%s of disk `%s` is already used on line %zu; two users would corrupt it: use "
                   "another label",
                   volume->label[0] ? "label " : "all", volume->label, disk,
                   node_place(other->node).line);
    else if (volume->label[0] == '\0' || other->label[0] == '\0')
        node_error(volume->node,
                   "disk `%s` is used as a whole and by label (line %zu); give both a `label`",
                   disk, node_place(other->node).line);
}

/* A RapiLog's dump area, as one more use of a disk; false: it has none. */
static bool dump_use(const struct rapilog_settings *rapilog, struct volume_use *use)
{
    if (rapilog->dump == NULL)
        return false;
    *use = (struct volume_use){
        .node = rapilog->dump_node, .disk = rapilog->dump_disk, .label = rapilog->dump};
    return true;
}

static void check_volumes(struct description *description)
{
    const struct volume_use
        *all[(QUOLL_MAX_VMS + DESCRIPTION_MAX_COMPONENTS) * (VMM_MAX_DISKS + 1)];
    struct volume_use dumps[QUOLL_MAX_VMS + DESCRIPTION_MAX_COMPONENTS];
    size_t count = 0, dump_count = 0;
    uint32_t clients[DESCRIPTION_MAX_DISKS] = {0};
    for (uint32_t i = 0; i < description->vm_count; i++)
        for (uint32_t j = 0; j < description->vms[i].volume_count; j++)
            all[count++] = &description->vms[i].volumes[j];
    for (uint32_t i = 0; i < description->component_count; i++)
        for (uint32_t j = 0; j < description->components[i].volume_count; j++)
            all[count++] = &description->components[i].volumes[j];
    for (uint32_t i = 0; i < description->vm_count; i++)
        if (dump_use(&description->vms[i].rapilog, &dumps[dump_count]))
            all[count++] = &dumps[dump_count++];
    for (uint32_t i = 0; i < description->component_count; i++)
        if (dump_use(&description->components[i].rapilog, &dumps[dump_count]))
            all[count++] = &dumps[dump_count++];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            check_volume(description, all[i], all[j]);
        if (++clients[all[i]->disk] == CONFIG_MAX_CLIENTS + 1)
            node_error(all[i]->node, "a disk can be used in at most %d places; use another disk",
                       CONFIG_MAX_CLIENTS);
    }
    if (count > CONFIG_MAX_BUFFERS / 2)
        node_error(all[count - 1]->node, "too many disks are used; a system can have %d uses",
                   CONFIG_MAX_BUFFERS / 2);
}

static void check_rapilog(struct description *description, const struct rapilog_settings *rapilog)
{
    if (!node_present(rapilog->node))
        return;
    if (!power_is_signalled(&description->power) && rapilog->mode != RAPILOG_MODE_THROUGH)
        node_warning(
            rapilog->node,
            "no power-fail signal is configured, so RapiLog acknowledges only what is on the disk; "
            "write power_fail: powerkey at the top");
    if (rapilog->unsafe_no_drain)
        node_warning(rapilog->node, "unsafe_no_drain is for tests: acknowledged data WILL BE LOST "
                                    "when the mains fail; remove it");
}

static void check_same_names(struct description *description)
{
    for (uint32_t i = 0; i < description->component_count; i++)
        for (uint32_t j = 0; service_names[j] != NULL; j++)
            if (strcmp(description->components[i].name, service_names[j]) == 0)
                node_error(description->components[i].node,
                           "`%s` is the name of one of Quoll's own services; use another name",
                           service_names[j]);
}

void check_whole(struct description *description)
{
    check_memory(description);
    check_budgets(description);
    check_volumes(description);
    check_same_names(description);
    for (uint32_t i = 0; i < description->vm_count; i++)
        check_rapilog(description, &description->vms[i].rapilog);
    for (uint32_t i = 0; i < description->component_count; i++)
        check_rapilog(description, &description->components[i].rapilog);
}
