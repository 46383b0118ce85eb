/*
 * GICv3 distributor and redistributor registers (Arm IHI 0069, chapter 12); the contract is in vgic.h.
 *
 * Offsets below 0xE00 look alike in the distributor (SPIs) and in a redistributor's SGI frame (INTIDs 0..31), so
 * both go through bank_access() with a description of where their bits are. Bitmaps are handled as 32-bit words:
 * a 64-bit word of the interrupt page is, on a little-endian machine, two of them in order.
 */
#include "vgic.h"
#include <quoll/quoll.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bitmaps are viewed as 32-bit words");

enum distributor_register {
    GICD_CTLR = 0x0000,
    GICD_TYPER = 0x0004,
    GICD_IIDR = 0x0008,
    GICD_IROUTER = 0x6000, /* + 8 * INTID */
    GICD_IROUTER_END = 0x6000 + 8 * (32 + QUOLL_VM_SPIS),
};

enum redistributor_register {
    GICR_CTLR = 0x0000,
    GICR_IIDR = 0x0004,
    GICR_TYPER = 0x0008,
    GICR_WAKER = 0x0014,
    GICR_SGI_FRAME = 0x10000,
};

/* Both: one bit, byte or two bits per interrupt. */
enum bank_register {
    BANK_IGROUPR = 0x080,
    BANK_ISENABLER = 0x100,
    BANK_ICENABLER = 0x180,
    BANK_ISPENDR = 0x200,
    BANK_ICPENDR = 0x280,
    BANK_BITMAPS_END = 0x300, /* then active state, which lives in list registers: zero */
    BANK_IPRIORITYR = 0x400,
    BANK_PRIORITY_END = 0x800,
    BANK_ICFGR = 0xc00,
    BANK_ICFGR_END = 0xd00,
    ID_REGISTERS = 0xffd0,
};

#define BITMAP_BYTES 0x80u /* of each bitmap register */
#define CTLR_ENABLE_GROUP0 0x01u
#define CTLR_ENABLE_GROUP1 0x02u
#define CTLR_ARE 0x10u
#define CTLR_DS 0x40u
#define WAKER_SLEEP 0x2u
#define WAKER_ASLEEP 0x4u
#define PRIORITY_MASK 0xf8u             /* five bits */
#define IIDR_VALUE 0x43bu               /* as QEMU's: implementer Arm */
#define IROUTER_ANY (UINT64_C(1) << 31) /* Interrupt_Routing_Mode */

/* Where the state of a group of interrupts is: `words` words of 32 interrupts each. */
struct bank {
    uint32_t *enabled, *pending, *level, *group1, *edge;
    uint8_t *priority;
    uint32_t words;
    uint32_t
        first_word; /* number of the first word: 1 in the distributor, whose word 0 is not there */
    uint32_t vcpu;  /* whose it is; QUOLL_VCPU_ALL: SPIs */
};

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void look(struct vgic *vgic, uint32_t vcpu)
{
    /* Fails only for a vCPU that does not exist: an SPI that is routed nowhere. */
    (void)quoll_vcpu_irq(vgic->vm, vcpu, QUOLL_VCPU_IRQ_LOOK);
}

static struct bank spi_bank(struct vgic *vgic)
{
    struct quoll_vm_interrupts *page = vgic->page;
    return (struct bank){
        .enabled = (uint32_t *)(void *)page->enabled,
        .pending = (uint32_t *)(void *)page->pending,
        .level = (uint32_t *)(void *)page->level,
        .group1 = (uint32_t *)(void *)page->group1,
        .edge = (uint32_t *)(void *)vgic->edge,
        .priority = page->priority,
        .words = QUOLL_VM_SPIS / 32,
        .first_word = 1,
        .vcpu = QUOLL_VCPU_ALL,
    };
}

static struct bank private_bank(struct vgic *vgic, uint32_t vcpu)
{
    struct quoll_vcpu_interrupts *interrupts = &vgic->page->vcpu[vcpu];
    return (struct bank){
        .enabled = &interrupts->enabled,
        .pending = &interrupts->pending,
        .level = &interrupts->level,
        .group1 = &interrupts->group1,
        .edge = &vgic->ppi_edge[vcpu],
        .priority = interrupts->priority,
        .words = 1,
        .first_word = 0,
        .vcpu = vcpu,
    };
}

/* Interrupts of the word may have become deliverable: has the kernel look at the vCPUs they go to. */
static void look_for(struct vgic *vgic, const struct bank *bank, uint32_t word, uint32_t bits)
{
    bits &= load(&bank->enabled[word]) & (load(&bank->pending[word]) | load(&bank->level[word]));
    if (bits == 0)
        return;
    if (bank->vcpu != QUOLL_VCPU_ALL || (bits & (bits - 1)) != 0) {
        look(vgic, bank->vcpu);
        return;
    }
    uint32_t spi = word * 32 + (uint32_t)__builtin_ctz(bits);
    look(vgic, __atomic_load_n(&vgic->page->target[spi], __ATOMIC_RELAXED));
}

static uint32_t bitmap_read(const struct bank *bank, uint32_t reg, uint32_t word)
{
    switch (reg) {
    case BANK_IGROUPR:
        return load(&bank->group1[word]);
    case BANK_ISENABLER:
    case BANK_ICENABLER:
        return load(&bank->enabled[word]);
    case BANK_ISPENDR:
    case BANK_ICPENDR:
        return load(&bank->pending[word]) | load(&bank->level[word]);
    default:
        return 0;
    }
}

static void bitmap_write(struct vgic *vgic, const struct bank *bank, uint32_t reg, uint32_t word,
                         uint32_t bits)
{
    switch (reg) {
    case BANK_IGROUPR:
        __atomic_store_n(&bank->group1[word], bits, __ATOMIC_SEQ_CST);
        break;
    case BANK_ISENABLER:
        __atomic_fetch_or(&bank->enabled[word], bits, __ATOMIC_SEQ_CST);
        look_for(vgic, bank, word, bits);
        break;
    case BANK_ICENABLER:
        __atomic_fetch_and(&bank->enabled[word], ~bits, __ATOMIC_SEQ_CST);
        break;
    case BANK_ISPENDR:
        __atomic_fetch_or(&bank->pending[word], bits, __ATOMIC_SEQ_CST);
        look_for(vgic, bank, word, bits);
        break;
    case BANK_ICPENDR:
        __atomic_fetch_and(&bank->pending[word], ~bits, __ATOMIC_SEQ_CST);
        break;
    default:
        break;
    }
}

/* 32 bits of a one-bit-per-interrupt register. */
static void bitmap_access(struct vgic *vgic, const struct bank *bank, struct access *access)
{
    uint32_t reg = (uint32_t)access->address & ~(BITMAP_BYTES - 1);
    uint32_t word = ((uint32_t)access->address % BITMAP_BYTES) / 4 - bank->first_word;
    if (access->size != 4 || word >= bank->words)
        return;
    if (access->write)
        bitmap_write(vgic, bank, reg, word, (uint32_t)access->value);
    else
        access->value = bitmap_read(bank, reg, word);
}

/* One or four priorities. */
static void priority_access(const struct bank *bank, struct access *access)
{
    uint32_t first = (uint32_t)access->address - BANK_IPRIORITYR - 32 * bank->first_word;
    if (first >= bank->words * 32 || (access->size != 1 && access->size != 4))
        return;
    for (uint32_t i = 0; i < access->size && first + i < bank->words * 32; i++) {
        uint8_t *priority = &bank->priority[first + i];
        if (access->write)
            __atomic_store_n(priority, (uint8_t)(access->value >> (8 * i) & PRIORITY_MASK),
                             __ATOMIC_RELAXED);
        else
            access->value |= (uint64_t)__atomic_load_n(priority, __ATOMIC_RELAXED) << (8 * i);
    }
}

/* Two bits for each of 16 interrupts, of which the upper one says edge-triggered. SGIs always are. */
static void configuration_access(const struct bank *bank, struct access *access)
{
    uint32_t half = ((uint32_t)access->address - BANK_ICFGR) / 4 - 2 * bank->first_word;
    uint32_t word = half / 2, shift = half % 2 * 16;
    if (access->size != 4 || word >= bank->words)
        return;
    if (!access->write) {
        uint32_t edges = load(&bank->edge[word]) >> shift;
        for (uint32_t i = 0; i < 16; i++)
            access->value |= (uint64_t)(edges >> i & 1) << (2 * i + 1);
        return;
    }
    uint32_t edges = 0;
    for (uint32_t i = 0; i < 16; i++)
        edges |= (uint32_t)(access->value >> (2 * i + 1) & 1) << (i + shift);
    if (bank->first_word == 0 && half == 0)
        return;
    __atomic_fetch_and(&bank->edge[word], ~(UINT32_C(0xffff) << shift), __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&bank->edge[word], edges, __ATOMIC_SEQ_CST);
}

static void bank_access(struct vgic *vgic, const struct bank *bank, struct access *access)
{
    uint64_t offset = access->address;
    if (offset >= BANK_IGROUPR && offset < BANK_BITMAPS_END)
        bitmap_access(vgic, bank, access);
    else if (offset >= BANK_IPRIORITYR && offset < BANK_PRIORITY_END)
        priority_access(bank, access);
    else if (offset >= BANK_ICFGR && offset < BANK_ICFGR_END)
        configuration_access(bank, access);
}

/* 32-bit identification registers PIDR4..7, PIDR0..3, CIDR0..3 of both kinds of frame. */
static uint64_t identification(uint64_t offset)
{
    static const uint8_t values[] = {0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};
    uint64_t number = (offset - ID_REGISTERS) / 4;
    return number < sizeof(values) ? values[number] : 0;
}

static void control_write(struct vgic *vgic, uint32_t value)
{
    __atomic_store_n(&vgic->control, value & (CTLR_ENABLE_GROUP0 | CTLR_ENABLE_GROUP1),
                     __ATOMIC_SEQ_CST);
    uint32_t enabled = (value & CTLR_ENABLE_GROUP1) != 0;
    uint32_t before =
        __atomic_exchange_n(&vgic->page->distributor_enabled, enabled, __ATOMIC_SEQ_CST);
    if (enabled && !before)
        look(vgic, QUOLL_VCPU_ALL);
}

/* GICD_TYPER (12.9.38): 288 INTIDs of 16 bits; no 1-of-N routing, no LPIs, affinity 3 may be used. */
static uint32_t distributor_type(const struct vgic *vgic)
{
    uint32_t lines = (32 + QUOLL_VM_SPIS) / 32 - 1;
    uint32_t cpus = vgic->vcpu_count > 8 ? 7 : vgic->vcpu_count - 1;
    return lines | cpus << 5 | 0xfu << 19 | 1u << 24 | 1u << 25;
}

/* GICD_IROUTER: affinity 0.0.0.n is vCPU n. Its upper word, and affinities without vCPU, route nowhere. */
static void router_access(struct vgic *vgic, struct access *access)
{
    uint32_t intid = ((uint32_t)access->address - GICD_IROUTER) / 8;
    bool upper = access->address % 8 != 0;
    if (intid < 32 || (access->size != 8 && access->size != 4) || access->address % access->size)
        return;
    uint8_t *target = &vgic->page->target[intid - 32];
    if (!access->write) {
        access->value = upper ? 0 : __atomic_load_n(target, __ATOMIC_RELAXED);
        return;
    }
    if (upper)
        return;
    uint64_t affinity = access->value & ~IROUTER_ANY;
    uint8_t vcpu = affinity < vgic->vcpu_count ? (uint8_t)affinity : UINT8_MAX;
    if (access->value & IROUTER_ANY)
        vcpu = 0;
    __atomic_store_n(target, vcpu, __ATOMIC_SEQ_CST);
    struct bank bank = spi_bank(vgic);
    look_for(vgic, &bank, (intid - 32) / 32, UINT32_C(1) << intid % 32);
}

/* A 64-bit access to 32-bit registers is two of them; IROUTER and GICR_TYPER are served before. */
static void split(struct vgic *vgic, void (*serve)(struct vgic *, struct access *),
                  struct access *access)
{
    struct access low = {access->address, access->value & UINT32_MAX, 4, access->write};
    struct access high = {access->address + 4, access->value >> 32, 4, access->write};
    serve(vgic, &low);
    serve(vgic, &high);
    if (!access->write)
        access->value = low.value | high.value << 32;
}

void vgic_distributor(struct vgic *vgic, struct access *access)
{
    uint64_t offset = access->address;
    if (!access->write)
        access->value = 0;
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
        router_access(vgic, access);
    } else if (access->size == 8) {
        split(vgic, vgic_distributor, access);
    } else if (offset >= BANK_IGROUPR && offset < BANK_ICFGR_END) {
        struct bank bank = spi_bank(vgic);
        bank_access(vgic, &bank, access);
    } else if (access->size != 4) {
        return;
    } else if (access->write) {
        if (offset == GICD_CTLR)
            control_write(vgic, (uint32_t)access->value);
    } else if (offset == GICD_CTLR) {
        access->value = load(&vgic->control) | CTLR_ARE | CTLR_DS;
    } else if (offset == GICD_TYPER) {
        access->value = distributor_type(vgic);
    } else if (offset == GICD_IIDR) {
        access->value = IIDR_VALUE;
    } else if (offset >= ID_REGISTERS) {
        access->value = identification(offset);
    }
}

/* GICR_TYPER (12.11.37): affinity, processor number, and whether it is the last of the row. */
static uint64_t redistributor_type(const struct vgic *vgic, uint32_t vcpu)
{
    uint64_t last = vcpu + 1 == vgic->vcpu_count;
    return (uint64_t)vcpu << 32 | (uint64_t)vcpu << 8 | last << 4;
}

static void redistributor_frame(struct vgic *vgic, uint32_t vcpu, struct access *access)
{
    uint64_t offset = access->address;
    if (access->write) {
        if (offset == GICR_WAKER && access->size == 4)
            __atomic_store_n(&vgic->waker[vcpu], (uint32_t)access->value & WAKER_SLEEP,
                             __ATOMIC_RELAXED);
        return;
    }
    uint64_t type = redistributor_type(vgic, vcpu);
    if (access->size == 8) {
        if (offset == GICR_TYPER)
            access->value = type;
    } else if (access->size != 4) {
        return;
    } else if (offset == GICR_IIDR) {
        access->value = IIDR_VALUE;
    } else if (offset == GICR_TYPER) {
        access->value = type & UINT32_MAX;
    } else if (offset == GICR_TYPER + 4) {
        access->value = type >> 32;
    } else if (offset == GICR_WAKER) {
        uint32_t sleep = __atomic_load_n(&vgic->waker[vcpu], __ATOMIC_RELAXED);
        access->value = sleep ? WAKER_SLEEP | WAKER_ASLEEP : 0;
    } else if (offset >= ID_REGISTERS) {
        access->value = identification(offset);
    }
}

void vgic_redistributor(struct vgic *vgic, struct access *access)
{
    uint32_t vcpu = (uint32_t)(access->address / VIRT_GICR_STRIDE);
    struct access inner = *access;
    inner.address = access->address % VIRT_GICR_STRIDE;
    if (!access->write)
        access->value = inner.value = 0;
    if (vcpu >= vgic->vcpu_count)
        return;
    if (inner.address < GICR_SGI_FRAME) {
        redistributor_frame(vgic, vcpu, &inner);
    } else if (access->size == 8) {
        split(vgic, vgic_redistributor, access);
        return;
    } else {
        struct bank bank = private_bank(vgic, vcpu);
        inner.address -= GICR_SGI_FRAME;
        bank_access(vgic, &bank, &inner);
    }
    if (!access->write)
        access->value = inner.value;
}

void vgic_pulse(struct vgic *vgic, uint32_t intid)
{
    (void)quoll_vcpu_irq(vgic->vm, 0, intid);
}

void vgic_level(struct vgic *vgic, uint32_t intid, bool asserted)
{
    uint32_t spi = intid - 32;
    uint64_t bit = UINT64_C(1) << spi % 64;
    uint64_t *level = &vgic->page->level[spi / 64];
    if (!asserted) {
        __atomic_fetch_and(level, ~bit, __ATOMIC_SEQ_CST);
        return;
    }
    if (__atomic_fetch_or(level, bit, __ATOMIC_SEQ_CST) & bit)
        return;
    struct bank bank = spi_bank(vgic);
    look_for(vgic, &bank, spi / 32, UINT32_C(1) << spi % 32);
}

void vgic_start(struct vgic *vgic, struct quoll_vm_interrupts *page, uint32_t vm,
                uint32_t vcpu_count)
{
    *vgic = (struct vgic){.page = page, .vm = vm, .vcpu_count = vcpu_count};
    vgic_reset(vgic);
}

void vgic_resume(struct vgic *vgic, struct quoll_vm_interrupts *page, uint32_t vm,
                 uint32_t vcpu_count)
{
    vgic->page = page;
    vgic->vm = vm;
    vgic->vcpu_count = vcpu_count;
}

void vgic_reset(struct vgic *vgic)
{
    memset(vgic->page, 0, sizeof(*vgic->page));
    memset(vgic->edge, 0, sizeof(vgic->edge));
    vgic->control = 0;
    for (uint32_t i = 0; i < QUOLL_MAX_VCPUS_PER_VM; i++) {
        vgic->ppi_edge[i] = UINT32_C(0xffff); /* SGIs */
        vgic->waker[i] = WAKER_SLEEP;
    }
}
