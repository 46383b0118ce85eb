/*
 * The machine that the kernel found itself on: what the device tree says, in the kernel's terms.
 *
 * Filled once at boot, before any other core runs; read-only afterwards. Pure: reads only the tree.
 */
#ifndef KERNEL_MACHINE_H
#define KERNEL_MACHINE_H

#include "devicetree.h"
#include "types.h"

#define MACHINE_BANKS 16u
#define MACHINE_RESERVATIONS 64u
#define MACHINE_REDISTRIBUTOR_REGIONS 4u

enum machine_psci { MACHINE_PSCI_NONE, MACHINE_PSCI_SMC, MACHINE_PSCI_HVC };

struct machine {
    struct devicetree tree;
    const char *model; /* in the tree, or "unknown machine" */
    struct devicetree_range banks[MACHINE_BANKS];
    uint32_t bank_count;
    /* Memory in the banks that is not the kernel's to give away; `hidden`: not even to be mapped. */
    struct {
        struct devicetree_range range;
        bool hidden;
    } reserved[MACHINE_RESERVATIONS];
    uint32_t reserved_count;
    uint64_t cpus[QUOLL_MAX_CORES]; /* MPIDR affinity, in the tree's order */
    uint32_t cpu_count;
    uint32_t cpus_unusable; /* more cores than the kernel can use, or without PSCI */
    enum machine_psci psci;
    struct devicetree_range distributor;
    struct devicetree_range redistributors[MACHINE_REDISTRIBUTOR_REGIONS];
    uint32_t redistributor_count;
    uint64_t redistributor_stride;  /* 0: as GICR_TYPER tells */
    struct devicetree_range initrd; /* size 0: none */
};

/* The console of `stdout-path`, else the first PL011. False: there is none. */
bool machine_find_uart(const struct devicetree *tree, struct devicetree_range *uart);
/* How to call PSCI. */
enum machine_psci machine_find_psci(const struct devicetree *tree);
/* False: something that the kernel needs is not there; `reason` tells what. */
bool machine_find(const struct devicetree *tree, struct machine *machine, char *reason,
                  size_t reason_size);
/* False: the tree names memory or registers that a processor with physical addresses of `address_bits` bits cannot have, so
 * it is damaged or another machine's; `reason` tells which. Nothing of it may be touched then. */
bool machine_reachable(const struct machine *machine, uint32_t address_bits, char *reason,
                       size_t reason_size);

#endif
