/* Reading a system description: the system as a whole, its machine, disks and services. See description.h. */
#include "description_parts.h"

#include "paths.h"

#include "../services/timing/latency.h"

#include <stdlib.h>
#include <string.h>

const char *const service_names[SERVICE_COUNT + 1] = {
#define SERVICE(name, priority) #name,
    SERVICES(SERVICE)
#undef SERVICE
        NULL};

static const struct schedule service_defaults[SERVICE_COUNT] = {
#define SERVICE(name, priority) {0, priority, FULL_PERIOD, FULL_PERIOD},
    SERVICES(SERVICE)
#undef SERVICE
};

uint32_t read_core(const struct description *description, struct node node, const char *what,
                   uint32_t otherwise)
{
    uint32_t cores = description->machine.cores;
    uint64_t core = node_number(node, what, 0, UINT32_MAX, otherwise);
    if (core < cores)
        return (uint32_t)core;
    node_error(
        node,
        "core %lu does not exist; the machine has %u, so write 0 to %u, or raise machine.cores",
        (unsigned long)core, cores, cores - 1);
    return 0;
}

static void read_budget(struct node node, struct schedule *schedule)
{
    static const char *const keys[] = {"time", "period", NULL};
    if (!node_present(node))
        return;
    if (!node_is_map(node)) {
        unsigned percent = node_percent(node, "`budget`", 100);
        schedule->period = FULL_PERIOD;
        schedule->budget = (uint64_t)FULL_PERIOD * percent / 100;
        return;
    }
    node_only_keys(node, "a budget", keys);
    schedule->period = node_duration(node_get(node, "period"), "`period`", 10000000) / 1000;
    if (!node_present(node_get(node, "time")))
        node_error(node, "the budget has no `time`; write {time: 2 ms, period: 10 ms} or 20 %%");
    schedule->budget = node_duration(node_get(node, "time"), "`time`", 1000000) / 1000;
    if (schedule->budget == 0 || schedule->budget > schedule->period) {
        node_error(node,
                   "a budget of %lu us in a period of %lu us cannot be; write a `time` from 1 us "
                   "to the `period`",
                   (unsigned long)schedule->budget, (unsigned long)schedule->period);
        schedule->budget = schedule->period = FULL_PERIOD;
    }
}

void read_schedule(const struct description *description, struct node node,
                   struct schedule *schedule)
{
    schedule->core = read_core(description, node_get(node, "core"), "`core`", schedule->core);
    schedule->priority =
        (uint32_t)node_number(node_get(node, "priority"), "`priority`", 0, 255, schedule->priority);
    read_budget(node_get(node, "budget"), schedule);
}

static const char *one_of(struct node node, const char *what, const char *const words[])
{
    const char *text = node_text(node, what, words[0]);
    for (size_t i = 0; words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0)
            return words[i];
    char all[256] = "";
    for (size_t i = 0; words[i] != NULL; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", words[i]);
    node_error(node, "%s cannot be `%s`; write one of: %s", what, text, all);
    return words[0];
}

static void read_machine(struct description *description, struct node node)
{
    static const char *const keys[] = {"board", "cpu", "cores", "memory", NULL};
    static const char *const boards[] = {"qemu-virt", NULL};
    static const char *const cpus[] = {"cortex-a72",  "cortex-a53", "cortex-a57", "cortex-a76",
                                       "neoverse-n1", "max",        NULL};
    struct machine *machine = &description->machine;
    if (node_present(node) && node_expect_map(node, "`machine`"))
        node_only_keys(node, "`machine`", keys);
    machine->board = one_of(node_get(node, "board"), "`board`", boards);
    machine->cpu = one_of(node_get(node, "cpu"), "`cpu`", cpus);
    machine->cores =
        (uint32_t)node_number(node_get(node, "cores"), "`cores`", 1, QUOLL_MAX_CORES, 4);
    machine->memory = node_size(node_get(node, "memory"), "the machine's `memory`", 2ULL << 30);
    if (machine->memory < 128ULL << 20 || machine->memory > 255ULL << 30) {
        node_error(node_get(node, "memory"),
                   "the machine's memory must be 128 MiB to 255 GiB; write for example 2 GiB");
        machine->memory = 2ULL << 30;
    }
}

/* nvme: 0 | virtio: 0; which of the machine's devices it is */
static void read_device(const struct description *description, struct disk *disk, struct node node)
{
    struct node virtio = node_get(node, "virtio"), nvme = node_get(node, "nvme");
    disk->virtio = node_present(virtio);
    const char *what = disk->virtio ? "virtio" : "nvme";
    uint32_t before = 0;
    for (const struct disk *other = description->disks; other < disk; other++)
        before += other->virtio == disk->virtio;
    disk->instance =
        (uint32_t)node_number(disk->virtio ? virtio : nvme, disk->virtio ? "`virtio`" : "`nvme`", 0,
                              DESCRIPTION_MAX_DISKS - 1, before);
    if (disk->virtio && node_present(nvme))
        node_error(nvme, "disk `%s` cannot be both `nvme` and `virtio`; remove one", disk->name);
    for (const struct disk *other = description->disks; other < disk; other++)
        if (other->virtio == disk->virtio && other->instance == disk->instance)
            node_error(disk->node,
                       "disks `%s` and `%s` are both %s %u; give each `%s:` a number of its own",
                       other->name, disk->name, disk->virtio ? "virtio disk" : "NVMe controller",
                       disk->instance, what);
}

/* timing: {like: 7200rpm, dilation: 4.2, reads: timed} */
static void read_timing(struct disk *disk, struct node node)
{
    static const char *const keys[] = {"like", "dilation", "reads", NULL};
    static const char *const reads[] = {"free", "timed", NULL};
    const char *kinds[16] = {NULL};
    if (!node_present(node) || !node_expect_map(node, "`timing`"))
        return;
    node_only_keys(node, "`timing`", keys);
    for (size_t i = 0; i < 15 && latency_kinds[i].name != NULL; i++)
        kinds[i] = latency_kinds[i].name;
    disk->like = one_of(node_get(node, "like"), "`like`", kinds);
    if (node_present(node_get(node, "reads")))
        disk->timed_reads = strcmp(one_of(node_get(node, "reads"), "`reads`", reads), "timed") == 0;
    const char *text = node_text(node_get(node, "dilation"), "`dilation`", "1");
    char *end;
    double dilation = strtod(text, &end);
    disk->dilation_tenths = 10;
    if (*end != '\0' || !(dilation >= 0.1 && dilation <= 1e6))
        node_error(node_get(node, "dilation"),
                   "`dilation` is a number from 0.1 to 1000000; write for example 4.5");
    else
        disk->dilation_tenths = (uint32_t)(dilation * 10 + 0.5);
    node_warning(node, "disk `%s` is made slower, like a %s; this is for measurements only",
                 disk->name, disk->like);
}

static void read_disk(struct description *description, struct node key, struct node node)
{
    static const char *const keys[] = {"nvme", "virtio", "file", "cache", "timing", NULL};
    static const char *const caches[] = {"writeback",    "none",   "directsync",
                                         "writethrough", "unsafe", NULL};
    if (!node_check_name(key, "a disk", DESCRIPTION_NAME))
        return;
    struct disk *disk = &description->disks[description->disk_count++];
    *disk = (struct disk){.node = key, .name = node_text(key, "a disk's name", "")};
    if (node_present(node) && node_expect_map(node, "a disk"))
        node_only_keys(node, "a disk", keys);
    read_device(description, disk, node);
    disk->file = node_text(node_get(node, "file"), "`file`", NULL);
    disk->cache = one_of(node_get(node, "cache"), "`cache`", caches);
    read_timing(disk, node_get(node, "timing"));
}

static void read_disks(struct description *description, struct node node)
{
    if (!node_expect_map(node, "`disks`"))
        return;
    node_unique_keys(node, "`disks`");
    for (size_t i = 0; i < node_length(node); i++) {
        if (description->disk_count == DESCRIPTION_MAX_DISKS) {
            node_error(node_key_at(node, i), "too many disks; a system can have %d",
                       DESCRIPTION_MAX_DISKS);
            return;
        }
        read_disk(description, node_key_at(node, i), node_value_at(node, i));
    }
}

static void read_shared_memory(struct description *description, struct node node)
{
    if (!node_expect_map(node, "`shared_memory`"))
        return;
    node_unique_keys(node, "`shared_memory`");
    for (size_t i = 0; i < node_length(node); i++) {
        if (description->shared_count == DESCRIPTION_MAX_ITEMS) {
            node_error(node_key_at(node, i), "too much shared memory; a system can have %d areas",
                       DESCRIPTION_MAX_ITEMS);
            return;
        }
        struct node key = node_key_at(node, i);
        if (node_check_name(key, "shared memory", DESCRIPTION_NAME))
            description->shared[description->shared_count++] =
                (struct shared_memory){node_text(key, "a name", ""),
                                       node_size(node_value_at(node, i), "shared memory", 4096)};
    }
}

static void read_services(struct description *description, struct node node)
{
    static const char *const keys[] = {"core", "priority", "budget", NULL};
    memcpy(description->services, service_defaults, sizeof service_defaults);
    if (!node_expect_map(node, "`services`"))
        return;
    node_only_keys(node, "`services`", service_names);
    for (int i = 0; i < SERVICE_COUNT; i++) {
        struct node service = node_get(node, service_names[i]);
        if (!node_expect_map(service, "a service"))
            continue;
        node_only_keys(service, "a service", keys);
        read_schedule(description, service, &description->services[i]);
    }
}

/* test: {kill: {nvme.disk0: {after: 3 s, every: 1 s, times: 5}}} */
static void read_kill(struct description *description, struct node key, struct node node)
{
    static const char *const keys[] = {"after", "every", "times", NULL};
    if (description->kill_count == DESCRIPTION_MAX_KILLS) {
        node_error(key, "too many components to kill; a test can have %d", DESCRIPTION_MAX_KILLS);
        return;
    }
    if (node_present(node) && node_expect_map(node, "a kill"))
        node_only_keys(node, "a kill", keys);
    description->kills[description->kill_count++] = (struct kill){
        .node = key,
        .component = node_text(key, "a component's name", ""),
        .after = node_duration(node_get(node, "after"), "`after`", 3000000000),
        .every = node_duration(node_get(node, "every"), "`every`", 1000000000),
        .times = (uint32_t)node_number(node_get(node, "times"), "`times`", 1, 1000000, 1),
    };
}

static void read_test(struct description *description, struct node node)
{
    static const char *const keys[] = {"kill", NULL};
    if (!node_present(node) || !node_expect_map(node, "`test`"))
        return;
    node_only_keys(node, "`test`", keys);
    struct node kill = node_get(node, "kill");
    if (!node_expect_map(kill, "`kill`"))
        return;
    node_unique_keys(kill, "`kill`");
    for (size_t i = 0; i < node_length(kill); i++)
        read_kill(description, node_key_at(kill, i), node_value_at(kill, i));
    node_warning(node, "components are killed while the system runs; this is for tests only");
}

static void read_system(struct description *description, struct node root)
{
    static const char *const keys[] = {"system",        "machine", "power_fail", "disks",
                                       "shared_memory", "vms",     "components", "services",
                                       "restart",       "test",    NULL};
    node_only_keys(root, "a system", keys);
    struct node name = node_get(root, "system");
    description->name = node_text(name, "`system`", "quoll");
    if (strlen(description->name) > 63)
        node_error(name, "the system's name is longer than 63 bytes; write a shorter one");
    read_machine(description, node_get(root, "machine"));
    read_power(description, node_get(root, "power_fail"));
    read_disks(description, node_get(root, "disks"));
    read_shared_memory(description, node_get(root, "shared_memory"));
    read_services(description, node_get(root, "services"));
    description->restart = node_boolean(node_get(root, "restart"), "`restart`", true);
    read_test(description, node_get(root, "test"));
    read_vms(description, node_get(root, "vms"));
    read_power_vm(description);
    read_components(description, node_get(root, "components"));
    if (!node_present(node_get(root, "vms")) && !node_present(node_get(root, "components")))
        node_error(root, "the system has nothing to run; write `vms:` with at least one VM");
}

bool description_load(struct description *description, const char *path, const char *text,
                      struct report *report)
{
    unsigned before = report->errors;
    *description = (struct description){.report = report};
    if (!document_load(&description->document, path, text, report))
        return false;
    struct node root = document_root(&description->document);
    if (node_expect_map(root, "a system description"))
        read_system(description, root);
    else if (report->errors == before)
        node_error(root, "a system description is a map; write `vms:` and what belongs below it");
    if (report->errors == before)
        check_whole(description);
    return report->errors == before;
}

void description_free(struct description *description)
{
    document_free(&description->document);
}

/* The value of a variable whose "${NAME}" the text begins with, and that name's length; NULL: none is known. */
static const char *variable(const char *text, size_t *length)
{
    static const char *const names[] = {"${QUOLL_BUILD}", "${QUOLL_TARGET}", "${QUOLL_ROOT}"};
    const char *const values[] = {paths_build(), paths_target(), paths_root()};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        *length = strlen(names[i]);
        if (strncmp(text, names[i], *length) == 0)
            return values[i];
    }
    return NULL;
}

static char *replace_variables(const char *path)
{
    const char *begin = strstr(path, "${");
    size_t length;
    if (begin == NULL)
        return text_copy(path);
    const char *value = variable(begin, &length);
    char *rest = replace_variables(begin + (value ? length : 2));
    char *whole = text_print("%.*s%s%s", (int)(begin - path), path, value ? value : "${", rest);
    free(rest);
    return whole;
}

char *description_path(const struct description *description, const char *path)
{
    char *replaced = replace_variables(path);
    const char *own = description->document.path;
    const char *slash = strrchr(own, '/');
    if (replaced[0] == '/' || strstr(replaced, "://") != NULL || slash == NULL)
        return replaced;
    char *whole = text_print("%.*s/%s", (int)(slash - own), own, replaced);
    free(replaced);
    return whole;
}
