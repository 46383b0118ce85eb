/*
 * The kernel believes nothing in a system image: each kind of mistake is refused with a reason that names the record,
 * and no image whatsoever makes the check read outside of it (the sanitizers watch).
 */
#include "image.h"
#include "system_image.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct system_image *image;
static struct image checked;
static char reason[240];

static bool check(uint64_t size)
{
    memset(reason, 0, sizeof(reason));
    return image_check(image, size, &checked, reason, sizeof(reason));
}

static void accepts_a_good_image(void **state)
{
    system_image_make(image);
    assert_true(check(sizeof(*image)));
    assert_ptr_equal(checked.threads, image->threads);
    assert_int_equal(checked.mapping_count, MAPPINGS);
    assert_int_equal(checked.line_count, 1);
}

static void expect_refusal(const char *about)
{
    system_image_seal(image);
    bool good = check(sizeof(*image));
    if (good)
        fail_msg("accepted, though it is wrong about: %s", about);
    if (strstr(reason, about) == NULL)
        fail_msg("the reason should mention '%s': %s", about, reason);
}

/* Changes one field of a good image and expects a reason that mentions `about`. */
#define REFUSES(field, value, about)                                                               \
    do {                                                                                           \
        system_image_make(image);                                                                  \
        image->field = (value);                                                                    \
        expect_refusal(about);                                                                     \
    } while (0)

static void refuses_damage(void **state)
{
    system_image_make(image);
    image->content[10] ^= 1;
    assert_false(check(sizeof(*image)));
    assert_non_null(strstr(reason, "the system image is damaged (checksum "));
    assert_non_null(strstr(reason, "build it again with `quoll build`"));
    system_image_make(image);
    assert_false(check(sizeof(*image) - 1));
    assert_non_null(strstr(reason, "cut off"));
    assert_false(check(10));
    assert_non_null(strstr(reason, "not a Quoll system image"));
}

static void refuses_a_wrong_header(void **state)
{
    REFUSES(header.magic, 1, "not a Quoll system image");
    REFUSES(header.version, 2, "format 2");
    REFUSES(header.header_size, 8, "format");
    REFUSES(header.total_size, sizeof(*image) + 1, "cut off");
    REFUSES(header.checked_size, sizeof(*image) + 1, "damaged");
    REFUSES(header.checked_size, 16, "damaged");
    system_image_make(image);
    memset(image->header.label, 'x', sizeof(image->header.label));
    expect_refusal("label");
    REFUSES(header.cores, 0, "0 cores");
    REFUSES(header.cores, QUOLL_MAX_CORES + 1, "cores");
    REFUSES(header.log_channel, CHANNELS, "log channel");
    REFUSES(header.tables[IMAGE_TABLE_thread].offset, 12, "table 'thread'");
    REFUSES(header.tables[IMAGE_TABLE_thread].offset, 0, "table 'thread'");
    REFUSES(header.tables[IMAGE_TABLE_line].offset, 0xfffffff8u, "table 'line'");
    REFUSES(header.tables[IMAGE_TABLE_vm].count, QUOLL_MAX_VMS + 1, "'vm', at most 16");
    REFUSES(header.tables[IMAGE_TABLE_line].offset, sizeof(*image), "table 'line'");
}

static void refuses_wrong_components_and_threads(void **state)
{
    system_image_make(image);
    memset(image->components[1].name, 'x', QUOLL_NAME_SIZE);
    expect_refusal("component 1 has a name that does not end");
    REFUSES(components[1].first_object, OBJECTS + 1, "component 1 ('driver')");
    REFUSES(components[1].object_count, UINT32_MAX, "component 1 ('driver')");
    REFUSES(components[0].environment, REGIONS, "environment");
    REFUSES(components[0].environment, REGION_CODE, "environment");
    REFUSES(components[0].environment, REGION_DATA, "environment");
    REFUSES(components[0].fault_channel, CHANNELS, "fault channel");
    REFUSES(threads[2].component, COMPONENTS, "thread 2");
    REFUSES(threads[2].core, 2, "thread 2 is on a core");
    REFUSES(threads[2].priority, 256, "priority");
    REFUSES(threads[2].flags, 2, "flags");
    REFUSES(threads[2].budget, 0, "budget");
    REFUSES(threads[2].budget, 10001, "budget");
    REFUSES(threads[2].period, 0, "budget");
    REFUSES(threads[2].period, UINT64_MAX, "budget");
    REFUSES(threads[2].entry, 0x400002, "address");
    REFUSES(threads[2].entry, UINT64_C(1) << 39, "address");
    REFUSES(threads[2].stack, 8, "stack");
    REFUSES(threads[2].argument, 65536, "number");
    REFUSES(threads[1].argument, 0, "same number");
}

static void refuses_wrong_regions(void **state)
{
    REFUSES(regions[REGION_DATA].kind, IMAGE_REGION_KIND_COUNT, "region 3 ('data')");
    REFUSES(regions[REGION_DATA].size, 4095, "pages");
    REFUSES(regions[REGION_DATA].size, UINT64_C(1) << 40, "pages");
    REFUSES(regions[REGION_DATA].size, 4096, "contents");
    REFUSES(regions[REGION_DATA].size, 0, "region 3");
    REFUSES(regions[REGION_DATA].content_offset, UINT64_MAX, "contents");
    REFUSES(regions[REGION_DATA].content_offset, sizeof(*image), "contents");
    REFUSES(regions[REGION_DATA].device, 0, "device");
    REFUSES(regions[REGION_DATA].flags, IMAGE_REGION_KEEP, "flags"); /* it has contents */
    REFUSES(regions[REGION_GUEST].flags, 2, "flags");
    REFUSES(regions[REGION_UART].flags, IMAGE_REGION_KEEP, "flags");
    REFUSES(regions[REGION_UART].device, DEVICES, "device");
    REFUSES(regions[REGION_UART].device, IMAGE_NONE, "device");
    REFUSES(regions[REGION_UART].size, 4096, "machine");
    REFUSES(regions[REGION_LOG].content_size, 1, "machine");
    REFUSES(regions[REGION_CODE].content_offset, image->regions[REGION_CODE].content_offset + 8,
            "whole pages");
    REFUSES(regions[REGION_CODE].size, 4096, "whole pages");
    REFUSES(regions[REGION_CODE].content_size, 0, "whole pages");
    REFUSES(devices[0].compatible[0], 0, "device 0");
    system_image_make(image);
    memset(image->devices[0].compatible, 'x', sizeof(image->devices[0].compatible));
    expect_refusal("device 0 has a name that does not end");
}

static void refuses_wrong_mappings(void **state)
{
    REFUSES(mappings[MAPPING_DATA].space_kind, 2, "mapping 4");
    REFUSES(mappings[MAPPING_DATA].space, COMPONENTS, "mapping 4");
    REFUSES(mappings[MAPPING_GUEST].space, 1, "mapping 5");
    REFUSES(mappings[MAPPING_DATA].region, REGIONS, "mapping 4");
    REFUSES(mappings[MAPPING_DATA].offset, 1, "pages");
    REFUSES(mappings[MAPPING_DATA].offset, 16384, "beyond");
    REFUSES(mappings[MAPPING_DATA].size, 20480, "beyond");
    REFUSES(mappings[MAPPING_DMA].size, GUEST_SIZE, "beyond");
    REFUSES(mappings[MAPPING_DATA].address, 0x500001, "address");
    REFUSES(mappings[MAPPING_DATA].address, UINT64_C(1) << 39, "address");
    REFUSES(mappings[MAPPING_DATA].address, (UINT64_C(1) << 39) - 4096, "address");
    REFUSES(mappings[MAPPING_DATA].rights, 16 | QUOLL_READ, "rights");
    REFUSES(mappings[MAPPING_DATA].rights, QUOLL_WRITE, "rights");
    REFUSES(mappings[MAPPING_DATA].rights, QUOLL_READ | QUOLL_WRITE | QUOLL_EXECUTE,
            "both writable and executable");
    REFUSES(mappings[MAPPING_CODE_VMM].rights, QUOLL_READ | QUOLL_WRITE, "rights");
    REFUSES(mappings[MAPPING_UART].rights, QUOLL_READ | QUOLL_WRITE, "rights");
    REFUSES(mappings[MAPPING_TREE].rights, QUOLL_READ | QUOLL_WRITE, "rights");
    REFUSES(mappings[MAPPING_LOG].rights, QUOLL_READ | QUOLL_EXECUTE, "rights");
    REFUSES(mappings[MAPPING_DATA].address, 0x401000, "overlaps another mapping");
    REFUSES(mappings[MAPPING_LOG].address, 0x20000000, "overlaps another mapping");
    REFUSES(mappings[MAPPING_GUEST].address, PAGED_BASE - 4096, "paged range");
}

static void refuses_wrong_objects_and_signals(void **state)
{
    REFUSES(objects[OBJECT_VM].type, QUOLL_OBJECT_TYPE_COUNT, "object 0 ('vm')");
    REFUSES(objects[OBJECT_VM].index, 1, "does not exist");
    REFUSES(objects[OBJECT_VCPU0].index, VCPUS, "does not exist");
    REFUSES(objects[OBJECT_LINE].index, 1, "does not exist");
    REFUSES(objects[OBJECT_IRQ].index, IRQS, "does not exist");
    REFUSES(objects[OBJECT_THREAD].index, THREADS, "does not exist");
    REFUSES(objects[OBJECT_MACHINE].index, 1, "does not exist");
    REFUSES(objects[OBJECT_TO_DRIVER].index, CHANNELS, "does not exist");
    REFUSES(objects[OBJECT_FROM_UART].index, IRQS, "does not exist");
    REFUSES(objects[OBJECT_GUEST].index, REGION_UART, "not RAM");
    REFUSES(objects[OBJECT_GUEST].index, REGION_CODE, "not RAM");
    REFUSES(objects[OBJECT_VCPU1].type, QUOLL_OBJECT_RECEIVE, "another component's signal");
    REFUSES(channels[0].thread, THREADS, "channel 0");
    REFUSES(channels[0].bit, QUOLL_SIGNAL_CHANNELS, "channel 0");
    REFUSES(channels[1].bit, 0, "same signal");
    REFUSES(irqs[0].device, DEVICES, "irq 0");
    REFUSES(irqs[0].thread, THREADS, "irq 0");
    REFUSES(irqs[0].bit, 63, "irq 0");
    REFUSES(irqs[0].bit, 1, "same signal");
    REFUSES(irqs[1].bit, 2, "same signal");
    system_image_make(image);
    image->irqs[1].device = image->irqs[0].device;
    image->irqs[1].number = image->irqs[0].number;
    expect_refusal("same interrupt");
}

static void refuses_wrong_vms(void **state)
{
    REFUSES(vms[0].component, COMPONENTS, "vm 0 ('linux')");
    REFUSES(vms[0].interrupts, REGION_DATA, "interrupt page");
    REFUSES(vms[0].interrupts, REGION_UART, "interrupt page");
    REFUSES(vms[0].first_vcpu, 1, "vCPUs");
    REFUSES(vms[0].vcpu_count, 0, "vCPUs");
    REFUSES(vms[0].vcpu_count, 3, "vCPUs");
    REFUSES(vms[0].paged_size, 1, "paged range");
    REFUSES(vms[0].paged_address, UINT64_C(1) << 39, "paged range");
    REFUSES(vms[0].vcpu_count, 1, "vcpu 1");
    REFUSES(vcpus[1].vm, 1, "vcpu 1");
    REFUSES(vcpus[1].thread, THREAD_DRIVER, "handler thread");
    REFUSES(vcpus[1].thread, THREAD_VCPU0, "shares");
    REFUSES(vcpus[1].page, REGION_PAGE0, "shares");
    REFUSES(vcpus[1].page, REGION_INTERRUPTS, "interrupt page");
    REFUSES(vcpus[1].page, REGION_GUEST, "vCPU page");
    REFUSES(doorbells[0].vm, 1, "doorbell 0");
    REFUSES(doorbells[0].channel, CHANNELS, "doorbell 0");
    REFUSES(doorbells[0].size, 3, "doorbell 0");
    REFUSES(doorbells[0].address, 0x0a000051, "doorbell 0");
    REFUSES(doorbells[0].address, GUEST_BASE + 64, "mapped");
    REFUSES(lines[0].vm, 1, "line 0");
    REFUSES(lines[0].intid, 31, "line 0");
    REFUSES(lines[0].intid, 288, "line 0");
}

/* Interesting values hit limits more often than uniformly random ones. */
static uint32_t random_value(void)
{
    static const uint32_t values[] = {0, 1, 2, 4095, 4096, 0x7fffffff, 0x80000000, UINT32_MAX};
    return rand() % 2 ? values[rand() % 8] : (uint32_t)rand() * 2654435761u;
}

static void random_changes_never_crash(void **state)
{
    const uint32_t words = offsetof(struct system_image, content) / 4;
    uint32_t accepted = 0;
    for (unsigned seed = 0; seed < 1500; seed++) {
        srand(seed);
        system_image_make(image);
        for (int changes = 1 + rand() % 4; changes > 0; changes--)
            ((uint32_t *)(void *)image)[(uint32_t)rand() % words] = random_value();
        system_image_seal(image);
        if (check(sizeof(*image)))
            accepted++;
        else
            assert_true(strlen(reason) > 10);
    }
    /* Priorities, names, reserved words may change freely; most changes may not. */
    assert_true(accepted < 750);
}

static int set_up(void **state)
{
    image = aligned_alloc(4096, sizeof(*image));
    return image == NULL;
}

static int tear_down(void **state)
{
    free(image);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_good_image),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(refuses_a_wrong_header),
        cmocka_unit_test(refuses_wrong_components_and_threads),
        cmocka_unit_test(refuses_wrong_regions),
        cmocka_unit_test(refuses_wrong_mappings),
        cmocka_unit_test(refuses_wrong_objects_and_signals),
        cmocka_unit_test(refuses_wrong_vms),
        cmocka_unit_test(random_changes_never_crash),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
