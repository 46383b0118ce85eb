/* The guest loader; the contract is in loader.h. */
#include "loader.h"
#include "cache.h"
#include <quoll/quoll.h>

struct image_header { /* booting.rst, "Call the kernel image" */
    uint32_t code[2];
    uint64_t text_offset, image_size, flags;
    uint64_t reserved[3];
    uint32_t magic;
    uint32_t pe_offset;
};
_Static_assert(sizeof(struct image_header) == 64, "arm64 Image header");

#define IMAGE_MAGIC_VALUE 0x644d5241u /* "ARM\x64" */
#define IMAGE_BIG_ENDIAN 1u
#define OLD_TEXT_OFFSET UINT64_C(0x80000) /* of images whose image_size is 0 */
#define BLOCK UINT64_C(0x200000)
#define DEVICE_TREE_BYTES 0x10000u
#define MIB(bytes) ((unsigned long)(((bytes) + 0xfffff) >> 20))

static bool begins_with(struct payload payload, const char *bytes, size_t size, size_t at)
{
    return payload.size >= at + size && memcmp(payload.bytes + at, bytes, size) == 0;
}

#define PROBLEM(loaded, ...)                                                                       \
    (quoll_format((loaded)->problem, sizeof((loaded)->problem), __VA_ARGS__), false)

/* Says what the thing is instead of an Image, as far as that can be told. */
static bool not_an_image(struct payload kernel, struct loaded *loaded)
{
    if (kernel.size == 0)
        return PROBLEM(loaded, "the kernel is an empty file; name an arm64 Linux Image");
    if (begins_with(kernel, "\x1f\x8b", 2, 0))
        return PROBLEM(loaded, "the kernel is compressed with gzip; unpack it first: "
                               "gunzip -c vmlinuz > Image");
    if (begins_with(kernel, "zimg", 4, 4))
        return PROBLEM(loaded,
                       "the kernel is a compressed EFI image (zboot); unpack the Image in it, "
                       "or build the kernel without CONFIG_EFI_ZBOOT");
    if (begins_with(kernel,
                    "\x7f"
                    "ELF",
                    4, 0))
        return PROBLEM(loaded, "the kernel is an ELF file; make an Image of it: "
                               "aarch64-linux-gnu-objcopy -O binary vmlinux Image");
    if (begins_with(kernel, "HdrS", 4, 0x202))
        return PROBLEM(loaded, "the kernel is for x86; name an arm64 Linux Image");
    return PROBLEM(loaded, "the kernel is not an arm64 Linux Image (no \"ARM\\x64\" at offset 56); "
                           "name the file that Debian installs as /boot/vmlinuz-*-arm64");
}

static bool read_header(struct payload kernel, struct image_header *header, struct loaded *loaded)
{
    if (kernel.size < sizeof(*header))
        return not_an_image(kernel, loaded);
    memcpy(header, kernel.bytes, sizeof(*header));
    if (header->magic != IMAGE_MAGIC_VALUE)
        return not_an_image(kernel, loaded);
    if (header->flags & IMAGE_BIG_ENDIAN)
        return PROBLEM(loaded, "the kernel is big-endian; Quoll runs little-endian kernels");
    if (header->image_size == 0) {
        header->text_offset = OLD_TEXT_OFFSET;
        header->image_size = kernel.size;
    }
    if (header->image_size < kernel.size)
        header->image_size = kernel.size;
    return true;
}

static uint64_t block_up(uint64_t offset)
{
    return (offset + BLOCK - 1) & ~(BLOCK - 1);
}

static void copy_in(const struct guest_ram *ram, uint64_t offset, struct payload payload)
{
    memcpy(ram->bytes + offset, payload.bytes, payload.size);
    cache_clean(ram->bytes + offset, payload.size);
}

bool loader_load(const struct guest_ram *ram, struct payload kernel, struct payload initrd,
                 struct machine *machine, struct loaded *loaded)
{
    struct image_header header;
    loaded->problem[0] = 0;
    if (!read_header(kernel, &header, loaded))
        return false;
    /* All sizes come from files of less than 2^48 bytes, except the header's. */
    if (header.text_offset >= ram->size || header.image_size > ram->size - header.text_offset)
        return PROBLEM(loaded,
                       "the kernel needs %lu MiB of memory, the VM has %lu MiB: give it more",
                       MIB(header.image_size), MIB(ram->size));
    uint64_t initrd_offset = block_up(header.text_offset + header.image_size);
    uint64_t tree_offset = block_up(initrd_offset + initrd.size);
    if (initrd.size > ram->size || tree_offset > ram->size ||
        ram->size - tree_offset < DEVICE_TREE_BYTES)
        return PROBLEM(loaded,
                       "kernel and initrd need %lu MiB of memory, the VM has %lu MiB: give it more",
                       MIB(tree_offset + DEVICE_TREE_BYTES), MIB(ram->size));

    machine->initrd = VIRT_RAM + initrd_offset;
    machine->initrd_size = initrd.size;
    uint32_t tree_size = machine_describe(machine, ram->bytes + tree_offset, DEVICE_TREE_BYTES);
    if (tree_size == 0)
        return PROBLEM(loaded, "the device tree does not fit into %u bytes", DEVICE_TREE_BYTES);
    cache_clean(ram->bytes + tree_offset, tree_size);
    copy_in(ram, header.text_offset, kernel);
    if (initrd.size != 0)
        copy_in(ram, initrd_offset, initrd);
    loaded->entry = VIRT_RAM + header.text_offset;
    loaded->device_tree = VIRT_RAM + tree_offset;
    return true;
}
