/* See vgic.h. All of it runs on the core that the vCPU belongs to. */
#include "vgic.h"
#include "../../signal.h"
#include "list_registers.h"
#include "trap.h"
#include "vgic_choose.h"
#include "vtimer.h"
#include <stdatomic.h>

#define VMCR_GROUP1_ENABLED(vmcr) (((vmcr) >> 1 & 1) != 0)
#define VMCR_PRIORITY_MASK(vmcr) ((vmcr) >> 24 & 0xff)

static bool is_loaded(const struct vcpu *vcpu)
{
    return vcpu->thread->core->arch.loaded == vcpu;
}

void vgic_core_start(struct core *core)
{
    uint32_t count = (uint32_t)(read_register(ICH_VTR_EL2) & VTR_LIST_REGISTERS) + 1;
    if (count > LIST_REGISTERS_MAX) {
        count = LIST_REGISTERS_MAX;
    }
    core->arch.list_registers = (1u << count) - 1;
    for (uint32_t i = 0; i < count; i++) {
        list_register_write(i, 0);
    }
    write_register(ICH_HCR_EL2, ICH_HCR_ENABLE);
}

/* Where the page has the `pending` or `enabled` bit of an interrupt. */
struct bit {
    uint8_t *byte;
    uint8_t mask;
};

static struct bit bit_of(void *private_word, void *shared_words, uint32_t intid)
{
    /* Little-endian: bit n of a word of any size is bit n % 8 of byte n / 8. */
    uint32_t n = intid < VGIC_PRIVATE ? intid : intid - VGIC_PRIVATE;
    uint8_t *base = intid < VGIC_PRIVATE ? private_word : shared_words;
    return (struct bit){base + n / 8, (uint8_t)(1u << n % 8)};
}

static struct bit pending_bit(const struct vcpu *vcpu, uint32_t intid)
{
    struct quoll_vm_interrupts *page = vcpu->vm->interrupts;
    return bit_of(&page->vcpu[vcpu->index].pending, page->pending, intid);
}

static bool is_enabled(const struct vcpu *vcpu, uint32_t intid)
{
    struct quoll_vm_interrupts *page = vcpu->vm->interrupts;
    struct bit bit = bit_of(&page->vcpu[vcpu->index].enabled, page->enabled, intid);
    return (__atomic_load_n(bit.byte, __ATOMIC_RELAXED) & bit.mask) != 0;
}

/* Clears `pending`; tells whether it was set. */
static bool take_pending(const struct vcpu *vcpu, uint32_t intid)
{
    struct bit bit = pending_bit(vcpu, intid);
    if ((__atomic_load_n(bit.byte, __ATOMIC_RELAXED) & bit.mask) == 0) {
        return false;
    }
    return (__atomic_fetch_and(bit.byte, (uint8_t)~bit.mask, __ATOMIC_SEQ_CST) & bit.mask) != 0;
}

static void give_back(struct core *core, struct vcpu *vcpu, uint32_t intid)
{
    struct bit bit = pending_bit(vcpu, intid);
    __atomic_fetch_or(bit.byte, bit.mask, __ATOMIC_SEQ_CST);
    if (intid < VGIC_PRIVATE) {
        return;
    }
    uint8_t target =
        __atomic_load_n(&vcpu->vm->interrupts->target[intid - VGIC_PRIVATE], __ATOMIC_RELAXED);
    if (target != vcpu->index && target < vcpu->vm->vcpu_count) {
        vcpu_poke(core, &vcpu->vm->vcpus[target]); /* it has moved to another vCPU meanwhile */
    }
}

/* The list register is empty: nothing of this interrupt is in flight any more. */
static void forget(struct arch_vcpu *arch, uint32_t number)
{
    arch->used &= ~(1u << number);
    arch->latched &= ~(1u << number);
    if (arch->intid[number] == VGIC_TIMER && arch->timer_in_list) {
        arch->timer_in_list = false;
        arch->timer_active = false; /* the guest's deactivation was the physical one, too */
    }
}

/* Notices what the guest has deactivated. */
static void collect(struct arch_vcpu *arch)
{
    if (arch->used == 0) {
        return;
    }
    uint32_t told = (uint32_t)read_register(ICH_EISR_EL2) & arch->used;
    uint32_t empty = ((uint32_t)read_register(ICH_ELRSR_EL2) & arch->used) | told;
    for (; empty != 0; empty &= empty - 1) {
        uint32_t number = (uint32_t)__builtin_ctz(empty);
        if (told & 1u << number) {
            list_register_write(number, 0); /* else it goes on telling */
        }
        forget(arch, number);
    }
}

/* Takes back what is only pending, and adds new edges to what is active. */
static void take_back(struct core *core, struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    for (uint32_t left = arch->used; left != 0; left &= left - 1) {
        uint32_t number = (uint32_t)__builtin_ctz(left);
        uint32_t intid = arch->intid[number];
        uint64_t value = list_register_read(number);
        switch (value & LIST_STATE) {
        case LIST_PENDING:
            list_register_write(number, 0);
            arch->used &= ~(1u << number);
            if (value & LIST_HARDWARE) {
                arch->timer_in_list = false; /* still timer_active */
            } else if (arch->latched & 1u << number) {
                arch->latched &= ~(1u << number);
                give_back(core, vcpu, intid);
            }
            break;
        case LIST_ACTIVE:
            if ((value & LIST_HARDWARE) == 0 && is_enabled(vcpu, intid) &&
                take_pending(vcpu, intid)) {
                arch->latched |= 1u << number;
                list_register_write(number, value | LIST_PENDING);
            }
            break;
        default: /* active and pending: leave it to the guest */
            break;
        }
    }
}

static void fill(struct core *core, struct vcpu *vcpu, uint32_t intid, uint32_t priority)
{
    struct arch_vcpu *arch = &vcpu->arch;
    uint32_t number = (uint32_t)__builtin_ctz(core->arch.list_registers & ~arch->used);
    uint64_t value = LIST_PENDING | LIST_GROUP1 | LIST_PRIORITY(priority) | intid;

    if (intid == VGIC_TIMER) {
        value |= LIST_HARDWARE | LIST_PHYSICAL(GIC_PPI_VIRTUAL_TIMER);
        arch->timer_in_list = true;
    } else {
        bool latched = take_pending(vcpu, intid);
        struct quoll_vm_interrupts *page = vcpu->vm->interrupts;
        struct bit level = bit_of(&page->vcpu[vcpu->index].level, page->level, intid);
        if (__atomic_load_n(level.byte, __ATOMIC_RELAXED) & level.mask) {
            value |= LIST_TELL_END;
        } else if (!latched) {
            return; /* gone since it was chosen */
        }
        if (latched) {
            arch->latched |= 1u << number;
        }
    }
    arch->used |= 1u << number;
    arch->intid[number] = (uint16_t)intid;
    list_register_write(number, value);
}

static void set_refill(struct arch_vcpu *arch, bool refill)
{
    if (arch->refill != refill) {
        arch->refill = refill;
        write_register(ICH_HCR_EL2, ICH_HCR_ENABLE | (refill ? ICH_HCR_UNDERFLOW : 0));
    }
}

void vgic_sync(struct core *core, struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    collect(arch);
    take_back(core, vcpu);
    struct vgic_query query = {.page = vcpu->vm->interrupts,
                               .vcpu = vcpu->index,
                               .timer = vtimer_waits(vcpu),
                               .intid = arch->intid,
                               .used = arch->used};
    struct vgic_choices choices;
    choices.room = (uint32_t)__builtin_popcount(core->arch.list_registers & ~arch->used);
    vgic_choose(&query, &choices);
    for (uint32_t i = 0; i < choices.count; i++) {
        fill(core, vcpu, choices.best[i].intid, choices.best[i].priority);
    }
    set_refill(arch, choices.more);
}

/* What can be delivered has been put into list registers when the vCPU was entered; only the guest can have made it
 * deliverable since then: by its priority mask or, a timer that has fired before, by enabling it. */
bool vgic_has_interrupt(struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    if (!is_loaded(vcpu)) {
        return false; /* it had none when it slept, and cannot have changed that */
    }
    uint64_t control = read_register(ICH_VMCR_EL2);
    uint64_t mask = VMCR_GROUP1_ENABLED(control) ? VMCR_PRIORITY_MASK(control) : 0;
    for (uint32_t left = arch->used; left != 0; left &= left - 1) {
        uint64_t value = list_register_read((uint32_t)__builtin_ctz(left));
        if ((value & LIST_STATE) == LIST_PENDING && LIST_PRIORITY_OF(value) < mask) {
            return true;
        }
    }
    return vtimer_waits(vcpu) && is_enabled(vcpu, VGIC_TIMER);
}

/* A list register that is linked to the timer's physical interrupt cannot outlive the vCPU's stay: another vCPU needs
 * that interrupt. Pending, it will be made again by CNTV when it is restored; active, it goes on as a software one. */
static void unlink_timer(struct arch_vcpu *arch, uint32_t number)
{
    if ((arch->list[number] & LIST_STATE) == LIST_PENDING) {
        arch->used &= ~(1u << number);
    }
    arch->list[number] &= ~(LIST_HARDWARE | LIST_PHYSICAL(LIST_PHYSICAL_MASK));
    arch->list[number] |= LIST_TELL_END;
}

void vgic_unload(struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    if (arch->refill || (arch->used != 0 && read_register(ICH_EISR_EL2) != 0)) {
        atomic_store(&vcpu->look, 1); /* the maintenance interrupt will not come any more */
    }
    collect(arch);
    for (uint32_t left = arch->used; left != 0; left &= left - 1) {
        uint32_t number = (uint32_t)__builtin_ctz(left);
        arch->list[number] = list_register_read(number);
        list_register_write(number, 0);
        if (arch->list[number] & LIST_HARDWARE) {
            unlink_timer(arch, number);
        }
    }
    set_refill(arch, false);
}

void vgic_load(struct vcpu *vcpu)
{
    struct arch_vcpu *arch = &vcpu->arch;
    for (uint32_t left = arch->used; left != 0; left &= left - 1) {
        uint32_t number = (uint32_t)__builtin_ctz(left);
        list_register_write(number, arch->list[number]);
    }
}

void vgic_reset(struct vcpu *vcpu)
{
    struct quoll_vcpu_interrupts *own = &vcpu->vm->interrupts->vcpu[vcpu->index];
    vcpu->arch.used = 0;
    vcpu->arch.latched = 0;
    vcpu->arch.refill = false;
    __atomic_store_n(&own->pending, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&own->enabled, 0, __ATOMIC_SEQ_CST);
}

void vgic_maintain(struct vcpu *vcpu)
{
    collect(&vcpu->arch);
    set_refill(&vcpu->arch, false); /* vgic_sync decides anew */
}

/* An interrupt that waits for the loaded vCPU must not end the wait, again and again: nothing but the VMM's answer, or a
 * physical interrupt, lets that vCPU go on. So the virtual CPU interface is off meanwhile. */
void vgic_wait(const struct core *core)
{
    const struct vcpu *loaded = core->arch.loaded;
    if (loaded == NULL || loaded->arch.used == 0) {
        __asm__ volatile("wfi" ::: "memory");
        return;
    }
    uint64_t control = read_register(ICH_HCR_EL2);
    write_register(ICH_HCR_EL2, control & ~ICH_HCR_ENABLE);
    isb();
    __asm__ volatile("wfi" ::: "memory");
    write_register(ICH_HCR_EL2, control);
}

#define SGI_INTID(value) ((uint32_t)((value) >> 24) & 0xf)

void vgic_send(struct core *core, struct vcpu *from, uint64_t value)
{
    struct vm *vm = from->vm;
    uint32_t targets = vgic_sgi_targets(value, from->index, vm->vcpu_count);
    for (; targets != 0; targets &= targets - 1) {
        vm_interrupt(core, vm, (uint32_t)__builtin_ctz(targets), SGI_INTID(value));
    }
}
