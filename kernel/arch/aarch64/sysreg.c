/* See sysreg.h. */
#include "sysreg.h"
#include "guest_fault.h"
#include "id_view.h"
#include "vcpu.h"
#include "vgic.h"
#include "vtimer.h"

/* ISS of a trapped system register access: the register, without Rt and the direction. */
#define ISS_READ (UINT64_C(1) << 0)
#define ISS_RT(iss) ((iss) >> 5 & 31)
#define ISS_OP0(iss) ((iss) >> 20 & 3)
#define ISS_OP1(iss) ((iss) >> 14 & 7)
#define ISS_CRM(iss) ((iss) >> 1 & 15)
#define ISS_OP2(iss) ((iss) >> 17 & 7)
#define REGISTER(op0, op1, crn, crm, op2)                                                          \
    ((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
#define REGISTER_MASK REGISTER(3u, 7u, 15u, 15u, 7u)

enum trapped_register {
    DC_ISW = REGISTER(1u, 0u, 7u, 6u, 2u),
    DC_CSW = REGISTER(1u, 0u, 7u, 10u, 2u),
    DC_CISW = REGISTER(1u, 0u, 7u, 14u, 2u),
    ACTLR = REGISTER(3u, 0u, 1u, 0u, 1u),
    SGI1R = REGISTER(3u, 0u, 12u, 11u, 5u),
    ASGI1R = REGISTER(3u, 0u, 12u, 11u, 6u),
    SGI0R = REGISTER(3u, 0u, 12u, 11u, 7u),
    ICC_SRE = REGISTER(3u, 0u, 12u, 12u, 5u),
    CNTP_TVAL = REGISTER(3u, 3u, 14u, 2u, 0u),
    CNTP_CTL = REGISTER(3u, 3u, 14u, 2u, 1u),
    CNTP_CVAL = REGISTER(3u, 3u, 14u, 2u, 2u),
};
#define ID_GROUP REGISTER(3u, 0u, 0u, 0u, 0u)
#define ID_GROUP_MASK REGISTER(3u, 7u, 15u, 8u, 0u)
#define SRE_FIXED                                                                                  \
    7 /* system register interface, no bypass: all bits read as one and ignore writes */
#define OP0_DEBUG 2
#define OP1_TRACE 1

static struct id_view view;
static uint32_t extras;

/* Reads one row of ID registers of this core. */
#define READ_ROW(row, crm)                                                                         \
    do {                                                                                           \
        (row)[0] = read_register(S3_0_C0_##crm##_0);                                               \
        (row)[1] = read_register(S3_0_C0_##crm##_1);                                               \
        (row)[2] = read_register(S3_0_C0_##crm##_2);                                               \
        (row)[3] = read_register(S3_0_C0_##crm##_3);                                               \
        (row)[4] = read_register(S3_0_C0_##crm##_4);                                               \
        (row)[5] = read_register(S3_0_C0_##crm##_5);                                               \
        (row)[6] = read_register(S3_0_C0_##crm##_6);                                               \
        (row)[7] = read_register(S3_0_C0_##crm##_7);                                               \
    } while (0)

/* Pointer authentication of any algorithm (ISAR1.APA, API, GPA, GPI, ISAR2.GPA3, APA3) */
#define ISAR1_KEYS UINT64_C(0xff000ff0)
#define ISAR2_KEYS UINT64_C(0xff00)
#define PFR0_RAS(value) ((value) >> 28 & 15)
#define PFR1_SME(value) ((value) >> 24 & 15)

void sysreg_start(void)
{
    struct id_view cpu = {0};
    READ_ROW(cpu.value[1], C1);
    READ_ROW(cpu.value[2], C2);
    READ_ROW(cpu.value[3], C3);
    READ_ROW(cpu.value[4], C4);
    READ_ROW(cpu.value[5], C5);
    READ_ROW(cpu.value[6], C6);
    READ_ROW(cpu.value[7], C7);
    id_view_make(&cpu, &view);
    bool has_keys = (cpu.value[6][1] & ISAR1_KEYS) != 0 || (cpu.value[6][2] & ISAR2_KEYS) != 0;
    extras = (has_keys ? WORLD_HAS_KEYS : 0) | (PFR0_RAS(cpu.value[4][0]) ? WORLD_HAS_RAS : 0) |
             (PFR1_SME(cpu.value[4][1]) ? WORLD_HAS_SME : 0);
    uint64_t preemption = VTR_PREEMPTION_BITS(read_register(ICH_VTR_EL2));
    extras |= preemption > 5 ? WORLD_HAS_PRIORITIES_6 : 0;
    extras |= preemption > 6 ? WORLD_HAS_PRIORITIES_7 : 0;
}

uint32_t sysreg_extras(void)
{
    return extras;
}

static uint64_t read_value(const struct vcpu *vcpu, uint32_t which)
{
    switch (which) {
    case ICC_SRE:
        return SRE_FIXED;
    case CNTP_CTL:
        return vtimer_physical_control(vcpu);
    case CNTP_CVAL:
        return vtimer_physical_value(vcpu);
    case CNTP_TVAL:
        return (uint32_t)(vtimer_physical_value(vcpu) - arch_now());
    default:
        return 0;
    }
}

static void write_value(struct core *core, struct vcpu *vcpu, uint32_t which, uint64_t value)
{
    switch (which) {
    case CNTP_CTL:
        vtimer_physical_set(core, vcpu, value, vtimer_physical_value(vcpu));
        break;
    case CNTP_CVAL:
        vtimer_physical_set(core, vcpu, vtimer_physical_control(vcpu), value);
        break;
    case CNTP_TVAL:
        vtimer_physical_set(core, vcpu, vtimer_physical_control(vcpu),
                            arch_now() + (uint64_t)(int64_t)(int32_t)value);
        break;
    default:
        break;
    }
}

static bool is_offered(uint64_t iss, uint32_t which)
{
    switch (which) {
    case DC_ISW:
    case DC_CSW:
    case DC_CISW:
    case ACTLR:
    case ASGI1R:
    case SGI0R:
    case ICC_SRE:
    case CNTP_TVAL:
    case CNTP_CTL:
    case CNTP_CVAL:
        return true;
    default:
        return ISS_OP0(iss) == OP0_DEBUG && ISS_OP1(iss) != OP1_TRACE;
    }
}

bool sysreg_access(struct core *core, struct vcpu *vcpu, uint64_t syndrome)
{
    struct quoll_registers *registers = &vcpu->page->registers;
    uint64_t iss = ESR_ISS(syndrome);
    uint32_t which = (uint32_t)iss & REGISTER_MASK;
    uint32_t rt = (uint32_t)ISS_RT(iss);
    bool read = (iss & ISS_READ) != 0;

    if (which == SGI1R && !read) {
        vcpu->page->exits[EXITS_SGI]++;
        vgic_send(core, vcpu, rt == 31 ? 0 : registers->x[rt]);
        return true;
    }
    vcpu->page->exits[EXITS_SYSTEM_REGISTER]++;
    uint64_t value;
    if ((which & ID_GROUP_MASK) == ID_GROUP && read) {
        value = view.value[ISS_CRM(iss)][ISS_OP2(iss)];
    } else if (!is_offered(iss, which)) {
        return false;
    } else if (read) {
        value = read_value(vcpu, which);
    } else {
        write_value(core, vcpu, which, rt == 31 ? 0 : registers->x[rt]);
        return true;
    }
    if (rt < 31) {
        registers->x[rt] = value;
    }
    return true;
}
