/* Reading a system description: VMs, the disks they use, RapiLog. See description.h. */
#include "description_parts.h"

#include <quoll/stream.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PRIORITY_DEVICES 150
#define PRIORITY_RAPILOG 190
#define PRIORITY_VCPUS 100

/* ------------------------------------------------------------------------------------------------
 * Disks, as used by a VM or a component
 */

static uint32_t find_disk(const struct description *description, struct node node)
{
    const char *names[DESCRIPTION_MAX_DISKS + 1] = {NULL};
    const char *name = node_text(node, "`disk`", "");
    for (uint32_t i = 0; i < description->disk_count; i++) {
        names[i] = description->disks[i].name;
        if (strcmp(names[i], name) == 0)
            return i;
    }
    const char *near = nearest_word(name, names);
    if (near)
        node_error(node, "there is no disk `%s` in `disks`; did you mean `%s`?", name, near);
    else
        node_error(node,
                   "there is no disk `%s`; declare it at the top: disks: {%s: {file: disk.img}}",
                   name, name[0] ? name : "disk0");
    return 0;
}

static const char *const mode_names[] = {
    [RAPILOG_MODE_HELD] = "held",
    [RAPILOG_MODE_THROUGH] = "through",
    [RAPILOG_MODE_HELD_ORDERED] = "held ordered",
    NULL,
};

static enum rapilog_mode read_mode(struct node node)
{
    const char *name = node_text(node, "`mode`", mode_names[RAPILOG_MODE_HELD]);
    for (int mode = 0; mode_names[mode] != NULL; mode++)
        if (strcmp(mode_names[mode], name) == 0)
            return (enum rapilog_mode)mode;
    node_error(node,
               "RapiLog has no mode `%s`; write through (acknowledged when on the disk), held "
               "(acknowledged in memory, drained within the hold-up time) or held ordered (the "
               "same, and the disks always hold a prefix of what was acknowledged)",
               name);
    return RAPILOG_MODE_HELD;
}

/* dump: LABEL | dump: {disk: NAME, label: LABEL}; without a disk, that of the first filtered volume. */
static void read_dump(const struct description *description, struct node node,
                      struct rapilog_settings *settings)
{
    static const char *const keys[] = {"disk", "label", NULL};
    settings->dump_node = node;
    settings->dump_disk = DESCRIPTION_MAX_DISKS;
    if (!node_present(node)) {
        if (settings->mode == RAPILOG_MODE_HELD_ORDERED)
            node_error(settings->node,
                       "`held ordered` needs a dump area, a GPT partition of its own through which "
                       "everything passes on its way to the volumes; write dump: LABEL");
        return;
    }
    if (node_is_map(node)) {
        node_only_keys(node, "a dump area", keys);
        settings->dump_disk = find_disk(description, node_get(node, "disk"));
        settings->dump = node_text(node_get(node, "label"), "`label`", "");
    } else {
        settings->dump = node_text(node, "`dump`", "");
    }
    if (settings->dump[0] == '\0' || strlen(settings->dump) > 36)
        node_error(node, "the dump area is named by its GPT label of 1 to 36 characters; write for "
                         "example dump: dump");
    if (settings->mode == RAPILOG_MODE_THROUGH)
        node_error(node, "mode `through` holds nothing back, so it has no use for a dump area; "
                         "remove `dump`, or write mode: held ordered");
}

static void read_rapilog(const struct description *description, struct node node,
                         struct rapilog_settings *settings)
{
    static const char *const keys[] = {
        "mode", "dump",     "hold_up", "reserve", "memory",         "limit",  "unsafe_no_drain",
        "core", "priority", "budget",  "restart", "survives_reset", "report", NULL};
    if (!node_expect_map(node, "`rapilog`"))
        return;
    if (node_present(settings->node)) {
        node_error(
            node,
            "RapiLog is configured twice, first on line %zu; one serves all disks of a VM: write "
            "`rapilog:` once, beside `disks:`, and `filter: rapilog` for each disk",
            node_place(settings->node).line);
        return;
    }
    *settings = (struct rapilog_settings){
        .node = node, .schedule = {0, PRIORITY_RAPILOG, FULL_PERIOD, FULL_PERIOD}};
    node_only_keys(node, "`rapilog`", keys);
    settings->mode = read_mode(node_get(node, "mode"));
    if (!node_present(node_get(node, "hold_up")) && settings->mode != RAPILOG_MODE_THROUGH)
        node_error(node,
                   "RapiLog needs `hold_up`, the time that the power supply lasts after the mains "
                   "fail; write for example hold_up: 16 ms");
    settings->hold_up = node_duration(node_get(node, "hold_up"), "`hold_up`", 16000000);
    settings->reserve =
        node_duration(node_get(node, "reserve"), "`reserve`", settings->hold_up / RESERVE_SHARE);
    settings->memory = node_size(node_get(node, "memory"), "RapiLog's `memory`", 16 << 20);
    settings->limit = node_size(node_get(node, "limit"), "`limit`", 0);
    settings->unsafe_no_drain =
        node_boolean(node_get(node, "unsafe_no_drain"), "`unsafe_no_drain`", false);
    settings->restart = node_boolean(node_get(node, "restart"), "`restart`", false);
    settings->survives_reset =
        node_boolean(node_get(node, "survives_reset"), "`survives_reset`", false);
    settings->report = node_duration(node_get(node, "report"), "`report`", 0);
    if (node_present(node_get(node, "report")) && settings->report < SHORTEST_REPORT)
        node_error(node_get(node, "report"),
                   "a line in the log more often than every second would hide "
                   "other messages; write for example report: 10 s");
    if (settings->reserve >= settings->hold_up)
        node_error(
            node_get(node, "reserve"),
            "the reserve leaves nothing of the hold-up time to drain; write less than `hold_up`");
    read_dump(description, node_get(node, "dump"), settings);
    if (settings->survives_reset && settings->dump != NULL && settings->mode == RAPILOG_MODE_HELD)
        node_error(node_get(node, "survives_reset"),
                   "in mode `held` a dump area and `survives_reset` cannot be told apart after a "
                   "reset: which has "
                   "the newer data is known in `held ordered` only; write mode: held ordered, or "
                   "leave one out");
    read_schedule(description, node, &settings->schedule);
}

/* filter: rapilog | filter: {rapilog: {...}} */
static bool read_filter(const struct description *description, struct node node,
                        struct rapilog_settings *rapilog)
{
    static const char *const filters[] = {"rapilog", NULL};
    if (!node_present(node))
        return false;
    if (node_is_map(node)) {
        node_only_keys(node, "a filter", filters);
        read_rapilog(description, node_get(node, "rapilog"), rapilog);
        return true;
    }
    const char *name = node_text(node, "`filter`", "rapilog");
    if (strcmp(name, "rapilog") != 0)
        node_error(node, "there is no filter `%s`; write rapilog", name);
    return true;
}

static void read_volume(const struct description *description, struct node node,
                        struct volume_use *volume, struct rapilog_settings *rapilog)
{
    static const char *const keys[] = {"disk",          "label",  "filter", "read_only",
                                       "write_through", "serial", "buffer", NULL};
    *volume = (struct volume_use){.node = node, .label = ""};
    if (!node_expect_map(node, "a disk of a VM"))
        return;
    node_only_keys(node, "a disk of a VM", keys);
    if (!node_present(node_get(node, "disk")))
        node_error(node, "it is not said which disk this is; write {disk: NAME, label: LABEL}");
    else
        volume->disk = find_disk(description, node_get(node, "disk"));
    volume->label = node_text(node_get(node, "label"), "`label`", "");
    volume->serial = node_text(node_get(node, "serial"), "`serial`", volume->label);
    volume->read_only = node_boolean(node_get(node, "read_only"), "`read_only`", false);
    volume->rapilog = read_filter(description, node_get(node, "filter"), rapilog);
    volume->write_through = node_boolean(node_get(node, "write_through"), "`write_through`", false);
    volume->buffer = node_size(node_get(node, "buffer"), "`buffer`", 4 << 20);
    if (strlen(volume->label) > 36)
        node_error(node_get(node, "label"),
                   "a GPT label has at most 36 characters; write a shorter one");
    if (strlen(volume->serial) > 20)
        node_error(node_get(node, "serial"),
                   "a serial has at most 20 characters; write a shorter one");
    if (volume->buffer < 1 << 20 || volume->buffer > 64 << 20)
        node_error(node_get(node, "buffer"),
                   "a disk's buffer is 1 MiB to 64 MiB; write for example 4 MiB");
}

/* The dump area is on the disk of the filtered volumes, unless it says otherwise. */
static void settle_dump(const struct description *description, struct rapilog_settings *rapilog,
                        const struct volume_use volumes[], uint32_t count)
{
    const struct volume_use *first = NULL;
    for (uint32_t i = 0; i < count && rapilog->dump_disk == DESCRIPTION_MAX_DISKS; i++) {
        if (!volumes[i].rapilog)
            continue;
        if (first != NULL && volumes[i].disk != first->disk) {
            node_error(rapilog->dump_node,
                       "the volumes are on the disks `%s` and `%s`, so it must be said where the "
                       "dump area is; write dump: {disk: %s, label: %s}",
                       description->disks[first->disk].name,
                       description->disks[volumes[i].disk].name,
                       description->disks[first->disk].name, rapilog->dump);
            break;
        }
        first = first == NULL ? &volumes[i] : first;
    }
    if (rapilog->dump_disk == DESCRIPTION_MAX_DISKS)
        rapilog->dump_disk = first == NULL ? 0 : first->disk;
}

void read_volumes(const struct description *description, struct node owner,
                  struct volume_use volumes[], uint32_t *count, struct rapilog_settings *rapilog)
{
    struct node list = node_get(owner, "disks");
    bool filtered = false;
    *rapilog = (struct rapilog_settings){.node = node_get(owner, "no such key")};
    read_rapilog(description, node_get(owner, "rapilog"), rapilog);
    if (node_present(list) && !node_is_list(list))
        node_error(list, "a VM's `disks` is a list; begin each line with `- ` as in - {disk: "
                         "disk0, label: root}");
    for (size_t i = 0; node_is_list(list) && i < node_length(list); i++) {
        if (*count == VMM_MAX_DISKS) {
            node_error(node_value_at(list, i), "too many disks; a VM can have %d", VMM_MAX_DISKS);
            return;
        }
        read_volume(description, node_value_at(list, i), &volumes[*count], rapilog);
        filtered |= volumes[(*count)++].rapilog;
    }
    if (rapilog->dump != NULL)
        settle_dump(description, rapilog, volumes, *count);
    if (filtered && !node_present(rapilog->node))
        node_error(list, "a disk has `filter: rapilog`, but the hold-up time is not given; write "
                         "rapilog: {hold_up: 16 ms} "
                         "beside `disks:`");
    if (!filtered && node_present(rapilog->node))
        node_error(rapilog->node,
                   "no disk uses this RapiLog; write `filter: rapilog` for the disks that shall");
}

/* ------------------------------------------------------------------------------------------------
 * vCPUs and their cores
 */

/* The core with the fewest vCPUs so far that this VM does not use yet; core 0, which has the services, last. */
static uint32_t emptiest_core(const struct description *description, const struct vm *vm)
{
    uint32_t best = 0, best_load = UINT32_MAX;
    for (uint32_t core = 0; core < description->machine.cores; core++) {
        uint32_t load = core == 0 ? QUOLL_MAX_VCPUS : 0;
        for (uint32_t i = 0; i < vm->vcpu_count; i++)
            load += vm->vcpu_core[i] == core ? 2 * QUOLL_MAX_VCPUS : 0;
        for (const struct vm *other = description->vms; other < vm; other++)
            for (uint32_t i = 0; i < other->vcpu_count; i++)
                load += other->vcpu_core[i] == core;
        if (load < best_load) {
            best = core;
            best_load = load;
        }
    }
    return best;
}

static void spread_vcpus(const struct description *description, struct vm *vm, struct node node)
{
    uint32_t cores = description->machine.cores;
    uint32_t count = (uint32_t)node_number(node, "`vcpus`", 1, QUOLL_MAX_VCPUS_PER_VM, 1);
    if (count > cores) {
        node_error(node,
                   "%u vCPUs need as many cores, but the machine has %u; write at most %u, or "
                   "raise machine.cores",
                   count, cores, cores);
        count = cores;
    }
    while (vm->vcpu_count < count) {
        vm->vcpu_core[vm->vcpu_count] = emptiest_core(description, vm);
        vm->vcpu_count++;
    }
}

/* vcpus: 2 | vcpus: [1, 2] */
static void read_vcpus(const struct description *description, struct vm *vm, struct node node)
{
    if (!node_is_list(node)) {
        spread_vcpus(description, vm, node);
        return;
    }
    if (node_length(node) == 0 || node_length(node) > QUOLL_MAX_VCPUS_PER_VM) {
        node_error(node, "a VM has 1 to %d vCPUs; write as many cores", QUOLL_MAX_VCPUS_PER_VM);
        return;
    }
    for (size_t i = 0; i < node_length(node); i++)
        vm->vcpu_core[vm->vcpu_count++] =
            read_core(description, node_value_at(node, i), "a vCPU's core", 0);
}

/* ------------------------------------------------------------------------------------------------
 * VMs
 */

static void read_vm_memory(struct vm *vm, struct node node)
{
    vm->memory = node_size(node, "a VM's `memory`", 512ULL << 20);
    if (vm->memory % (2 << 20) == 0 && vm->memory >= 16ULL << 20 && vm->memory <= 255ULL << 30)
        return;
    node_error(
        node,
        "a VM's memory is a multiple of 2 MiB, from 16 MiB to 255 GiB; write for example 512 MiB");
    vm->memory = 512ULL << 20;
}

static void read_vm_devices(const struct description *description, struct vm *vm, struct node node)
{
    static const char *const keys[] = {"core", "priority", "budget", NULL};
    vm->devices = (struct schedule){0, PRIORITY_DEVICES, FULL_PERIOD, FULL_PERIOD};
    if (!node_expect_map(node, "`devices`"))
        return;
    node_only_keys(node, "`devices`", keys);
    read_schedule(description, node, &vm->devices);
}

static void read_paged(struct vm *vm, struct node node)
{
    vm->paged = node_size(node, "a VM's `paged`", 0);
    if (vm->paged % QUOLL_PAGE_SIZE == 0 && vm->paged <= 1ULL << 30)
        return;
    node_error(node, "a VM's paged range is a multiple of 4 KiB, at most 1 GiB; write for example "
                     "2 MiB");
    vm->paged = 0;
}

static void read_command_line(struct vm *vm, struct node node)
{
    vm->command_line = node_text(node, "`command_line`", "console=hvc0");
    size_t most = sizeof(((struct vmm_config *)0)->command_line) - 1;
    if (strlen(vm->command_line) > most)
        node_error(node, "the command line is longer than %zu bytes; shorten it", most);
}

/* A file `vmm` beside the description takes the place of Quoll's. Whether it can begin anew, only its author knows. */
static bool has_own_vmm(const struct description *description)
{
    struct stat status;
    char *path = description_path(description, "vmm");
    bool found = stat(path, &status) == 0 && S_ISREG(status.st_mode);
    free(path);
    return found;
}

static void read_vm(struct description *description, struct node key, struct node node)
{
    static const char *const keys[] = {"memory",  "vcpus",    "kernel", "initrd",  "command_line",
                                       "disks",   "priority", "budget", "rapilog", "seed",
                                       "restart", "devices",  "paged",  NULL};
    if (!node_check_name(key, "a VM", DESCRIPTION_NAME) || !node_expect_map(node, "a VM"))
        return;
    struct vm *vm = &description->vms[description->vm_count];
    *vm = (struct vm){.node = key, .name = node_text(key, "a VM's name", "")};
    node_only_keys(node, "a VM", keys);
    if (strcmp(vm->name, FRAME_LOG_STREAM) == 0)
        node_error(key, "the log is called `%s`; use another name for the VM", vm->name);
    read_vm_memory(vm, node_get(node, "memory"));
    read_paged(vm, node_get(node, "paged"));
    read_vcpus(description, vm, node_get(node, "vcpus"));
    vm->kernel_node = node_get(node, "kernel");
    vm->kernel = node_text(vm->kernel_node, "`kernel`", NULL);
    vm->initrd_node = node_get(node, "initrd");
    vm->initrd = node_text(vm->initrd_node, "`initrd`", NULL);
    if (!node_present(vm->kernel_node))
        node_error(
            key, "VM `%s` has no kernel; write `kernel: PATH` with an arm64 Linux Image or vmlinuz",
            vm->name);
    read_command_line(vm, node_get(node, "command_line"));
    vm->vcpus = (struct schedule){0, PRIORITY_VCPUS, FULL_PERIOD, FULL_PERIOD};
    read_schedule(description, node, &vm->vcpus);
    read_vm_devices(description, vm, node_get(node, "devices"));
    read_volumes(description, node, vm->volumes, &vm->volume_count, &vm->rapilog);
    vm->restart = node_boolean(node_get(node, "restart"), "`restart`",
                               description->restart && !has_own_vmm(description));
    vm->seed = node_text(node_get(node, "seed"), "`seed`", NULL);
    description->vm_count++;
}

void read_vms(struct description *description, struct node node)
{
    if (!node_expect_map(node, "`vms`"))
        return;
    node_unique_keys(node, "`vms`");
    for (size_t i = 0; i < node_length(node); i++) {
        if (description->vm_count == QUOLL_MAX_VMS) {
            node_error(node_key_at(node, i), "too many VMs; a system can have %d", QUOLL_MAX_VMS);
            return;
        }
        struct node value = node_value_at(node, i);
        if (!node_present(value))
            node_error(node_key_at(node, i),
                       "the VM is empty; write its `kernel:` and other keys below it, indented");
        read_vm(description, node_key_at(node, i), value);
    }
}
