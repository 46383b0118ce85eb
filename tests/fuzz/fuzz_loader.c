/*
 * A hostile kernel file and initial RAM disk, which the VMM loads into a guest.
 *
 * What must hold: nothing outside the files is read and nothing outside guest RAM is written; what is loaded lies in RAM, apart from
 * each other, and is what was in the files; a refusal says why.
 *
 * Input: 1 byte: RAM in units of 1 MiB, bit 7: the kernel's header is made a valid one; 2 bytes: size of the initial RAM disk; the
 * kernel.
 */
#include "calls.h"
#include "hostile.h"
#include "loader.h"

#define RAM_BYTES (16u << 20)
#define TREE_BYTES 0x10000u
#define MOST_BYTES 4096u

static uint8_t *ram_memory, *files;

static void check(const struct guest_ram *ram, struct payload kernel, const struct machine *machine,
                  const struct loaded *loaded)
{
    uint64_t entry = loaded->entry - VIRT_RAM, tree = loaded->device_tree - VIRT_RAM;
    uint64_t initrd = machine->initrd - VIRT_RAM;
    HOLDS(entry < ram->size && kernel.size <= ram->size - entry);
    HOLDS(tree % 8 == 0 && tree < ram->size && TREE_BYTES <= ram->size - tree);
    HOLDS(initrd <= ram->size && machine->initrd_size <= ram->size - initrd);
    HOLDS(entry + kernel.size <= initrd && initrd + machine->initrd_size <= tree);
    HOLDS(memcmp(ram->bytes + entry, kernel.bytes, kernel.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    if (ram_memory == NULL) {
        ram_memory = hostile_allocate(RAM_BYTES);
        files = hostile_allocate(MOST_BYTES + 65536);
    }
    uint8_t choice = input_8(&input);
    uint64_t megabytes = choice % 17u;
    struct payload initrd = {.size = input_16(&input)};
    struct input rest = input_part(&input, MOST_BYTES);
    uint8_t *kernel = files + 65536 + MOST_BYTES - rest.size; /* up to the guard region */
    if (rest.size != 0)
        memcpy(kernel, rest.bytes, rest.size);
    if ((choice & 0x80) && rest.size >= 64)
        memcpy(kernel + 56, "ARM\x64", 4);
    initrd.bytes = files;
    struct payload file = {kernel, rest.size};
    /* at the end of the memory, so that a step beyond RAM of any size shows */
    struct guest_ram ram = {ram_memory + RAM_BYTES - (megabytes << 20), megabytes << 20};
    struct machine machine = {
        .vcpu_count = 2, .ram_size = ram.size, .command_line = "console=hvc0", .virtio_slots = 7};
    struct loaded loaded;
    if (loader_load(&ram, file, initrd, &machine, &loaded))
        check(&ram, file, &machine, &loaded);
    else
        HOLDS(loaded.problem[0] != 0 && memchr(loaded.problem, 0, sizeof(loaded.problem)) != NULL);
    return 0;
}
