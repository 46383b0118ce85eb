/*
 * The syndrome of a guest's abort, decoded (Arm ARM D17.2.37, ISS of a Data Abort). Pure, and inline because
 * every MMIO exit goes through it.
 */
#ifndef DATA_ABORT_H
#define DATA_ABORT_H

#include <stdbool.h>
#include <stdint.h>

/* ISS fields */
#define ISS_VALID (UINT64_C(1) << 24)
#define ISS_SIZE(iss) ((iss) >> 22 & 3)
#define ISS_SIGN (UINT64_C(1) << 21)
#define ISS_REGISTER(iss) ((iss) >> 16 & 31)
#define ISS_WIDE (UINT64_C(1) << 15)
#define ISS_CACHE_MAINTENANCE (UINT64_C(1) << 8)
#define ISS_TABLE_WALK (UINT64_C(1) << 7)
#define ISS_WRITE (UINT64_C(1) << 6)
#define ISS_FAULT(iss) ((iss)&0x3f)

/* ISS_FAULT without the level */
#define FAULT_ADDRESS_SIZE 0
#define FAULT_TRANSLATION 1
#define FAULT_ACCESS_FLAG 2
#define FAULT_PERMISSION 3

enum abort_kind {
    ABORT_UNMAPPED, /* stage 2 has no translation */
    ABORT_RIGHTS,   /* it has one, with other rights */
    ABORT_OTHER,    /* external abort, unsupported atomic, ...: not stage 2's doing */
};

/* One load or store of one general register. */
struct guest_access {
    bool write;
    uint8_t size; /* 1, 2, 4 or 8 bytes */
    uint8_t reg;  /* 31: zero register */
    bool sign;    /* sign-extend what is loaded */
    bool wide;    /* the register is 64 bits wide */
};

static inline enum abort_kind abort_classify(uint64_t syndrome)
{
    switch (ISS_FAULT(syndrome) >> 2) {
    case FAULT_ADDRESS_SIZE:
    case FAULT_TRANSLATION:
        return ABORT_UNMAPPED;
    case FAULT_ACCESS_FLAG:
    case FAULT_PERMISSION:
        return ABORT_RIGHTS;
    default:
        return ABORT_OTHER;
    }
}

/* The abort came from a walk of the guest's own tables. */
static inline bool abort_in_table_walk(uint64_t syndrome)
{
    return (syndrome & ISS_TABLE_WALK) != 0;
}

/* The access that a syndrome describes, if it does. */
static inline struct guest_access data_abort_access(uint64_t syndrome)
{
    return (struct guest_access){
        .write = (syndrome & ISS_WRITE) != 0,
        .size = (uint8_t)(1u << ISS_SIZE(syndrome)),
        .reg = ISS_REGISTER(syndrome),
        .sign = (syndrome & ISS_SIGN) != 0,
        .wide = (syndrome & ISS_WIDE) != 0,
    };
}

/* false: the syndrome does not describe the access. */
static inline bool data_abort_decode(uint64_t syndrome, struct guest_access *access)
{
    *access = data_abort_access(syndrome);
    return (syndrome & ISS_VALID) != 0 &&
           (syndrome & (ISS_CACHE_MAINTENANCE | ISS_TABLE_WALK)) == 0;
}

/* What a load leaves in its register. */
static inline uint64_t guest_access_loaded(const struct guest_access *access, uint64_t value)
{
    uint32_t unused = 64 - 8u * access->size;
    value <<= unused;
    value = access->sign ? (uint64_t)((int64_t)value >> unused) : value >> unused;
    return access->wide ? value : (uint32_t)value;
}

/* What a store writes, of its register's content. */
static inline uint64_t guest_access_stored(const struct guest_access *access, uint64_t content)
{
    return access->size == 8 ? content : content & ((UINT64_C(1) << 8 * access->size) - 1);
}

#endif
