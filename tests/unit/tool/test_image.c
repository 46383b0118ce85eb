/* The system image of a description gives every component what it needs to do its work, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "assemble.h"
#include "elf_sample.h"
#include "kernel/image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const files[] = {"pl011.elf",  "console.elf",   "supervisor.elf", "powerkey.elf",
                                    "nvme.elf",   "volume.elf",    "rapilog.elf",    "vmm.elf",
                                    "custom.elf", "powerline.elf", "Image"};
static char folder[] = "/tmp/quoll-test-XXXXXX";

static int set_up(void **state)
{
    struct elf_sample sample;
    if (mkdtemp(folder) == NULL)
        return 1;
    setenv("QUOLL_TARGET", folder, 1);
    elf_sample_make(&sample);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strcmp(files[i], "Image") == 0)
            memcpy((char *)&sample + 56, "ARMd", 4);
        elf_sample_write(&sample, sizeof sample, folder, files[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    char path[512];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder);
}

struct made {
    struct content bytes;
    struct image image;
    char *messages;
    bool good;
};

/* KERNEL in the text stands for the path of a kernel. */
static struct made make(const char *text)
{
    struct made made = {0};
    struct description description;
    size_t size;
    struct report report = {.out = open_memstream(&made.messages, &size), .quiet = true};
    char *path, reason[256];
    assert_true(asprintf(&path, "%s/x.yaml", folder) > 0);
    made.good =
        description_load(&description, path, text, &report) && assemble(&description, &made.bytes);
    fclose(report.out);
    description_free(&description);
    if (made.good)
        assert_true(
            image_check(made.bytes.bytes, made.bytes.size, &made.image, reason, sizeof reason));
    free(path);
    return made;
}

static struct made make_good(const char *text)
{
    struct made made = make(text);
    if (!made.good)
        fail_msg("not good: %s", made.messages);
    return made;
}

static void discard(struct made *made)
{
    content_free(&made->bytes);
    free(made->messages);
}

static uint32_t component(const struct made *made, const char *name)
{
    for (uint32_t i = 0; i < made->image.component_count; i++)
        if (strcmp(made->image.components[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

static const struct image_mapping *mapping(const struct made *made, const char *component_name,
                                           const char *name)
{
    for (uint32_t i = 0; i < made->image.mapping_count; i++)
        if (made->image.mappings[i].space_kind == IMAGE_SPACE_COMPONENT &&
            made->image.mappings[i].space == component(made, component_name) &&
            strcmp(made->image.mappings[i].name, name) == 0)
            return &made->image.mappings[i];
    return NULL;
}

static const void *config(const struct made *made, const char *component_name)
{
    const struct image_mapping *map = mapping(made, component_name, "config");
    assert_non_null(map);
    assert_int_equal(map->rights, QUOLL_READ);
    return made->bytes.bytes + made->image.regions[map->region].content_offset;
}

static bool has_object(const struct made *made, const char *component_name, const char *name,
                       enum quoll_object_type type)
{
    const struct image_component *owner = &made->image.components[component(made, component_name)];
    for (uint32_t i = 0; i < owner->object_count; i++) {
        const struct image_object *object = &made->image.objects[owner->first_object + i];
        if (object->type == type && strcmp(object->name, name) == 0)
            return true;
    }
    return false;
}

#define LINUX "power_fail: powerkey\n" LINUX_WITHOUT_POWER
#define LINUX_WITHOUT_POWER                                                                        \
    "disks: {disk0: {file: d.img}}\n"                                                              \
    "vms:\n"                                                                                       \
    "  linux:\n"                                                                                   \
    "    memory: 64 MiB\n"                                                                         \
    "    vcpus: 2\n"                                                                               \
    "    kernel: Image\n"                                                                          \
    "    rapilog: {hold_up: 90 ms, memory: 8 MiB}\n"                                               \
    "    disks:\n"                                                                                 \
    "      - {disk: disk0, label: root, read_only: true}\n"                                        \
    "      - {disk: disk0, label: wal, filter: rapilog}\n"

static void only_needed_services_are_there(void **state)
{
    struct made made = make_good("components: {custom: {machine: true}}\n");
    assert_int_equal(made.image.component_count, 1);
    assert_true(has_object(&made, "custom", "machine", QUOLL_OBJECT_MACHINE));
    discard(&made);
    made = make_good("vms: {a: {kernel: Image, memory: 64 MiB}}\n");
    assert_int_equal(made.image.component_count, 4);
    assert_int_not_equal(component(&made, "vmm.a"), UINT32_MAX);
    assert_int_equal(component(&made, "nvme.disk0"), UINT32_MAX);
    discard(&made);
    made = make_good(LINUX);
    assert_int_equal(made.image.component_count, 8);
    discard(&made);
}

static void the_disk_path_is_configured_end_to_end(void **state)
{
    struct made made = make_good(LINUX);
    const struct vmm_config *vmm = config(&made, "vmm.linux");
    const struct rapilog_config *rapilog = config(&made, "rapilog.linux");
    const struct volume_config *volume = config(&made, "volume.disk0");
    const struct disk_config *nvme = config(&made, "nvme.disk0");
    uint64_t root = 1ULL << vmm->disk[0].buffer, wal = 1ULL << vmm->disk[1].buffer;
    uint64_t dirty = 1ULL << rapilog->buffer, table = 1ULL << volume->buffer;
    assert_int_equal(vmm->disk_count, 2);
    assert_string_equal(vmm->disk[1].serial, "wal");
    assert_int_equal(rapilog->client_count, 1);
    assert_int_equal(rapilog->allowed_buffers[0], wal);
    assert_int_equal(rapilog->hold_up_ns, 90000000);
    assert_int_equal(rapilog->reserve_ns, 30000000);
    assert_int_equal(volume->client_count, 2);
    assert_string_equal(volume->client[0].label, "root");
    assert_int_equal(volume->client[0].allowed_buffers, root);
    assert_int_equal(volume->client[0].read_only, 1);
    assert_int_equal(volume->client[1].allowed_buffers, wal | dirty);
    assert_int_equal(nvme->allowed_buffers[0], root | wal | dirty | table);
    discard(&made);
}

static void the_dump_area_is_one_more_disk_of_rapilogs(void **state)
{
    struct made made =
        make_good("power_fail: powerkey\n"
                  "disks: {disk0: {file: d.img}}\n"
                  "vms:\n"
                  "  linux:\n"
                  "    memory: 64 MiB\n"
                  "    kernel: Image\n"
                  "    rapilog: {mode: held ordered, hold_up: 90 ms, memory: 8 MiB, dump: spare}\n"
                  "    disks:\n"
                  "      - {disk: disk0, label: root, filter: rapilog}\n"
                  "      - {disk: disk0, label: wal, filter: rapilog}\n");
    const struct rapilog_config *rapilog = config(&made, "rapilog.linux");
    const struct volume_config *volume = config(&made, "volume.disk0");
    assert_int_equal(rapilog->mode, RAPILOG_MODE_HELD_ORDERED);
    assert_int_equal(rapilog->client_count, 2);
    assert_int_equal(rapilog->has_dump, 1);
    assert_int_equal(volume->client_count, 3);
    assert_string_equal(volume->client[2].label, "spare");
    assert_int_equal(volume->client[2].allowed_buffers, 1ULL << rapilog->buffer);
    assert_non_null(mapping(&made, "rapilog.linux", "disk2"));
    discard(&made);
}

static void a_source_of_the_mains_signal_can_say_so_and_no_more(void **state)
{
    struct made made = make_good(
        "power_fail: {powerkey: true, interrupt: monitor, off_after: 2 s}\n" LINUX_WITHOUT_POWER);
    const struct supervisor_config *supervisor = config(&made, "supervisor");
    assert_int_equal(supervisor->power_count, 2);
    assert_int_equal(supervisor->off_after_ns, 2000000000);
    assert_int_equal(mapping(&made, "supervisor", "power0")->rights, QUOLL_READ);
    assert_int_equal(mapping(&made, "supervisor", "power1")->rights, QUOLL_READ);
    assert_int_equal(mapping(&made, "powerline", "power")->rights, QUOLL_READ | QUOLL_WRITE);
    assert_true(has_object(&made, "powerline", "mains", QUOLL_OBJECT_CHANNEL));
    assert_true(has_object(&made, "powerkey", "mains", QUOLL_OBJECT_CHANNEL));
    assert_false(has_object(&made, "vmm.linux", "mains", QUOLL_OBJECT_CHANNEL));
    assert_null(mapping(&made, "vmm.linux", "power"));
    discard(&made);
}

static void only_the_vm_that_is_named_may_ring_for_the_mains(void **state)
{
    struct made made = make_good("power_fail: {vm: ups}\n"
                                 "vms:\n"
                                 "  db: {kernel: Image, memory: 64 MiB}\n"
                                 "  ups: {kernel: Image, memory: 64 MiB}\n");
    const struct supervisor_config *supervisor = config(&made, "supervisor");
    assert_int_equal(supervisor->power_count, 1);
    assert_int_equal(supervisor->vm[0].goes_on, 0);
    assert_int_equal(supervisor->vm[1].goes_on, 1);
    assert_true(has_object(&made, "vmm.ups", "mains", QUOLL_OBJECT_CHANNEL));
    assert_non_null(mapping(&made, "vmm.ups", "power"));
    assert_false(has_object(&made, "vmm.db", "mains", QUOLL_OBJECT_CHANNEL));
    assert_null(mapping(&made, "vmm.db", "power"));
    assert_int_equal(component(&made, "powerkey"), UINT32_MAX);
    discard(&made);
}

static void data_is_mapped_only_where_it_is_touched(void **state)
{
    struct made made = make_good(LINUX);
    const struct vmm_config *vmm = config(&made, "vmm.linux");
    char root[16], wal[16];
    snprintf(root, sizeof root, "buffer%u", vmm->disk[0].buffer);
    snprintf(wal, sizeof wal, "buffer%u", vmm->disk[1].buffer);
    assert_int_equal(mapping(&made, "vmm.linux", root)->rights, QUOLL_READ | QUOLL_WRITE);
    assert_int_equal(mapping(&made, "rapilog.linux", wal)->rights, QUOLL_READ | QUOLL_WRITE);
    assert_null(mapping(&made, "rapilog.linux", root));
    assert_null(mapping(&made, "volume.disk0", root));
    assert_int_equal(mapping(&made, "nvme.disk0", wal)->rights, 0);
    assert_int_equal(mapping(&made, "nvme.disk0", root)->rights, 0);
    assert_non_null(mapping(&made, "rapilog.linux", "dirty"));
    assert_null(mapping(&made, "vmm.linux", "dirty"));
    assert_null(mapping(&made, "console", "guest-ram"));
    discard(&made);
}

static void nothing_is_writable_and_executable_but_guest_memory(void **state)
{
    struct made made = make_good(LINUX);
    for (uint32_t i = 0; i < made.image.mapping_count; i++)
        if (made.image.mappings[i].space_kind == IMAGE_SPACE_COMPONENT)
            assert_int_not_equal(made.image.mappings[i].rights & (QUOLL_WRITE | QUOLL_EXECUTE),
                                 QUOLL_WRITE | QUOLL_EXECUTE);
    discard(&made);
}

static void guest_payloads_lie_outside_the_checked_part(void **state)
{
    struct made made = make_good(LINUX);
    const struct image_mapping *kernel = mapping(&made, "vmm.linux", "kernel");
    const struct image_region *region = &made.image.regions[kernel->region];
    const struct vmm_config *vmm = config(&made, "vmm.linux");
    assert_int_equal(region->kind, IMAGE_REGION_IMAGE);
    assert_true(region->content_offset >= made.image.header->checked_size);
    assert_int_equal(region->content_offset % QUOLL_PAGE_SIZE, 0);
    assert_int_equal(vmm->kernel_size, sizeof(struct elf_sample));
    discard(&made);
}

static void vcpu_threads_are_where_the_description_says(void **state)
{
    struct made made = make_good(
        "vms:\n  a: {kernel: Image, memory: 64 MiB, vcpus: [3, 1], budget: 25 %, priority: 9}\n");
    assert_int_equal(made.image.vcpu_count, 2);
    const struct image_thread *first = &made.image.threads[made.image.vcpus[0].thread];
    const struct image_thread *second = &made.image.threads[made.image.vcpus[1].thread];
    assert_int_equal(first->core, 3);
    assert_int_equal(second->core, 1);
    assert_int_equal(first->priority, 9);
    assert_int_equal(first->budget * 4, first->period);
    assert_int_equal(made.image.doorbell_count, 2);
    assert_int_equal(made.image.doorbells[1].address, 0x0a000250);
    discard(&made);
}

static void the_supervisor_reaches_every_vcpu_and_hears_of_faults(void **state)
{
    struct made made = make_good(LINUX);
    assert_true(has_object(&made, "supervisor", "vm0.thread0", QUOLL_OBJECT_THREAD));
    assert_true(has_object(&made, "supervisor", "vm0.thread1", QUOLL_OBJECT_THREAD));
    assert_true(has_object(&made, "supervisor", "drain0", QUOLL_OBJECT_CHANNEL));
    assert_true(has_object(&made, "supervisor", "mains0", QUOLL_OBJECT_CHANNEL));
    assert_true(has_object(&made, "supervisor", "machine", QUOLL_OBJECT_MACHINE));
    assert_false(has_object(&made, "vmm.linux", "machine", QUOLL_OBJECT_MACHINE));
    for (uint32_t i = 0; i < made.image.component_count; i++)
        assert_int_equal(made.image.components[i].fault_channel == IMAGE_NONE,
                         i == component(&made, "supervisor"));
    discard(&made);
}

static const struct supervisor_config *supervisor_of(const struct made *made)
{
    return config(made, "supervisor");
}

static void drivers_volumes_and_vmms_can_be_restarted(void **state)
{
    struct made made = make_good(LINUX "test: {kill: {nvme.disk0: {after: 2 s, times: 3}}}\n");
    const struct supervisor_config *config = supervisor_of(&made);
    assert_int_equal(config->part_count, 3);
    assert_true(has_object(&made, "supervisor", "part0.thread0", QUOLL_OBJECT_THREAD));
    assert_true(has_object(&made, "supervisor", "part0.fault", QUOLL_OBJECT_RECEIVE));
    uint32_t vmms = 0;
    for (uint32_t i = 0; i < config->part_count; i++) {
        bool driver = strcmp(config->part[i].name, "nvme.disk0") == 0;
        assert_int_equal(config->part[i].kills, driver ? 3 : 0);
        if (driver)
            assert_int_equal(config->part[i].kill_after_ns, 2000000000);
        if (config->part[i].vm == 0) {
            assert_string_equal(config->part[i].name, "vmm.linux");
            assert_int_equal(config->part[i].thread_count, 3); /* of a VM with two vCPUs */
            vmms++;
        }
    }
    assert_int_equal(vmms, 1);
    assert_non_null(mapping(&made, "vmm.linux", "survival"));
    discard(&made);
    made = make_good(LINUX "restart: false\n");
    assert_int_equal(supervisor_of(&made)->part_count, 0);
    assert_true(has_object(&made, "supervisor", "vm0.fault", QUOLL_OBJECT_RECEIVE));
    discard(&made);
}

static void components_of_the_users_own_are_connected(void **state)
{
    struct made made =
        make_good("shared_memory: {pool: 64 KiB}\n"
                  "components:\n"
                  "  a:\n"
                  "    elf: custom\n"
                  "    threads: [{core: 1}, {core: 2}]\n"
                  "    memory: {p: {shared: pool, writable: false}, own: 8 KiB}\n"
                  "    channels: {ping: {to: b, as: pong}}\n"
                  "    controls: [b]\n"
                  "  b:\n"
                  "    elf: custom\n"
                  "    memory: {q: {shared: pool}}\n"
                  "    devices: {clock: {compatible: \"arm,pl031\", interrupt: true}}\n");
    assert_int_equal(mapping(&made, "a", "p")->region, mapping(&made, "b", "q")->region);
    assert_int_equal(mapping(&made, "a", "p")->rights, QUOLL_READ);
    assert_int_equal(mapping(&made, "b", "clock")->rights,
                     QUOLL_READ | QUOLL_WRITE | QUOLL_UNCACHED);
    assert_true(has_object(&made, "a", "ping", QUOLL_OBJECT_CHANNEL));
    assert_true(has_object(&made, "b", "pong", QUOLL_OBJECT_RECEIVE));
    assert_true(has_object(&made, "a", "b.thread0", QUOLL_OBJECT_THREAD));
    assert_true(has_object(&made, "b", "clock", QUOLL_OBJECT_IRQ));
    assert_int_equal(made.image.thread_count, 3);
    discard(&made);
}

static void refused(const char *text, const char *message)
{
    struct made made = make(text);
    if (made.good || strstr(made.messages, message) == NULL)
        fail_msg("expected: %s\ngot: %s", message, made.messages);
    discard(&made);
}

static void what_is_not_restarted_cannot_be_killed(void **state)
{
    refused(LINUX "test: {kill: {console: {}}}\n",
            "no component that is restarted has the name `console`; there are: vmm.linux, "
            "nvme.disk0, volume.disk0");
    refused(LINUX "restart: false\ntest: {kill: {nvme.disk0: {}}}\n", "there are: none");
    refused(LINUX "test: {kill: {nvme.disk0: {when: 1 s}}}\n", "when");
}

static void files_that_are_no_good_are_refused(void **state)
{
    refused("components: {nothing: {machine: true}}\n",
            "x.yaml:1:14: component `nothing` has no ELF file");
    refused("components: {a: {elf: Image}}\n",
            "Image` is cut short; build it as Quoll's own components are built");
    refused("vms: {a: {kernel: custom.elf}}\n",
            "x.yaml:1:19: `custom.elf` is no arm64 Linux Image; give");
    refused("vms: {a: {kernel: nothing}}\n",
            "cannot be read: No such file or directory; correct the path");
    refused("vms: {a: {kernel: Image, initrd: nothing}}\n", "x.yaml:1:34: the initrd `");
}

static void a_paged_range_is_behind_the_memory_and_empty(void **state)
{
    struct made made = make_good("vms:\n  a: {kernel: Image, memory: 64 MiB, paged: 2 MiB}\n");
    const struct image_vm *vm = &made.image.vms[0];
    assert_int_equal(vm->paged_address, 0x44000000);
    assert_int_equal(vm->paged_size, 2 << 20);
    const struct image_mapping *paged = mapping(&made, "vmm.a", "paged");
    assert_non_null(paged);
    for (uint32_t i = 0; i < made.image.mapping_count; i++)
        if (made.image.mappings[i].region == paged->region)
            assert_int_equal(made.image.mappings[i].space_kind, IMAGE_SPACE_COMPONENT);
    discard(&made);
}

static void a_folder_beside_the_description_is_not_taken_for_a_component(void **state)
{
    char path[512];
    snprintf(path, sizeof path, "%s/vmm", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    struct made made = make("vms: {vm: {kernel: Image}}");
    rmdir(path);
    if (!made.good)
        fail_msg("not good: %s", made.messages);
    discard(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_needed_services_are_there),
        cmocka_unit_test(the_disk_path_is_configured_end_to_end),
        cmocka_unit_test(the_dump_area_is_one_more_disk_of_rapilogs),
        cmocka_unit_test(a_source_of_the_mains_signal_can_say_so_and_no_more),
        cmocka_unit_test(only_the_vm_that_is_named_may_ring_for_the_mains),
        cmocka_unit_test(data_is_mapped_only_where_it_is_touched),
        cmocka_unit_test(nothing_is_writable_and_executable_but_guest_memory),
        cmocka_unit_test(guest_payloads_lie_outside_the_checked_part),
        cmocka_unit_test(vcpu_threads_are_where_the_description_says),
        cmocka_unit_test(the_supervisor_reaches_every_vcpu_and_hears_of_faults),
        cmocka_unit_test(drivers_volumes_and_vmms_can_be_restarted),
        cmocka_unit_test(what_is_not_restarted_cannot_be_killed),
        cmocka_unit_test(components_of_the_users_own_are_connected),
        cmocka_unit_test(files_that_are_no_good_are_refused),
        cmocka_unit_test(a_paged_range_is_behind_the_memory_and_empty),
        cmocka_unit_test(a_folder_beside_the_description_is_not_taken_for_a_component),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
