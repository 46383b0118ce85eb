/* The guest's device tree, as libfdt and dtc read it, and the loader: where things go, and what it says of files that
 * are no kernels. */
#include "fake.h"
#include "loader.h"
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t tree[16384] __attribute__((aligned(8)));

static struct machine example(void)
{
    struct machine machine = {
        .vcpu_count = 4,
        .ram_size = 512u << 20,
        .initrd = VIRT_RAM + 0x4000000,
        .initrd_size = 0x123456,
        .command_line = "console=hvc0 root=/dev/vda \"quoted\"",
        .virtio_slots = 0xf,
    };
    memset(machine.seed, 0x5a, sizeof(machine.seed));
    return machine;
}

static void describe(void)
{
    struct machine machine = example();
    uint32_t size = machine_describe(&machine, tree, sizeof(tree));
    assert_int_not_equal(size, 0);
    assert_int_equal(fdt_check_full(tree, size), 0);
}

static uint32_t cell(const char *path, const char *name, int index)
{
    int length, node = fdt_path_offset(tree, path);
    assert_true(node >= 0);
    const fdt32_t *cells = fdt_getprop(tree, node, name, &length);
    assert_true(cells != NULL && length >= 4 * (index + 1));
    return fdt32_ld(&cells[index]);
}

static void libfdt_finds_the_machine(void **state)
{
    describe();
    assert_int_equal(cell("/memory@40000000", "reg", 1), VIRT_RAM);
    assert_int_equal(cell("/memory@40000000", "reg", 3), 512u << 20);
    assert_int_equal(cell("/cpus/cpu@3", "reg", 0), 3);
    assert_true(fdt_path_offset(tree, "/cpus/cpu@4") < 0);
    assert_int_equal(cell("/intc@8000000", "reg", 7), 4 * VIRT_GICR_STRIDE);
    assert_int_equal(cell("/virtio_mmio@a000600", "interrupts", 1), 19);
    assert_true(fdt_path_offset(tree, "/virtio_mmio@a000800") < 0);
    assert_int_equal(cell("/chosen", "linux,initrd-end", 1), VIRT_RAM + 0x4000000 + 0x123456);
    int node = fdt_node_offset_by_compatible(tree, -1, "arm,primecell");
    assert_string_equal(fdt_get_name(tree, node, NULL), "pl011@9000000");
    node = fdt_path_offset(tree, "/chosen");
    assert_string_equal(fdt_getprop(tree, node, "bootargs", NULL), example().command_line);
    int length;
    fdt_getprop(tree, node, "rng-seed", &length);
    assert_int_equal(length, 64);
    assert_null(fdt_getprop(tree, node, "kaslr-seed", NULL));
    node = fdt_path_offset(tree, fdt_getprop(tree, node, "stdout-path", NULL));
    assert_true(node >= 0);
}

static void dtc_has_nothing_to_say(void **state)
{
    describe();
    char name[] = "/tmp/quoll-test-XXXXXX", command[200], said[2000];
    int file = mkstemp(name);
    assert_true(file >= 0);
    assert_int_equal(write(file, tree, fdt_totalsize(tree)), fdt_totalsize(tree));
    close(file);
    snprintf(command, sizeof(command), "dtc -I dtb -O dts -o /dev/null %s 2>&1", name);
    FILE *dtc = popen(command, "r");
    said[fread(said, 1, sizeof(said) - 1, dtc)] = 0;
    int status = pclose(dtc);
    unlink(name);
    assert_string_equal(said, "");
    assert_int_equal(status, 0);
}

static void trees_that_do_not_fit_are_refused(void **state)
{
    struct machine machine = example();
    uint32_t size = machine_describe(&machine, tree, sizeof(tree));
    for (uint32_t capacity = 64; capacity < size; capacity += 13) {
        uint8_t *place = aligned_alloc(8, (capacity + 7) & ~7u); /* the sanitizer guards its end */
        assert_int_equal(machine_describe(&machine, place, capacity & ~7u), 0);
        free(place);
    }
}

/* ---- loader ---- */

static uint8_t kernel[0x30000];

static struct payload make_kernel(uint64_t image_size)
{
    static const uint32_t magic = 0x644d5241;
    uint64_t text_offset = 0;
    for (size_t i = 0; i < sizeof(kernel); i++)
        kernel[i] = (uint8_t)(i * 7);
    memset(kernel, 0, 64);
    memcpy(kernel + 8, &text_offset, 8);
    memcpy(kernel + 16, &image_size, 8);
    memcpy(kernel + 56, &magic, 4);
    return (struct payload){kernel, sizeof(kernel)};
}

static int setup(void **state)
{
    fake_setup(state);
    free(ram.bytes);
    ram = (struct guest_ram){aligned_alloc(4096, 16 << 20), 16 << 20};
    memset(ram.bytes, 0, ram.size);
    return 0;
}

static struct loaded loaded;

static bool load(struct payload image, struct payload initrd)
{
    struct machine machine = {.vcpu_count = 1, .ram_size = ram.size, .command_line = ""};
    return loader_load(&ram, image, initrd, &machine, &loaded);
}

static const struct payload nothing;

static void everything_is_where_linux_wants_it(void **state)
{
    static uint8_t initrd[5000] = "initrd";
    assert_true(load(make_kernel(0x200001), (struct payload){initrd, sizeof(initrd)}));
    assert_int_equal(loaded.entry, VIRT_RAM);
    assert_memory_equal(at(loaded.entry), kernel, sizeof(kernel));
    const uint8_t *loaded_tree = at(loaded.device_tree);
    assert_int_equal(loaded.device_tree % 8, 0);
    assert_int_equal(fdt_check_header(loaded_tree), 0);
    int length, node = fdt_path_offset(loaded_tree, "/chosen");
    const fdt64_t *start = fdt_getprop(loaded_tree, node, "linux,initrd-start", &length);
    assert_int_equal(length, 8);
    uint64_t place = fdt64_ld(start);
    assert_int_equal(place % 0x200000, 0);
    assert_true(place >= loaded.entry + 0x200001); /* not in what the kernel clears */
    assert_memory_equal(at(place), initrd, sizeof(initrd));
    assert_true(loaded.device_tree >= place + sizeof(initrd));
}

static void says(struct payload image, const char *what)
{
    assert_false(load(image, nothing));
    if (strstr(loaded.problem, what) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", loaded.problem, what);
}

static void files_that_are_no_kernels(void **state)
{
    static uint8_t bytes[4096];
    struct payload file = {bytes, sizeof(bytes)};
    says(nothing, "empty");
    says((struct payload){bytes, 10}, "not an arm64 Linux Image");
    says(file, "not an arm64 Linux Image");
    memcpy(bytes, "\x1f\x8b\x08", 3);
    says(file, "gunzip");
    memcpy(bytes, "MZ\0\0zimg", 8);
    says(file, "EFI_ZBOOT");
    memcpy(bytes,
           "\x7f"
           "ELF\2",
           5);
    says(file, "objcopy");
    memset(bytes, 0, 8);
    memcpy(bytes + 0x202, "HdrS", 4);
    says(file, "x86");
    struct payload big_endian = make_kernel(0x100000);
    kernel[24] = 1;
    says(big_endian, "big-endian");
}

static void too_little_memory(void **state)
{
    says(make_kernel(32 << 20), "give it more");
    says(make_kernel(UINT64_MAX), "give it more");
    says(make_kernel(16 << 20), "give it more");
    struct payload far = make_kernel(0x100000);
    memset(kernel + 8, 0xff, 8); /* text_offset */
    says(far, "give it more");
    struct payload huge = {kernel, UINT64_C(1) << 40};
    assert_false(load(make_kernel(0x100000), huge));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libfdt_finds_the_machine),
        cmocka_unit_test(dtc_has_nothing_to_say),
        cmocka_unit_test(trees_that_do_not_fit_are_refused),
        cmocka_unit_test_setup(everything_is_where_linux_wants_it, setup),
        cmocka_unit_test_setup(files_that_are_no_kernels, setup),
        cmocka_unit_test_setup(too_little_memory, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
