/*
 * Start-up: from a good system image and a machine to placed regions, address spaces, objects and
 * environments; and what is said when the machine does not have what the system needs.
 *
 * The machine's memory is an arena of this process, so that physical addresses can be looked at.
 */
#include "host.h"
#include "log.h"
#include "machine_tree.h"
#include "sched.h"
#include "start.h"
#include "system_image.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <libfdt.h>

#define ARENA_BYTES (32u << 20)
#define KERNEL_OFFSET 0x400000u
#define KERNEL_BYTES 0x180000u
#define IMAGE_OFFSET 0x800000u
#define TREE_OFFSET 0x900000u
#define BLOCK (2u << 20)

static uint8_t *arena;
static struct system_image *image;
static struct machine_tree_options options;
static struct start_result result;
static uint64_t kernel_offset;

static void *tree_bytes(void)
{
    return arena + TREE_OFFSET;
}

static void start(void)
{
    static struct machine machine;
    struct devicetree tree;
    char reason[240] = "";
    struct start_request request = {
        .image = &system_image,
        .machine = &machine,
        .image_base = paddr((uintptr_t)image),
        .kernel = {(uintptr_t)arena + kernel_offset, KERNEL_BYTES},
    };
    assert_true(devicetree_open(&tree, tree_bytes(), MACHINE_TREE_BYTES));
    assert_true(machine_find(&tree, &machine, reason, sizeof(reason)));
    system_image_seal(image);
    if (!image_check(image, sizeof(*image), &system_image, reason, sizeof(reason)))
        fail_msg("%s", reason);
    start_build(&request, &result);
    start_share();
}

/* Starts, and expects the machine to be stopped with a message that mentions `about`. */
static void expect_stop(const char *about)
{
    host.catches_stop = true;
    int how = setjmp(host.stopped);
    if (how == HOST_RUNS) {
        start();
        fail_msg("started, though it cannot: %s", about);
    }
    assert_int_equal(how, HOST_OFF);
    assert_int_equal(strncmp(host.console, "quoll: stopped: ", 16), 0);
    if (strstr(host.console, about) == NULL)
        fail_msg("the message should mention '%s': %s", about, host.console);
}

static uint64_t physical_of(struct stage2 *space, uint64_t address, uint32_t rights)
{
    paddr_t physical;
    uint32_t found;
    assert_true(stage2_lookup(space, ipaddr(address), &physical, &found));
    assert_int_equal(found, rights);
    return physical.value;
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static void memory_goes_to_one_purpose_only(void **state)
{
    start();
    uint64_t base = (uintptr_t)arena;
    const struct devicetree_range taken[] = {{base + KERNEL_OFFSET, KERNEL_BYTES},
                                             {base + IMAGE_OFFSET, sizeof(*image)},
                                             {base + TREE_OFFSET, MACHINE_TREE_BYTES},
                                             {base + 0x100000, 0x1000},
                                             {base + 0x200000, 0x3000},
                                             result.tables};
    for (uint32_t i = 0; i < REGIONS; i++) {
        if (image->regions[i].kind != IMAGE_REGION_RAM && i != REGION_TREE)
            continue;
        uint64_t at = regions[i].base.value, size = regions[i].size;
        assert_true(at >= base && at + size <= base + ARENA_BYTES);
        for (size_t j = 0; j < ARRAY_SIZE(taken); j++)
            assert_false(ranges_overlap(at, size, taken[j].base, taken[j].size));
        for (uint32_t j = 0; j < i; j++)
            assert_false(ranges_overlap(at, size, regions[j].base.value, regions[j].size));
    }
    assert_int_equal(regions[REGION_GUEST].base.value % BLOCK, 0);
}

static void regions_hold_their_contents_and_zeroes(void **state)
{
    memset(arena, 0xa5, IMAGE_OFFSET);
    memset(arena + IMAGE_OFFSET + (1u << 20), 0xa5, ARENA_BYTES - IMAGE_OFFSET - (1u << 20));
    system_image_make(image);
    machine_tree_make(tree_bytes(), &options);
    start();
    const uint8_t *data = (const uint8_t *)regions[REGION_DATA].base.value;
    assert_memory_equal(data, image->content + 100, CONTENT_BYTES);
    for (uint32_t i = CONTENT_BYTES; i < regions[REGION_DATA].size; i++)
        assert_int_equal(data[i], 0);
    const uint8_t *guest = (const uint8_t *)regions[REGION_GUEST].base.value;
    for (uint64_t i = 0; i < GUEST_SIZE; i += 64)
        assert_int_equal(guest[i], 0);
    const void *copy = (const void *)regions[REGION_TREE].base.value;
    assert_memory_equal(copy, tree_bytes(), fdt_totalsize(tree_bytes()));
    assert_int_equal(regions[REGION_CODE].base.value, (uintptr_t)image->content);
}

/* The machine is reset: its memory is what it was. Returns the first word of the region that may be kept. */
static uint64_t *reset(void)
{
    host_reset(2);
    start();
    return (uint64_t *)regions[REGION_GUEST].base.value;
}

static void a_region_outlives_a_reset_for_the_same_image_only(void **state)
{
    image->regions[REGION_GUEST].flags = IMAGE_REGION_KEEP;
    memset(arena, 0xa5, KERNEL_OFFSET);
    system_image_make(image);
    image->regions[REGION_GUEST].flags = IMAGE_REGION_KEEP;
    machine_tree_make(tree_bytes(), &options);
    uint64_t *word = reset();
    assert_int_equal(*word, 0); /* after power-on */
    *word = 11;
    assert_ptr_equal(reset(), word);
    assert_int_equal(*word, 11);
    *word = 12;
    image->header.label[0] ^= 1; /* another system */
    assert_int_equal(*reset(), 0);
    *word = 13;
    image->header.label[0] ^=
        1; /* the first one again: it must not see what the other one left, nor its own */
    assert_int_equal(*reset(), 0);
}

static void a_region_that_lies_elsewhere_after_a_reset_is_cleared(void **state)
{
    image->regions[REGION_GUEST].flags = IMAGE_REGION_KEEP;
    uint64_t *word = reset();
    *word = 11;
    options.memory_base += 6 * BLOCK;
    options.memory_size -= 6 * BLOCK;
    machine_tree_make(tree_bytes(), &options);
    uint64_t *moved = reset();
    if (moved == word)
        fail_msg("the test needs another place");
    assert_int_equal(*moved, 0);
}

static void other_memory_does_not_outlive_a_reset(void **state)
{
    uint64_t *word = reset();
    *word = 11;
    assert_int_equal(*reset(), 0);
}

static void a_region_without_contents_may_say_that_they_are_anywhere(void **state)
{
    image->regions[REGION_GUEST].content_offset = UINT64_MAX - 7;
    start();
    assert_int_equal(*(const uint64_t *)regions[REGION_GUEST].base.value, 0);
}

static void spaces_have_what_the_image_maps(void **state)
{
    start();
    struct stage2 *vmm = &components[COMPONENT_VMM].space;
    struct stage2 *driver = &components[COMPONENT_DRIVER].space;
    const uint32_t rw = QUOLL_READ | QUOLL_WRITE;
    assert_int_equal(physical_of(vmm, 0x401000, QUOLL_READ | QUOLL_EXECUTE),
                     (uintptr_t)image->content + 4096);
    assert_int_equal(physical_of(vmm, 0x501008, rw), regions[REGION_DATA].base.value + 0x1008);
    assert_int_equal(physical_of(vmm, 0x4000000000, rw), regions[REGION_GUEST].base.value);
    assert_int_equal(physical_of(&vms[0].space, GUEST_BASE + 0x345678, rw | QUOLL_EXECUTE),
                     regions[REGION_GUEST].base.value + 0x345678);
    assert_int_equal(physical_of(driver, 0x20000000, rw | QUOLL_UNCACHED), 0x9000000);
    assert_int_equal(physical_of(driver, 0x30000000, rw | QUOLL_UNCACHED), 0x10000000);
    uint64_t log_size;
    assert_int_equal(physical_of(driver, 0x22000000, QUOLL_READ), klog_memory(&log_size).value);
    paddr_t physical;
    uint32_t rights;
    assert_false(stage2_lookup(driver, ipaddr(0x500000), &physical, &rights));
    assert_false(stage2_lookup(driver, ipaddr(0), &physical, &rights)); /* DMA only: not mapped */
    assert_false(stage2_lookup(&vms[0].space, ipaddr(PAGED_BASE), &physical, &rights));
    stage2_set_pages(&vms[0].space, ipaddr(PAGED_BASE + PAGED_SIZE - 4096), paddr(0x1000), 4096,
                     rw);
    assert_int_equal(physical_of(&vms[0].space, PAGED_BASE + PAGED_SIZE - 4096, rw), 0x1000);
    assert_int_not_equal(vmm->vmid, driver->vmid);
    assert_int_not_equal(vmm->vmid, vms[0].space.vmid);
}

static const struct quoll_environment *environment(uint32_t region)
{
    return (const struct quoll_environment *)regions[region].base.value;
}

static const struct quoll_environment_entry *entry(const struct quoll_environment *from,
                                                   uint32_t kind, const char *name)
{
    for (uint32_t i = 0; i < from->entry_count; i++) {
        if (from->entries[i].kind == kind && strcmp(from->entries[i].name, name) == 0)
            return &from->entries[i];
    }
    fail_msg("no entry '%s'", name);
    return NULL;
}

static void components_are_told_what_they_have(void **state)
{
    start();
    const struct quoll_environment *vmm = environment(REGION_ENVIRONMENT_VMM);
    assert_true(vmm->magic == QUOLL_ENVIRONMENT_MAGIC);
    assert_string_equal(vmm->component, "vmm");
    assert_int_equal(vmm->thread_count, 2);
    assert_int_equal(vmm->counter_frequency, host.frequency);
    assert_int_equal(vmm->entry_count, 3 + 5);
    const struct quoll_environment_entry *guest = entry(vmm, QUOLL_ENVIRONMENT_MEMORY, "guest");
    assert_int_equal(guest->address, 0x4000000000);
    assert_int_equal(guest->size, GUEST_SIZE);
    assert_int_equal(guest->physical, regions[REGION_GUEST].base.value);
    assert_int_equal(entry(vmm, QUOLL_ENVIRONMENT_HANDLE, "vcpu1")->number, 2);
    assert_int_equal(entry(vmm, QUOLL_ENVIRONMENT_HANDLE, "vcpu1")->type, QUOLL_OBJECT_VCPU);

    const struct quoll_environment *driver = environment(REGION_ENVIRONMENT_DRIVER);
    const struct quoll_environment_entry *buffer =
        entry(driver, QUOLL_ENVIRONMENT_MEMORY, "buffer0");
    assert_int_equal(buffer->type, 0);
    assert_int_equal(buffer->size, 8192);
    assert_int_equal(buffer->physical, regions[REGION_GUEST].base.value + 4096);
    assert_int_equal(entry(driver, QUOLL_ENVIRONMENT_MEMORY, "registers")->size, 4096);
    assert_int_equal(entry(driver, QUOLL_ENVIRONMENT_RECEIVE, "vmm")->number, 0);
    assert_int_equal(entry(driver, QUOLL_ENVIRONMENT_RECEIVE, "uart")->number, 2);
    assert_int_equal(entry(driver, QUOLL_ENVIRONMENT_RECEIVE, "uart")->thread, 0);
    assert_int_equal(entry(driver, QUOLL_ENVIRONMENT_HANDLE, "machine")->type,
                     QUOLL_OBJECT_MACHINE);
}

static void objects_are_connected(void **state)
{
    start();
    struct thread *driver = &threads[THREAD_DRIVER];
    assert_ptr_equal(driver->core, &cores[1]);
    assert_ptr_equal(cores[1].threads[driver->slot], driver);
    assert_int_equal(driver->period, host.frequency / 100);
    assert_int_equal(driver->budget, host.frequency / 500);
    assert_int_equal(driver->registers.pc, 0x400000);
    assert_int_equal(driver->registers.sp, 0x18010000);
    assert_int_equal(driver->registers.x[1], QUOLL_ENVIRONMENT_ADDRESS);
    assert_int_equal(threads[THREAD_VCPU1].registers.x[0], 1);
    assert_ptr_equal(threads[THREAD_VCPU1].vcpu, &vcpus[1]);
    assert_ptr_equal(vcpus[1].thread, &threads[THREAD_VCPU1]);
    assert_int_equal(vcpus[1].index, 1);
    assert_ptr_equal(vcpus[1].page, (void *)regions[REGION_PAGE1].base.value);
    assert_ptr_equal(vms[0].interrupts, (void *)regions[REGION_INTERRUPTS].base.value);
    assert_ptr_equal(channels[CHANNEL_BELL].thread, driver);
    assert_ptr_equal(log_channel, &channels[CHANNEL_TO_DRIVER]);
    assert_int_equal(irqs[IRQ_UART].intid, 33);
    assert_int_equal(irqs[IRQ_PCI].intid, 37);
    assert_ptr_equal(host.irq_core[37], &cores[1]);
    assert_int_equal(vms[0].doorbell_count, 1);
    assert_ptr_equal(vms[0].doorbells[0].channel, &channels[CHANNEL_BELL]);
    assert_int_equal(lines[0].intid, 48);
}

static void threads_run_unless_they_start_suspended(void **state)
{
    start();
    start_core(&cores[0]);
    start_core(&cores[1]);
    assert_ptr_equal(sched_next(&cores[0]), &threads[THREAD_VCPU0]);
    host_core = &cores[1];
    assert_ptr_equal(sched_next(&cores[1]), &threads[THREAD_DRIVER]);
    assert_false(threads[THREAD_VCPU1].queued);
}

static void says_what_the_machine_lacks(void **state)
{
    core_count = 1;
    expect_stop("uses 2 cores; this machine has 1");
}

static void says_which_region_does_not_fit(void **state)
{
    image->regions[REGION_GUEST].size = 64 << 20;
    expect_stop("guest needs 65536 KiB in one piece");
}

static void says_which_device_is_missing(void **state)
{
    strcpy(image->devices[DEVICE_UART].compatible, "acme,uart");
    expect_stop("no device 'acme,uart' number 0");
}

static void says_that_an_interrupt_is_missing(void **state)
{
    image->irqs[IRQ_UART].number = 5;
    expect_stop("device 'arm,pl011' has no interrupt number 5");
}

static void keeps_the_interrupt_controller_for_itself(void **state)
{
    strcpy(image->devices[DEVICE_UART].compatible, "arm,gic-v3");
    expect_stop("overlaps memory or the interrupt controller");
}

static void memory_described_twice_is_there_once(void **state)
{
    int memory = fdt_path_offset(tree_bytes(), "/memory@40000000");
    fdt64_t bank[2] = {cpu_to_fdt64((uintptr_t)arena), cpu_to_fdt64(ARENA_BYTES)};
    assert_int_equal(fdt_appendprop(tree_bytes(), memory, "reg", bank, sizeof(bank)), 0);
    image->regions[REGION_GUEST].size = 12 << 20;
    image->regions[REGION_DATA].size = 12 << 20;
    expect_stop("in one piece");
}

static void refuses_a_kernel_that_lies_in_the_image(void **state)
{
    kernel_offset = IMAGE_OFFSET;
    expect_stop("do not lie apart");
}

static void refuses_registers_that_share_a_page(void **state)
{
    int uart = fdt_path_offset(tree_bytes(), "/pl011@9000000");
    const uint8_t small[16] = {[4] = 9, [14] = 2};
    assert_int_equal(fdt_setprop(tree_bytes(), uart, "reg", small, sizeof(small)), 0);
    expect_stop("'arm,pl011' share a page with others");
}

static void refuses_a_mapping_that_only_the_machine_shows_to_be_wrong(void **state)
{
    image->mappings[MAPPING_UART].offset = 0x10000;
    expect_stop("region 'uart' has 4096 bytes on this machine");
}

static void refuses_overlaps_that_only_the_machine_shows(void **state)
{
    image->mappings[MAPPING_UART].address = 0x30001000;
    expect_stop("it overlaps another mapping");
}

static int set_up(void **state)
{
    kernel_offset = KERNEL_OFFSET;
    arena = aligned_alloc(BLOCK, ARENA_BYTES);
    if (arena == NULL)
        return -1;
    options = (struct machine_tree_options){(uintptr_t)arena, ARENA_BYTES,
                                            (uintptr_t)arena + IMAGE_OFFSET, sizeof(*image), 2};
    image = (struct system_image *)(void *)(arena + IMAGE_OFFSET);
    host_reset(2);
    system_image_make(image);
    machine_tree_make(tree_bytes(), &options);
    return 0;
}

static int tear_down(void **state)
{
    free(arena);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(memory_goes_to_one_purpose_only),
        TEST(regions_hold_their_contents_and_zeroes),
        TEST(a_region_outlives_a_reset_for_the_same_image_only),
        TEST(a_region_that_lies_elsewhere_after_a_reset_is_cleared),
        TEST(other_memory_does_not_outlive_a_reset),
        TEST(a_region_without_contents_may_say_that_they_are_anywhere),
        TEST(spaces_have_what_the_image_maps),
        TEST(components_are_told_what_they_have),
        TEST(objects_are_connected),
        TEST(threads_run_unless_they_start_suspended),
        TEST(says_what_the_machine_lacks),
        TEST(says_which_region_does_not_fit),
        TEST(says_which_device_is_missing),
        TEST(says_that_an_interrupt_is_missing),
        TEST(keeps_the_interrupt_controller_for_itself),
        TEST(memory_described_twice_is_there_once),
        TEST(refuses_a_kernel_that_lies_in_the_image),
        TEST(refuses_registers_that_share_a_page),
        TEST(refuses_a_mapping_that_only_the_machine_shows_to_be_wrong),
        TEST(refuses_overlaps_that_only_the_machine_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
