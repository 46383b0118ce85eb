/*
 * Simulated virtual CPUs: a guest is no code, only what the driver says that it does. What is real are its
 * interrupts: pending ones of the interrupt page are chosen as on the machine (vgic_choose.c) and moved
 * into a few list registers when the guest is entered with `look` set.
 */
#include "host.h"
#include "../aarch64/vgic_choose.h"
#include <stdatomic.h>

static void take_pending(const struct vcpu *vcpu, uint32_t intid)
{
    struct quoll_vm_interrupts *page = vcpu->vm->interrupts;
    if (intid < VGIC_PRIVATE) {
        __atomic_fetch_and(&page->vcpu[vcpu->index].pending, ~(UINT32_C(1) << intid),
                           __ATOMIC_SEQ_CST);
        return;
    }
    uint32_t spi = intid - VGIC_PRIVATE;
    __atomic_fetch_and(&page->pending[spi / 64], ~(UINT64_C(1) << spi % 64), __ATOMIC_SEQ_CST);
}

static void fill_list_registers(struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    struct vgic_query query = {.page = vcpu->vm->interrupts,
                               .vcpu = vcpu->index,
                               .intid = arch->intid,
                               .used = arch->used};
    struct vgic_choices choices;
    choices.room = HOST_LIST_REGISTERS - (uint32_t)__builtin_popcount(arch->used);
    vgic_choose(&query, &choices);
    for (uint32_t i = 0; i < choices.count; i++) {
        uint32_t number = (uint32_t)__builtin_ctz(~arch->used);
        arch->used |= 1u << number;
        arch->intid[number] = choices.best[i].intid;
        take_pending(vcpu, choices.best[i].intid);
    }
}

void arch_thread_enter(struct core *core, struct thread *thread)
{
    core->arch.entered = thread;
    if (thread->in_guest && atomic_load_explicit(&thread->vcpu->look, memory_order_relaxed) != 0) {
        atomic_exchange(&thread->vcpu->look, 0);
        fill_list_registers(thread->vcpu);
    }
}

enum quoll_status arch_vcpu_prepare(struct core *core, struct vcpu *vcpu)
{
    return vcpu->arch.prepare;
}

/* Interrupts are in list registers, or the page has changed since it was looked at. */
bool arch_vcpu_has_interrupt(struct vcpu *vcpu)
{
    return vcpu->arch.has_interrupt || vcpu->arch.used != 0 || atomic_load(&vcpu->look) != 0;
}
