/* See vtimer.h. All of it runs on the core that the vCPU belongs to. */
#include "vtimer.h"
#include "../../sched.h"
#include "../../signal.h"
#include "trap.h"

/* CNTHCTL_EL2 with HCR_EL2.E2H == 0 (Arm ARM D17.8.2) */
#define CNTHCTL_EL1PCTEN (UINT64_C(1) << 0) /* CNTPCT_EL0 readable below EL2 */

#define PPI_PHYSICAL_TIMER 30u

/* The kernel's timers for each vCPU's: CNTV while it is not loaded, and CNTP always. */
static struct timer virtual_timers[QUOLL_MAX_VCPUS], physical_timers[QUOLL_MAX_VCPUS];

static struct timer *timer_of(struct timer table[QUOLL_MAX_VCPUS], const struct vcpu *vcpu)
{
    return &table[vcpu - vcpus];
}

void vtimer_core_start(void)
{
    write_register(CNTHCTL_EL2, CNTHCTL_EL1PCTEN);
    write_register(CNTVOFF_EL2, 0);
    write_register(CNTV_CTL_EL0, 0);
}

static bool is_on(uint64_t control)
{
    return (control & (TIMER_ENABLE | TIMER_MASKED)) == TIMER_ENABLE;
}

static void waked(struct core *core, struct timer *timer)
{
    vcpu_poke(core, &vcpus[timer - virtual_timers]);
}

bool vtimer_waits(struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    if (!arch->timer_active || arch->timer_in_list) {
        return false;
    }
    uint64_t control = read_register(CNTV_CTL_EL0);
    if (is_on(control) && (control & TIMER_STATUS)) {
        return true;
    }
    arch->timer_active = false; /* the guest has set it anew: let it fire again */
    gic_deactivate(GIC_PPI_VIRTUAL_TIMER);
    return false;
}

void vtimer_unload(struct core *core, struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    write_register(CNTV_CTL_EL0, 0);
    if (arch->timer_active) {
        isb(); /* silent before it is free to fire */
        gic_deactivate(GIC_PPI_VIRTUAL_TIMER);
        arch->timer_active = arch->timer_in_list = false;
    }
    if (is_on(arch->world.cntv_ctl)) {
        struct timer *timer = timer_of(virtual_timers, vcpu);
        timer->fire = waked;
        timer_arm(core, timer, arch->world.cntv_cval);
        sched_program_deadline(core); /* the scheduler has done so already, before the switch */
    }
}

void vtimer_load(struct core *core, struct vcpu *vcpu)
{
    timer_cancel(core, timer_of(virtual_timers, vcpu));
}

void vtimer_reset(struct core *core, struct vcpu *vcpu)
{
    timer_cancel(core, timer_of(virtual_timers, vcpu));
    vtimer_physical_set(core, vcpu, 0, 0);
}

static uint32_t *physical_level(const struct vcpu *vcpu)
{
    return &vcpu->vm->interrupts->vcpu[vcpu->index].level;
}

static void physical_fire(struct core *core, struct timer *timer)
{
    struct vcpu *vcpu = &vcpus[timer - physical_timers];
    __atomic_fetch_or(physical_level(vcpu), 1u << PPI_PHYSICAL_TIMER, __ATOMIC_SEQ_CST);
    vcpu_poke(core, vcpu);
}

uint64_t vtimer_physical_control(const struct vcpu *vcpu)
{
    const struct arch_vcpu *arch = &vcpu->arch;
    bool due = (arch->cntp_ctl & TIMER_ENABLE) && arch_now() >= arch->cntp_cval;
    return arch->cntp_ctl | (due ? TIMER_STATUS : 0);
}

uint64_t vtimer_physical_value(const struct vcpu *vcpu)
{
    return vcpu->arch.cntp_cval;
}

void vtimer_physical_set(struct core *core, struct vcpu *vcpu, uint64_t control, uint64_t value)
{
    struct timer *timer = timer_of(physical_timers, vcpu);
    vcpu->arch.cntp_ctl = control & (TIMER_ENABLE | TIMER_MASKED);
    vcpu->arch.cntp_cval = value;
    __atomic_fetch_and(physical_level(vcpu), ~(1u << PPI_PHYSICAL_TIMER), __ATOMIC_SEQ_CST);
    timer->fire = physical_fire;
    timer_arm(core, timer, is_on(control) ? value : QUOLL_NEVER);
    sched_program_deadline(core);
}
