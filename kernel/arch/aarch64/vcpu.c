/*
 * Virtual CPUs at EL2 without VHE: entering and leaving guests, and what their exceptions lead to.
 *
 * A vCPU is in one of three conditions:
 *
 *     away      its state is in struct arch_vcpu; a kernel timer stands in for its virtual timer
 *     loaded    core->arch.loaded: EL1 system registers, list registers and CNTV are in the core; its VMM
 *               or another component may run meanwhile. At most one vCPU per core.
 *     entered   loaded, and HCR_EL2, VTTBR_EL2 and CPTR_EL2 are the guest's (core->arch.entered_guest)
 *
 * FP state moves on its own: core->arch.fp_owner has it in the registers, and CPTR_EL2.TFP traps everybody else. So an exit to
 * the VMM and back writes HCR_EL2 and VTTBR_EL2 twice, CPTR_EL2 too if the guest has the FP state, and nothing else.
 *
 * A component must not depend on, or see, what a loaded guest did to registers that EL0 obeys or can reach in spite
 * of HCR_EL2.TGE. They are hidden while it runs, and put back when the guest is entered:
 *
 *     controls          SCTLR_EL1 and CNTKCTL_EL1, if they differ in a bit that matters
 *     thread pointers   TPIDR_EL0 and TPIDRRO_EL0, unless the component is the guest's own VMM
 *
 * Everything here runs on the core that the vCPU belongs to, except where kernel/arch.h says otherwise.
 */
#include "vcpu.h"
#include "../../signal.h"
#include "guest_fault.h"
#include "sysreg.h"
#include "vgic.h"
#include "vtimer.h"
#include <stdatomic.h>

#define HCR_TLOR (UINT64_C(1) << 35) /* trap limited-ordering-region registers */
#define HCR_TERR (UINT64_C(1) << 36) /* trap error record registers */
#define HCR_GUEST                                                                                  \
    (HCR_VM | HCR_SWIO | HCR_PTW | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_INNER |          \
     HCR_TWI | HCR_TID3 | HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_TSW | HCR_RW | HCR_TLOR | HCR_TERR)
#define HCR_COMPONENT                                                                              \
    (HCR_VM | HCR_SWIO | HCR_FMO | HCR_IMO | HCR_AMO | HCR_DC | HCR_TIDCP | HCR_TGE | HCR_RW)

/* CPTR_EL2 with HCR_EL2.E2H == 0 (Arm ARM D17.2.30): trap SVE, SME, trace and activity monitors */
#define CPTR_BASE UINT64_C(0x401033ff) /* bits that are one, TZ, TSM, TTA, TAM */
#define CPTR_TFP (UINT64_C(1) << 10)

/* MDCR_EL2 (D17.3.20): trap debug, performance monitors, profiling and trace filter */
#define MDCR_COUNTERS UINT64_C(0x1f) /* HPMN: as reset left it */
#define MDCR_TPMCR (UINT64_C(1) << 5)
#define MDCR_TPM (UINT64_C(1) << 6)
#define MDCR_TDA (UINT64_C(1) << 9)
#define MDCR_TDOSA (UINT64_C(1) << 10)
#define MDCR_TDRA (UINT64_C(1) << 11)
#define MDCR_TPMS (UINT64_C(1) << 14)
#define MDCR_TTRF (UINT64_C(1) << 19)

/* What components find in the registers that they depend on or can reach. */
static void set_component_values(void)
{
    write_register(SCTLR_EL1, SCTLR_RESET);
    write_register(CNTKCTL_EL1, CNTKCTL_EL0VCTEN);
    write_register(TPIDR_EL0, 0);
    write_register(TPIDRRO_EL0, 0);
}

void vcpu_core_start(struct core *core)
{
    struct arch_core *arch = &core->arch;
    arch->extras = sysreg_extras();
    uint64_t keys = arch->extras & WORLD_HAS_KEYS ? HCR_API | HCR_APK : 0;
    arch->hcr_guest = HCR_GUEST | keys;
    arch->hcr_component = HCR_COMPONENT | keys;
    arch->loaded = arch->fp_owner = arch->entered_guest = NULL;
    arch->entered_component = NULL;
    arch->controls_hidden = arch->thread_pointers_hidden = arch->exposed = false;

    arch->vttbr = 0;
    arch->cptr = CPTR_BASE | CPTR_TFP;
    write_register(VTTBR_EL2, arch->vttbr);
    write_register(HCR_EL2, arch->hcr_component);
    write_register(CPTR_EL2, arch->cptr);
    write_register(HSTR_EL2, 0);
    write_register(MDCR_EL2, (read_register(MDCR_EL2) & MDCR_COUNTERS) | MDCR_TPMCR | MDCR_TPM |
                                 MDCR_TDA | MDCR_TDOSA | MDCR_TDRA | MDCR_TPMS | MDCR_TTRF);
    write_register(MDSCR_EL1, 0);
    write_register(VPIDR_EL2, read_register(MIDR_EL1));
    set_component_values();
    vtimer_core_start();
    vgic_core_start(core);
    isb();
}

/* What of SCTLR_EL1 and CNTKCTL_EL1 matters to a component, and what it must be. SA0 does not: by the procedure call
 * standard a stack pointer is aligned, checked or not. */
#define SCTLR_WANTED (SCTLR_DZE | SCTLR_UCT | SCTLR_NTWI | SCTLR_NTWE | SCTLR_UCI)
#define SCTLR_MATTERS (SCTLR_WANTED | SCTLR_A | SCTLR_UMA | SCTLR_E0E | SCTLR_ENTP2)
#define CNTKCTL_MATTERS (CNTKCTL_EL0VCTEN | CNTKCTL_EL0VTEN)
#define CNTKCTL_WANTED CNTKCTL_EL0VCTEN

static void hide_controls(struct arch_core *arch)
{
    uint64_t sctlr = read_register(SCTLR_EL1), cntkctl = read_register(CNTKCTL_EL1);
    if ((sctlr & SCTLR_MATTERS) != SCTLR_WANTED || (cntkctl & CNTKCTL_MATTERS) != CNTKCTL_WANTED) {
        arch->loaded->arch.world.sctlr = sctlr;
        arch->loaded->arch.world.cntkctl = cntkctl;
        write_register(SCTLR_EL1, SCTLR_RESET);
        write_register(CNTKCTL_EL1, CNTKCTL_EL0VCTEN);
        arch->controls_hidden = true;
    }
    arch->exposed = false;
}

static void hide_thread_pointers(struct arch_core *arch)
{
    struct world *world = &arch->loaded->arch.world;
    world->tpidr_el0 = read_register(TPIDR_EL0);
    world->tpidrro = read_register(TPIDRRO_EL0);
    write_register(TPIDR_EL0, 0);
    write_register(TPIDRRO_EL0, 0);
    arch->thread_pointers_hidden = true;
}

/* All of the loaded vCPU's registers are in the core again. */
static void unhide(struct arch_core *arch)
{
    arch->exposed = true;
    arch->entered_component = NULL; /* what to hide from it must be decided anew */
    const struct world *world = &arch->loaded->arch.world;
    if (arch->controls_hidden) {
        write_register(SCTLR_EL1, world->sctlr);
        write_register(CNTKCTL_EL1, world->cntkctl);
        arch->controls_hidden = false;
    }
    if (arch->thread_pointers_hidden) {
        write_register(TPIDR_EL0, world->tpidr_el0);
        write_register(TPIDRRO_EL0, world->tpidrro);
        arch->thread_pointers_hidden = false;
    }
}

static void unload(struct core *core)
{
    struct vcpu *vcpu = core->arch.loaded;
    if (vcpu == NULL) {
        return;
    }
    unhide(&core->arch);
    world_save(&vcpu->arch.world);
    if (core->arch.extras != 0) {
        world_save_extras(&vcpu->arch.world, core->arch.extras);
    }
    vgic_unload(vcpu);
    vtimer_unload(core, vcpu);
    core->arch.loaded = NULL;
    core->arch.exposed = false;
}

static void load(struct core *core, struct vcpu *vcpu)
{
    if (core->arch.loaded != vcpu) {
        unload(core);
        vtimer_load(core, vcpu);
        vgic_load(vcpu);
        if (core->arch.extras != 0) {
            world_load_extras(&vcpu->arch.world, core->arch.extras);
        }
        world_load(&vcpu->arch.world);
        isb(); /* vgic_sync reads what depends on the list registers */
        core->arch.loaded = vcpu;
    }
    unhide(&core->arch);
}

/* An exception return follows these writes, which makes them take effect. */
static void set_vttbr(struct arch_core *arch, const struct stage2 *space)
{
    uint64_t vttbr = (uint64_t)space->root | (uint64_t)space->vmid << 48;
    if (arch->vttbr != vttbr) {
        arch->vttbr = vttbr;
        write_register(VTTBR_EL2, vttbr);
    }
}

static void set_cptr(struct arch_core *arch, uint64_t cptr)
{
    if (arch->cptr != cptr) {
        arch->cptr = cptr;
        write_register(CPTR_EL2, cptr);
    }
}

/* Two vCPUs of a VM may use one ASID for different tables, as two CPUs may, but on one core their translations would be told
 * apart by nothing: TLB entries have VMID and ASID only. */
static void drop_translations_of_sibling(struct arch_core *arch, struct vcpu *vcpu)
{
    struct vcpu **whose = &arch->translations[vcpu->vm->index];
    if (*whose != vcpu) {
        if (*whose != NULL) {
            isb(); /* VTTBR_EL2 names the VMID */
            __asm__ volatile("tlbi vmalle1\n\tdsb nsh" ::: "memory");
        }
        *whose = vcpu;
    }
}

/* The guest becomes what the core runs. */
static void switch_to_guest(struct core *core, struct vcpu *vcpu)
{
    struct arch_core *arch = &core->arch;
    if (arch->loaded != vcpu || arch->controls_hidden || arch->thread_pointers_hidden) {
        load(core, vcpu);
    }
    arch->exposed = true;
    if (arch->entered_guest == NULL) {
        write_register(HCR_EL2, arch->hcr_guest);
    }
    set_vttbr(arch, &vcpu->vm->space);
    drop_translations_of_sibling(arch, vcpu);
    set_cptr(arch, arch->fp_owner == vcpu ? CPTR_BASE : CPTR_BASE | CPTR_TFP);
    arch->entered_guest = vcpu;
    arch->entered_component = NULL;
}

static void switch_to_component(struct arch_core *arch, const struct component *component)
{
    if (arch->exposed) {
        hide_controls(arch);
    }
    if (arch->entered_guest != NULL) {
        write_register(HCR_EL2, arch->hcr_component);
        set_cptr(arch, CPTR_BASE | CPTR_TFP);
        arch->entered_guest = NULL;
    }
    if (arch->loaded != NULL && arch->loaded->thread->component != component &&
        !arch->thread_pointers_hidden) {
        hide_thread_pointers(arch);
    }
    set_vttbr(arch, &component->space);
    arch->entered_component = component;
}

static struct quoll_registers *enter_anew(struct core *core, struct vcpu *vcpu)
{
    if (core->arch.entered_guest != vcpu) {
        switch_to_guest(core, vcpu);
    }
    if (atomic_load_explicit(&vcpu->look, memory_order_relaxed) != 0) {
        atomic_exchange(&vcpu->look, 0);
        vgic_sync(core, vcpu);
    }
    return &vcpu->page->registers;
}

struct quoll_registers *vcpu_enter(struct core *core, struct vcpu *vcpu)
{
    bool as_before = core->arch.entered_guest == vcpu &&
                     atomic_load_explicit(&vcpu->look, memory_order_relaxed) == 0;
    return as_before ? &vcpu->page->registers : enter_anew(core, vcpu);
}

struct quoll_registers *vcpu_leave(struct core *core, struct thread *thread)
{
    if (core->arch.entered_component != thread->component) {
        switch_to_component(&core->arch, thread->component);
    }
    return &thread->registers;
}

static void switch_fp(struct core *core, struct vcpu *vcpu)
{
    struct arch_core *arch = &core->arch;
    arch->cptr = CPTR_BASE;
    write_register(CPTR_EL2, CPTR_BASE);
    isb(); /* the kernel itself is subject to it */
    if (arch->fp_owner != NULL) {
        fp_save(&arch->fp_owner->arch.fp);
    }
    fp_load(&vcpu->arch.fp);
    arch->fp_owner = vcpu;
}

/* SMCCC functions that are answered here, because everybody measures them. */
#define SMCCC_VERSION 0x80000000u
#define SMCCC_VERSION_1_1 0x10001u
#define PSCI_VERSION 0x84000000u
#define PSCI_VERSION_1_1 0x10001u

static inline enum guest_action call(struct vcpu *vcpu, uint64_t syndrome)
{
    struct quoll_vcpu_page *page = vcpu->page;
    switch ((uint32_t)page->registers.x[0]) {
    case SMCCC_VERSION:
        page->registers.x[0] = SMCCC_VERSION_1_1;
        return GUEST_RESUME;
    case PSCI_VERSION:
        page->registers.x[0] = PSCI_VERSION_1_1;
        return GUEST_RESUME;
    default:
        page->syndrome = syndrome;
        page->exit = QUOLL_EXIT_CALL;
        page->exits[EXITS_TO_VMM]++;
        return GUEST_EXIT;
    }
}

#define ISS_IS_WFE(iss) (((iss)&1) != 0)

static enum guest_action wait_for_interrupt(struct vcpu *vcpu, uint64_t syndrome)
{
    vcpu->page->exits[EXITS_IDLE]++;
    vcpu_skip(vcpu, syndrome);
    if (ISS_IS_WFE(ESR_ISS(syndrome))) {
        return GUEST_RESUME;
    }
    return arch_vcpu_has_interrupt(vcpu) ? GUEST_RESUME : GUEST_IDLE;
}

enum guest_action vcpu_trap(struct core *core, struct vcpu *vcpu, uint64_t syndrome)
{
    vcpu->page->exits[EXITS_ALL]++;
    switch (ESR_EC(syndrome)) {
    case EC_HVC64:
        return call(vcpu, syndrome);
    case EC_SMC64:
        vcpu_skip(vcpu, syndrome); /* unlike HVC, it traps before it is done */
        return call(vcpu, syndrome);
    case EC_DATA_ABORT_LOWER:
    case EC_INSTRUCTION_ABORT_LOWER:
        return guest_fault_abort(core, vcpu, syndrome);
    case EC_SYSTEM_REGISTER:
        if (sysreg_access(core, vcpu, syndrome)) {
            vcpu_skip(vcpu, syndrome);
            return GUEST_RESUME;
        }
        break;
    case EC_WFX:
        return wait_for_interrupt(vcpu, syndrome);
    case EC_FP:
        switch_fp(core, vcpu);
        return GUEST_RESUME;
    default:
        break;
    }
    guest_fault_inject_undefined(vcpu);
    return GUEST_RESUME;
}

void vcpu_timer_interrupt(struct core *core)
{
    struct vcpu *vcpu = core->arch.loaded;
    if (vcpu == NULL) {
        write_register(CNTV_CTL_EL0, 0);
        gic_deactivate(GIC_PPI_VIRTUAL_TIMER);
        return;
    }
    vcpu->page->exits[EXITS_TIMER]++;
    vcpu->arch.timer_active = true;
    /* It could fire, so the guest has deactivated the last one. */
    vcpu->arch.timer_in_list = false;
    vcpu_poke(core, vcpu);
}

void vcpu_maintenance_interrupt(struct core *core)
{
    struct vcpu *vcpu = core->arch.loaded;
    if (vcpu != NULL) {
        vgic_maintain(vcpu);
        vcpu_poke(core, vcpu);
    }
    gic_deactivate(GIC_PPI_MAINTENANCE);
}

bool arch_vcpu_has_interrupt(struct vcpu *vcpu)
{
    return atomic_load(&vcpu->look) != 0 || vgic_has_interrupt(vcpu);
}

static void reset(struct core *core, struct vcpu *vcpu)
{
    struct arch_core *arch = &core->arch;
    if (arch->loaded == vcpu) {
        unload(core);
        set_component_values();
    }
    if (arch->fp_owner == vcpu) {
        arch->fp_owner = NULL;
    }
    world_reset(&vcpu->arch.world, vcpu->index);
    vcpu->arch.fp = (struct fp_registers){0};
    vgic_reset(vcpu);
    vtimer_reset(core, vcpu);
    vcpu->arch.unfinished = 0;
    atomic_store(&vcpu->look, 1);
}

/* Carries out what the VMM asks for beyond going on. */
static enum quoll_status serve_request(struct core *core, struct vcpu *vcpu, uint32_t request)
{
    struct quoll_vcpu_page *page = vcpu->page;
    page->request = 0;
    if (request & QUOLL_VCPU_RESET) {
        reset(core, vcpu);
    }
    if (request & QUOLL_VCPU_FINISH_MMIO) {
        if (!guest_fault_finish(vcpu)) {
            return QUOLL_BAD_ARGUMENT;
        }
    }
    if (request & (QUOLL_VCPU_INJECT_ABORT | QUOLL_VCPU_INJECT_UNDEFINED)) {
        load(core, vcpu);
        if (request & QUOLL_VCPU_INJECT_ABORT) {
            guest_fault_inject_abort(vcpu, page->syndrome, page->virtual_address);
        } else {
            guest_fault_inject_undefined(vcpu);
        }
    }
    return QUOLL_OK;
}

enum quoll_status arch_vcpu_prepare(struct core *core, struct vcpu *vcpu)
{
    uint32_t request = __atomic_load_n(&vcpu->page->request, __ATOMIC_RELAXED);
    if (request != 0) {
        enum quoll_status status = serve_request(core, vcpu, request);
        if (status != QUOLL_OK) {
            return status;
        }
    }
    /* vectors.S checks the mode once more: the page can change until the very return. */
    uint64_t pstate = __atomic_load_n(&vcpu->page->registers.pstate, __ATOMIC_RELAXED);
    return trap_mode_allowed(pstate) ? QUOLL_OK : QUOLL_BAD_ARGUMENT;
}
