/* What brings a core into EL2, and how it goes on; see trap.h. */
#include "trap.h"
#include "../../call.h"
#include "../../log.h"
#include "../../report.h"
#include "../../sched.h"
#include "../../signal.h"
#include "registers.h"
#include "vgic.h"

/* What vectors.S knows of the structures. */
_Static_assert(offsetof(struct thread, registers) == 0, "SP_EL2 of a thread");
_Static_assert(offsetof(struct quoll_vcpu_page, registers) == 0, "SP_EL2 of a guest");
_Static_assert(offsetof(struct quoll_registers, x[30]) == 240, "REGISTERS_X30");
_Static_assert(offsetof(struct quoll_registers, pc) == 256, "REGISTERS_PC");
_Static_assert(offsetof(struct core, stack_top) == 0, "CORE_STACK");
_Static_assert(offsetof(struct core, panic_stack) == 8, "CORE_PANIC_STACK");

/* Values of SPSR_EL2[5:0], the mode and AArch32's T, that resume() accepts, as bits: EL0t, EL1t, EL1h, and
 * AArch32 User in either instruction set where the CPU has it. Each core sets the same. */
#define MODES_AARCH64 UINT64_C(0x31)
#define MODES_AARCH32_USER (UINT64_C(1) << 16 | UINT64_C(1) << 48)
uint64_t allowed_modes = MODES_AARCH64;

#define PANIC_STACK_SIZE 4096
static _Alignas(16) uint8_t panic_stacks[QUOLL_MAX_CORES][PANIC_STACK_SIZE];

_Noreturn void resume(struct quoll_registers *registers);
struct quoll_registers *trap_system_error(struct core *core, uint64_t syndrome);
_Noreturn void trap_kernel(struct quoll_registers *registers, uint64_t vector);

static void interrupt_serve(struct core *core);

/* Chooses what to run; while there is nothing, the core waits for interrupts. */
static void choose(struct core *core)
{
    while (sched_next(core) == NULL) {
        sched_program_deadline(core);
        vgic_wait(core); /* ends although interrupts are masked */
        interrupt_serve(core);
    }
    sched_program_deadline(core);
}

/* Makes the core ready for its current thread. Short, because all ways out of the kernel lead through it: whoever
 * changes what the scheduler would choose says so in `reschedule`, whoever arms a timer programs the deadline. */
static inline struct quoll_registers *go_on(struct core *core)
{
    if (core->reschedule) {
        choose(core);
    }
    struct thread *thread = core->current;
    return thread->in_guest ? vcpu_enter(core, thread->vcpu) : vcpu_leave(core, thread);
}

/* ID_AA64PFR0_EL1.EL0: 2 where EL0 can be AArch32. */
static bool has_aarch32(void)
{
    return (read_register(id_aa64pfr0_el1) & 0xf) == 2;
}

_Noreturn void core_run(struct core *core)
{
    if (has_aarch32()) {
        allowed_modes = MODES_AARCH64 | MODES_AARCH32_USER;
    }
    core->panic_stack = panic_stacks[core->index];
    core->deadline = QUOLL_NEVER;
    core->reschedule = true;
    resume(go_on(core));
}

static void guest_sync(struct core *core, struct thread *thread, uint64_t syndrome)
{
    switch (vcpu_trap(core, thread->vcpu, syndrome)) {
    case GUEST_RESUME:
        break;
    case GUEST_EXIT:
        thread->in_guest = false;
        thread->registers.x[0] = QUOLL_OK;
        thread->registers.x[1] = 0;
        break;
    case GUEST_IDLE:
        sched_block(core, thread);
        break;
    }
}

/* Fault status codes (Arm ARM D17.2.37, DFSC) */
#define FAULT_EXTERNAL                                                                             \
    0x10 /* synchronous external abort; on a table walk: FAULT_EXTERNAL_WALK and above */
#define FAULT_EXTERNAL_WALK 0x13
#define FAULT_ALIGNMENT 0x21

static const char *describe(uint64_t syndrome)
{
    uint64_t fault = syndrome & 0x3f;
    bool write = (syndrome & (1u << 6)) != 0;
    switch (ESR_EC(syndrome)) {
    case EC_FP:
    case EC_SVE:
        return "used floating point, which components do not have";
    case EC_INSTRUCTION_ABORT_LOWER:
    case EC_INSTRUCTION_ABORT:
        return "executed at an address it may not execute";
    case EC_DATA_ABORT_LOWER:
    case EC_DATA_ABORT:
        if (fault >= 0x0c && fault <= 0x0f) {
            return write ? "wrote to memory it may only read" : "read memory it may not read";
        }
        if (fault == FAULT_ALIGNMENT) {
            return "unaligned access";
        }
        if (fault == FAULT_EXTERNAL || (fault >= FAULT_EXTERNAL_WALK && fault < 0x20)) {
            return "access that memory or a device answered with an error";
        }
        return write ? "wrote to an address that is not mapped"
                     : "read from an address that is not mapped";
    case EC_BRK:
        return "stopped itself";
    case EC_PC_ALIGNMENT:
        return "jumped to an unaligned address";
    case EC_SP_ALIGNMENT:
        return "unaligned stack pointer";
    case EC_SYSTEM_REGISTER:
        return "used a system register it may not use";
    case EC_UNKNOWN:
        return "executed an undefined instruction";
    default:
        return "exception that components must not cause";
    }
}

/* FAR_EL2 where the exception has one (Arm ARM D17.2.40), else where the instruction is. */
static uint64_t fault_address(const struct thread *thread, uint64_t syndrome)
{
    switch (ESR_EC(syndrome)) {
    case EC_INSTRUCTION_ABORT_LOWER:
    case EC_DATA_ABORT_LOWER:
    case EC_PC_ALIGNMENT:
        return read_register(far_el2);
    default:
        return thread->registers.pc;
    }
}

static void component_sync(struct core *core, struct thread *thread, uint64_t syndrome)
{
    switch (ESR_EC(syndrome)) {
    case EC_SVC64:
        call_dispatch(core, thread);
        return;
    case EC_WFX: /* a hint */
        thread->registers.pc += 4;
        return;
    default:
        break;
    }
    component_fault(core, thread, describe(syndrome), syndrome, fault_address(thread, syndrome));
}

struct quoll_registers *trap_sync(struct core *core, uint64_t syndrome)
{
    struct thread *thread = core->current;
    if (thread->in_guest) {
        guest_sync(core, thread, syndrome);
    } else {
        component_sync(core, thread, syndrome);
    }
    return go_on(core);
}

static void device_interrupt(struct core *core, uint32_t intid)
{
    gic_drop(intid);
    for (uint32_t i = 0; i < irq_count; i++) {
        if (irqs[i].intid == intid) {
            signal_raise(core, irqs[i].thread, QUOLL_SIGNAL(irqs[i].bit));
            return; /* stays active, so silent, until irq_ack */
        }
    }
    gic_deactivate(intid);
}

static void interrupt_serve(struct core *core)
{
    uint32_t intid = gic_acknowledge();
    if (intid >= GIC_SPECIAL && intid < GIC_EXTENDED) {
        return; /* spurious: nothing to end */
    }
    switch (intid) {
    case GIC_SGI_INBOX:
        gic_drop(intid);
        gic_deactivate(intid);
        inbox_serve(core);
        break;
    case GIC_PPI_DEADLINE:
        sched_deadline(core);
        gic_drop(intid);
        gic_deactivate(intid);
        break;
    case GIC_PPI_VIRTUAL_TIMER:
        gic_drop(intid);
        vcpu_timer_interrupt(core);
        break;
    case GIC_PPI_MAINTENANCE:
        gic_drop(intid);
        vcpu_maintenance_interrupt(core);
        break;
    default:
        device_interrupt(core, intid);
        break;
    }
}

struct quoll_registers *trap_interrupt(struct core *core)
{
    struct thread *thread = core->current;
    if (thread->in_guest) {
        thread->vcpu->page->exits[0]++;
        thread->vcpu->page->exits[2]++;
    }
    interrupt_serve(core);
    return go_on(core);
}

/* An SError is asynchronous: whoever runs is not to blame for sure, but going on with lost writes is worse. */
struct quoll_registers *trap_system_error(struct core *core, uint64_t syndrome)
{
    struct thread *thread = core->current;
    thread->in_guest = false;
    component_fault(core, thread, "system error (asynchronous abort)", syndrome, 0);
    return go_on(core);
}

_Noreturn void trap_kernel(struct quoll_registers *registers, uint64_t vector)
{
    static const char *const names[] = {"synchronous exception", "interrupt", "fast interrupt",
                                        "system error"};
    kernel_fault((struct core *)read_register(tpidr_el2), registers, names[vector % 4],
                 read_register(esr_el2), read_register(far_el2));
}
