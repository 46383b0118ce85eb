/* A device tree like that of QEMU's virt machine, made with libfdt. */
#ifndef MACHINE_TREE_H
#define MACHINE_TREE_H

#include <stdint.h>

#define MACHINE_TREE_BYTES 8192

struct machine_tree_options {
    uint64_t memory_base, memory_size;
    uint64_t initrd_base, initrd_size; /* size 0: none */
    uint32_t cpus;
};

void machine_tree_make(void *tree, const struct machine_tree_options *options);

#endif
