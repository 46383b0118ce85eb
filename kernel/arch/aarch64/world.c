/* The tables of world.h, carried out. Called by vcpu.c, on the core that the vCPU belongs to. */
#include "world.h"

#define MPIDR_RESERVED_ONE (UINT64_C(1) << 31)
#define VMCR_FIQ_ENABLE (UINT64_C(1) << 3) /* reads as one with system register access */

#define SAVE(field, name) world->field = read_register(name);
#define LOAD(field, name) write_register(name, world->field);
#define ZERO(field, name) world->field = 0;

void world_save(struct world *world)
{
    WORLD_REGISTERS(SAVE)
}

void world_load(const struct world *world)
{
    WORLD_REGISTERS(LOAD)
}

#define EACH_EXTRA(OPERATION)                                                                      \
    if (extras & WORLD_HAS_KEYS) {                                                                 \
        WORLD_KEYS(OPERATION)                                                                      \
    }                                                                                              \
    if (extras & WORLD_HAS_RAS) {                                                                  \
        WORLD_RAS(OPERATION)                                                                       \
    }                                                                                              \
    if (extras & WORLD_HAS_SME) {                                                                  \
        WORLD_SME(OPERATION)                                                                       \
    }                                                                                              \
    if (extras & WORLD_HAS_PRIORITIES_6) {                                                         \
        WORLD_PRIORITIES_6(OPERATION)                                                              \
    }                                                                                              \
    if (extras & WORLD_HAS_PRIORITIES_7) {                                                         \
        WORLD_PRIORITIES_7(OPERATION)                                                              \
    }

void world_save_extras(struct world *world, uint32_t extras)
{
    EACH_EXTRA(SAVE)
}

void world_load_extras(const struct world *world, uint32_t extras)
{
    EACH_EXTRA(LOAD)
}

void world_reset(struct world *world, uint32_t vcpu_index)
{
    WORLD_REGISTERS(ZERO)
    WORLD_KEYS(ZERO)
    WORLD_RAS(ZERO)
    WORLD_SME(ZERO)
    WORLD_PRIORITIES_6(ZERO)
    WORLD_PRIORITIES_7(ZERO)
    world->vmpidr = MPIDR_RESERVED_ONE | vcpu_index;
    world->sctlr = SCTLR_RESET;
    world->cntkctl = CNTKCTL_EL0VCTEN;
    world->vmcr = VMCR_FIQ_ENABLE;
}
