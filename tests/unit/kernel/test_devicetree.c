/*
 * The kernel's view of a device tree: what it finds in a good one, and that no tree, however damaged, makes it read outside
 * of the tree or go round in circles (the sanitizers and the time limit watch).
 */
#include "machine.h"
#include "machine_tree.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <libfdt.h>

static uint8_t *bytes;
static struct devicetree tree;

static const struct machine_tree_options options = {
    .memory_base = 0x40000000,
    .memory_size = 0x80000000,
    .initrd_base = 0x48000000,
    .initrd_size = 0x123456,
    .cpus = 4,
};

static void find(const char *compatible, uint32_t instance, struct devicetree_node *node)
{
    assert_true(devicetree_find_compatible(&tree, compatible, instance, node));
}

static void finds_the_machine(void **state)
{
    struct machine machine;
    char reason[200];
    assert_true(machine_find(&tree, &machine, reason, sizeof(reason)));
    assert_string_equal(machine.model, "test board");
    assert_int_equal(machine.bank_count, 1);
    assert_int_equal(machine.banks[0].base, 0x40000000);
    assert_int_equal(machine.banks[0].size, 0x80000000);
    assert_int_equal(machine.cpu_count, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(machine.cpus[i], i);
    assert_int_equal(machine.psci, MACHINE_PSCI_SMC);
    assert_int_equal(machine.distributor.base, 0x8000000);
    assert_int_equal(machine.redistributors[0].base, 0x80a0000);
    assert_int_equal(machine.redistributors[0].size, 0xf60000);
    assert_int_equal(machine.initrd.base, 0x48000000);
    assert_int_equal(machine.initrd.size, 0x123456);
    assert_int_equal(machine.reserved_count, 2);
    assert_false(machine.reserved[0].hidden);
    assert_int_equal(machine.reserved[0].range.base, 0x40100000);
    assert_true(machine.reserved[1].hidden);
    assert_int_equal(machine.reserved[1].range.base, 0x40200000);
}

static void finds_the_console_by_alias(void **state)
{
    struct devicetree_range uart;
    assert_true(machine_find_uart(&tree, &uart));
    assert_int_equal(uart.base, 0x9000000);
}

static void counts_enabled_nodes_and_translates_their_addresses(void **state)
{
    struct devicetree_node node;
    struct devicetree_range reg;
    find("arm,pl011", 0, &node);
    bool first_is_plain = strcmp(devicetree_name(&tree, &node), "pl011@9000000") == 0;
    find("arm,pl011", first_is_plain ? 1 : 0, &node);
    assert_string_equal(devicetree_name(&tree, &node), "serial@3000");
    assert_false(devicetree_find_compatible(&tree, "arm,pl011", 2, &node));
    find("arm,pl011", first_is_plain ? 1 : 0, &node);
    assert_true(devicetree_reg(&tree, &node, 0, &reg));
    assert_int_equal(reg.base, 0xa0002000);
    assert_true(devicetree_reg(&tree, &node, 1, &reg));
    assert_int_equal(reg.base, 0x100000000);
    assert_false(devicetree_reg(&tree, &node, 2, &reg)); /* only partly inside of `ranges` */
    assert_false(devicetree_reg(&tree, &node, 3, &reg));
}

static void finds_interrupts(void **state)
{
    struct devicetree_node node;
    uint32_t intid;
    assert_true(devicetree_find_path(&tree, "/pl011", 6, &node));
    assert_true(devicetree_interrupt(&tree, &node, 0, &intid));
    assert_int_equal(intid, 33);
    assert_false(devicetree_interrupt(&tree, &node, 1, &intid));
    assert_true(devicetree_find_path(&tree, "/bus/serial@3000", 16, &node));
    assert_true(devicetree_interrupt(&tree, &node, 0, &intid));
    assert_int_equal(intid, 25);
    assert_true(devicetree_interrupt(&tree, &node, 1, &intid));
    assert_int_equal(intid, 72);
    assert_false(devicetree_interrupt(&tree, &node, 2, &intid));
}

static void finds_pci(void **state)
{
    struct devicetree_node node;
    struct devicetree_range window;
    uint32_t intid;
    find("pci-host-ecam-generic", 0, &node);
    assert_true(devicetree_pci_window(&tree, &node, &window));
    assert_int_equal(window.base, 0x10000000);
    assert_int_equal(window.size, 0x2eff0000);
    for (uint32_t slot = 0; slot < 8; slot++) {
        assert_true(devicetree_pci_interrupt(&tree, &node, slot, &intid));
        assert_int_equal(intid, 35 + slot % 4);
    }
    assert_true(devicetree_find_path(&tree, "/pl011", 6, &node));
    assert_false(devicetree_pci_window(&tree, &node, &window));
    assert_false(devicetree_pci_interrupt(&tree, &node, 0, &intid));
}

static void says_what_a_machine_lacks(void **state)
{
    struct machine machine;
    char reason[240];
    static const struct {
        const char *path, *about;
    } cases[] = {{"/intc@8000000", "GICv3"},
                 {"/cpus", "no core"},
                 {"/psci", "PSCI"},
                 {"/memory@40000000", "no memory"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        machine_tree_make(bytes, &options);
        assert_int_equal(fdt_del_node(bytes, fdt_path_offset(bytes, cases[i].path)), 0);
        assert_true(devicetree_open(&tree, bytes, MACHINE_TREE_BYTES));
        assert_false(machine_find(&tree, &machine, reason, sizeof(reason)));
        assert_non_null(strstr(reason, cases[i].about));
        assert_non_null(strstr(reason, "test board"));
    }
}

/* Rounded up to pages, a range in the last page of all would begin at 0 and reach over everything. */
static void memory_at_the_very_end_is_none(void **state)
{
    struct machine machine;
    char reason[240];
    int memory = fdt_path_offset(bytes, "/memory@40000000");
    assert_int_equal(fdt_appendprop_u64(bytes, memory, "reg", UINT64_C(0xfffffffffffff001)), 0);
    assert_int_equal(fdt_appendprop_u64(bytes, memory, "reg", 0xffe), 0);
    assert_true(devicetree_open(&tree, bytes, MACHINE_TREE_BYTES));
    assert_true(machine_find(&tree, &machine, reason, sizeof(reason)));
    assert_int_equal(machine.bank_count, 1);
}

/* What this processor has no addresses for cannot be this machine's: nothing there may be touched. */
static void what_the_processor_cannot_address_is_refused(void **state)
{
    struct machine machine;
    char reason[240];
    int memory = fdt_path_offset(bytes, "/memory@40000000");
    assert_int_equal(fdt_appendprop_u64(bytes, memory, "reg", UINT64_C(0xff00000000)), 0);
    assert_int_equal(fdt_appendprop_u64(bytes, memory, "reg", UINT64_C(0x100000000)), 0);
    assert_true(devicetree_open(&tree, bytes, MACHINE_TREE_BYTES));
    assert_true(machine_find(&tree, &machine, reason, sizeof(reason)));
    assert_true(machine_reachable(&machine, 40, reason, sizeof(reason)));
    assert_false(machine_reachable(&machine, 36, reason, sizeof(reason)));
    assert_non_null(strstr(reason, "memory at 0xff00000000 to 0x10000000000"));
    assert_non_null(strstr(reason, "36 bits"));
    machine.banks[1].size += PAGE_SIZE; /* one page too long */
    assert_false(machine_reachable(&machine, 40, reason, sizeof(reason)));
    machine.banks[1] = (struct devicetree_range){UINT64_C(0x601e00f3c02000), PAGE_SIZE};
    assert_false(machine_reachable(&machine, 48, reason, sizeof(reason)));
    machine.banks[1] = machine.banks[0];
    machine.initrd.base = UINT64_C(1) << 40;
    assert_false(machine_reachable(&machine, 40, reason, sizeof(reason)));
    assert_non_null(strstr(reason, "initrd"));
    machine.initrd.base = 0;
    machine.redistributors[0].size = UINT64_MAX; /* wraps */
    assert_false(machine_reachable(&machine, 40, reason, sizeof(reason)));
    assert_non_null(strstr(reason, "interrupt controller"));
}

/* However many scraps smaller than a page come before it, a range is not forgotten. */
static void memory_behind_many_scraps_is_found(void **state)
{
    struct machine machine;
    char reason[240];
    int memory = fdt_path_offset(bytes, "/memory@40000000");
    for (uint64_t scrap = 0; scrap < 2 * MACHINE_BANKS; scrap++) {
        assert_int_equal(
            fdt_appendprop_u64(bytes, memory, "reg", 0x200000000 + PAGE_SIZE * scrap + 1), 0);
        assert_int_equal(fdt_appendprop_u64(bytes, memory, "reg", PAGE_SIZE - 2), 0);
    }
    assert_int_equal(fdt_appendprop_u64(bytes, memory, "reg", 0x300000000), 0);
    assert_int_equal(fdt_appendprop_u64(bytes, memory, "reg", 0x10000), 0);
    assert_true(devicetree_open(&tree, bytes, MACHINE_TREE_BYTES));
    assert_true(machine_find(&tree, &machine, reason, sizeof(reason)));
    assert_int_equal(machine.bank_count, 2);
    assert_int_equal(machine.banks[1].base, 0x300000000);
    assert_int_equal(machine.banks[1].size, 0x10000);
}

/* Everything that the kernel ever asks of a tree. */
static void ask_everything(void)
{
    struct machine machine;
    char reason[240];
    struct devicetree_range range;
    struct devicetree_node node;
    uint32_t intid;
    machine_find_uart(&tree, &range);
    machine_find(&tree, &machine, reason, sizeof(reason));
    devicetree_root(&node);
    uint32_t nodes = 0;
    do {
        assert_true(++nodes < 4096);
        devicetree_name(&tree, &node);
        devicetree_enabled(&tree, &node);
        for (uint32_t i = 0; i < 3; i++) {
            devicetree_reg(&tree, &node, i, &range);
            devicetree_interrupt(&tree, &node, i, &intid);
            devicetree_pci_interrupt(&tree, &node, i, &intid);
        }
        devicetree_pci_window(&tree, &node, &range);
    } while (devicetree_next(&tree, &node));
}

/* The tree alone in memory of exactly its size, so that the sanitizer sees every byte read beyond. */
static void survives(const uint8_t *damaged, size_t size)
{
    uint8_t *alone = malloc(size);
    assert_non_null(alone);
    memcpy(alone, damaged, size);
    if (devicetree_open(&tree, alone, size))
        ask_everything();
    free(alone);
}

static void damaged_trees_do_no_harm(void **state)
{
    assert_int_equal(fdt_pack(bytes), 0);
    size_t size = fdt_totalsize(bytes);
    uint8_t *damaged = malloc(size);
    assert_non_null(damaged);
    for (unsigned seed = 0; seed < 3000; seed++) {
        srand(seed);
        memcpy(damaged, bytes, size);
        for (int changes = 1 + rand() % 6; changes > 0; changes--) {
            size_t at = (size_t)rand() % (rand() % 4 == 0 ? 40 : size);
            damaged[at] = (uint8_t)(rand() % 3 == 0 ? 0xff : rand());
        }
        survives(damaged, size);
    }
    for (size_t cut = 0; cut < size; cut += 7)
        survives(bytes, cut);
    free(damaged);
}

static int set_up(void **state)
{
    bytes = malloc(MACHINE_TREE_BYTES);
    machine_tree_make(bytes, &options);
    return devicetree_open(&tree, bytes, MACHINE_TREE_BYTES) ? 0 : -1;
}

static int tear_down(void **state)
{
    free(bytes);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(finds_the_machine),
        TEST(finds_the_console_by_alias),
        TEST(counts_enabled_nodes_and_translates_their_addresses),
        TEST(finds_interrupts),
        TEST(finds_pci),
        TEST(says_what_a_machine_lacks),
        TEST(memory_at_the_very_end_is_none),
        TEST(what_the_processor_cannot_address_is_refused),
        TEST(memory_behind_many_scraps_is_found),
        TEST(damaged_trees_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
