/* See guest_fault.h. */
#include "guest_fault.h"
#include "../../signal.h"
#include "data_abort.h"
#include "vcpu.h"
#include <stdatomic.h>

/* ESR_ELx */
#define ESR(class) ((uint64_t)(class) << 26)
#define ESR_LONG (UINT64_C(1) << 25) /* 32-bit instruction */
#define ESR_WRITE (UINT64_C(1) << 6)
#define FAULT_EXTERNAL 0x10 /* synchronous external abort, not on a table walk */

/* SPSR_ELx */
#define PSTATE_EL1H 0x5
#define PSTATE_MODE 0x1f
#define PSTATE_IS_EL0(pstate) (((pstate)&0xf) == 0)
#define PSTATE_AARCH32 (UINT64_C(1) << 4)
#define PSTATE_DAIF (UINT64_C(0xf) << 6)
#define PSTATE_SSBS (UINT64_C(1) << 12)
#define PSTATE_PAN (UINT64_C(1) << 22)
#define PSTATE_KEPT ((UINT64_C(0xf) << 28) | (UINT64_C(1) << 24) | PSTATE_PAN) /* NZCV, DIT, PAN */

/* Offsets into the guest's vectors (Arm ARM D1.3.1) */
static uint64_t vector_offset(uint64_t pstate)
{
    if (pstate & PSTATE_AARCH32) {
        return 0x600;
    }
    if (PSTATE_IS_EL0(pstate)) {
        return 0x400;
    }
    return (pstate & PSTATE_MODE) == PSTATE_EL1H ? 0x200 : 0;
}

/* What taking an exception to EL1 does (Arm ARM, AArch64.TakeException). */
static void take_exception(struct quoll_registers *registers, uint64_t syndrome)
{
    uint64_t pstate = registers->pstate;
    uint64_t control = read_register(SCTLR_EL1);
    uint64_t entered = (pstate & PSTATE_KEPT) | PSTATE_DAIF | PSTATE_EL1H;
    if ((control & SCTLR_SPAN) == 0) {
        entered |= PSTATE_PAN;
    }
    if (control & SCTLR_DSSBS) {
        entered |= PSTATE_SSBS;
    }
    write_register(ESR_EL1, syndrome);
    write_register(ELR_EL1, registers->pc);
    write_register(SPSR_EL1, pstate);
    registers->pc = read_register(VBAR_EL1) + vector_offset(pstate);
    registers->pstate = entered;
}

void guest_fault_inject_undefined(struct vcpu *vcpu)
{
    take_exception(&vcpu->page->registers, ESR(EC_UNKNOWN) | ESR_LONG);
}

void guest_fault_inject_abort(struct vcpu *vcpu, uint64_t syndrome, uint64_t virtual_address)
{
    struct quoll_registers *registers = &vcpu->page->registers;
    bool fetch = ESR_EC(syndrome) == EC_INSTRUCTION_ABORT_LOWER;
    bool from_el0 = PSTATE_IS_EL0(registers->pstate);
    uint64_t class = fetch ? (from_el0 ? EC_INSTRUCTION_ABORT_LOWER : EC_INSTRUCTION_ABORT)
                           : (from_el0 ? EC_DATA_ABORT_LOWER : EC_DATA_ABORT);
    uint64_t write = fetch ? 0 : syndrome & ESR_WRITE;
    write_register(FAR_EL1, virtual_address);
    take_exception(registers, ESR(class) | ESR_LONG | write | FAULT_EXTERNAL);
}

/* HPFAR_EL2: bits 43:4 are bits 51:12 of the guest-physical address. */
#define HPFAR_ADDRESS(hpfar) (((hpfar)&UINT64_C(0xffffffffff0)) << 8)
#define PAR_FAILED (UINT64_C(1) << 0)
#define PAR_ADDRESS UINT64_C(0x000ffffffffff000)

/* After a permission fault the hardware does not say where (HPFAR_EL2 is unknown): walk the guest's tables.
 * false: it changed them meanwhile, or they do not map the address; then the access is to be tried again. */
static bool walk(const struct vcpu *vcpu, uint64_t virtual_address, uint64_t *page)
{
    uint64_t guests = read_register(PAR_EL1);
    if (PSTATE_IS_EL0(vcpu->page->registers.pstate)) {
        __asm__ volatile("at s1e0r, %0" : : "r"(virtual_address) : "memory");
    } else {
        __asm__ volatile("at s1e1r, %0" : : "r"(virtual_address) : "memory");
    }
    isb();
    uint64_t result = read_register(PAR_EL1);
    write_register(PAR_EL1, guests);
    *page = result & PAR_ADDRESS;
    return (result & PAR_FAILED) == 0;
}

static const struct doorbell *find_doorbell(const struct vm *vm, uint64_t address,
                                            const struct guest_access *access)
{
    for (uint32_t i = 0; i < vm->doorbell_count; i++) {
        const struct doorbell *doorbell = &vm->doorbells[i];
        if (doorbell->address.value == address && doorbell->size == access->size) {
            return doorbell;
        }
    }
    return NULL;
}

static enum guest_action exit_memory(struct quoll_vcpu_page *page)
{
    page->exit = QUOLL_EXIT_MEMORY;
    page->exits[EXITS_TO_VMM]++;
    return GUEST_EXIT;
}

static enum guest_action exit_mmio(struct vcpu *vcpu, uint64_t syndrome,
                                   const struct guest_access *access)
{
    struct quoll_vcpu_page *page = vcpu->page;
    vcpu->arch.unfinished = (uint32_t)syndrome;
    if (access->write) {
        uint64_t content = access->reg == 31 ? 0 : page->registers.x[access->reg];
        page->mmio.value = guest_access_stored(access, content);
    }
    page->mmio.size = access->size;
    page->mmio.write = access->write;
    page->mmio.reg = access->reg;
    page->mmio.flags = (uint8_t)(access->sign | access->wide << 1);
    page->exit = QUOLL_EXIT_MMIO;
    page->exits[EXITS_TO_VMM]++;
    return GUEST_EXIT;
}

enum guest_action guest_fault_abort(struct core *core, struct vcpu *vcpu, uint64_t syndrome)
{
    struct quoll_vcpu_page *page = vcpu->page;
    uint64_t virtual_address = read_register(FAR_EL2);
    uint64_t address = HPFAR_ADDRESS(read_register(HPFAR_EL2));
    enum abort_kind kind = abort_classify(syndrome);
    struct guest_access access;

    if (kind == ABORT_OTHER) {
        guest_fault_inject_abort(vcpu, syndrome, virtual_address);
        return GUEST_RESUME;
    }
    if (kind == ABORT_RIGHTS && !abort_in_table_walk(syndrome) &&
        !walk(vcpu, virtual_address, &address)) {
        return GUEST_RESUME;
    }
    address |= virtual_address & (PAGE_SIZE - 1);
    bool decoded = kind == ABORT_UNMAPPED && ESR_EC(syndrome) == EC_DATA_ABORT_LOWER &&
                   data_abort_decode(syndrome, &access);
    if (decoded && access.write) {
        const struct doorbell *doorbell = find_doorbell(vcpu->vm, address, &access);
        if (doorbell != NULL) {
            page->exits[EXITS_DOORBELL]++;
            vcpu_skip(vcpu, syndrome);
            signal_raise(core, doorbell->channel->thread, QUOLL_SIGNAL(doorbell->channel->bit));
            return GUEST_RESUME;
        }
    }
    page->syndrome = syndrome;
    page->address = address;
    page->virtual_address = virtual_address;
    return decoded ? exit_mmio(vcpu, syndrome, &access) : exit_memory(page);
}

bool guest_fault_finish(struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    struct quoll_vcpu_page *page = vcpu->page;
    struct guest_access access = data_abort_access(arch->unfinished);
    if (arch->unfinished == 0) {
        return false;
    }
    if (access.write) {
        /* It may have been to the interrupt controller, to enable or disable what the kernel already holds. */
        if (arch->used != 0 || arch->timer_active) {
            atomic_store_explicit(&vcpu->look, 1, memory_order_relaxed);
        }
    } else if (access.reg < 31) {
        page->registers.x[access.reg] = guest_access_loaded(&access, page->mmio.value);
    }
    vcpu_skip(vcpu, arch->unfinished);
    arch->unfinished = 0;
    return true;
}
