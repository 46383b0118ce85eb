/* The list registers and controls of the virtual CPU interface (IHI 0069, 12.4). */
#ifndef LIST_REGISTERS_H
#define LIST_REGISTERS_H

#include "registers.h"

/* ICH_LR<n>_EL2 */
#define LIST_PENDING (UINT64_C(1) << 62)
#define LIST_ACTIVE (UINT64_C(2) << 62)
#define LIST_STATE (UINT64_C(3) << 62)
#define LIST_HARDWARE (UINT64_C(1) << 61) /* linked to a physical interrupt */
#define LIST_GROUP1 (UINT64_C(1) << 60)
#define LIST_PRIORITY(priority) ((uint64_t)(priority) << 48)
#define LIST_PRIORITY_OF(value) ((value) >> 48 & 0xff)
#define LIST_TELL_END (UINT64_C(1) << 41) /* maintenance interrupt at deactivation */
#define LIST_PHYSICAL_MASK 0x3ff
#define LIST_PHYSICAL(intid)                                                                       \
    ((uint64_t)(intid) << 32) /* overlaps LIST_TELL_END: one or the other */

#define ICH_HCR_ENABLE (UINT64_C(1) << 0)
#define ICH_HCR_UNDERFLOW (UINT64_C(1) << 1) /* maintenance interrupt when at most one is in use */
#define VTR_LIST_REGISTERS UINT64_C(0x1f)    /* their number, less one */

/* By encoding, since a register's number cannot be a variable: op2 is n % 8, CRm 12 or 13. */
#define EACH_LIST_REGISTER(LIST)                                                                   \
    LIST(0, S3_4_C12_C12_0)                                                                        \
    LIST(1, S3_4_C12_C12_1)                                                                        \
    LIST(2, S3_4_C12_C12_2)                                                                        \
    LIST(3, S3_4_C12_C12_3)                                                                        \
    LIST(4, S3_4_C12_C12_4)                                                                        \
    LIST(5, S3_4_C12_C12_5)                                                                        \
    LIST(6, S3_4_C12_C12_6)                                                                        \
    LIST(7, S3_4_C12_C12_7)                                                                        \
    LIST(8, S3_4_C12_C13_0)                                                                        \
    LIST(9, S3_4_C12_C13_1)                                                                        \
    LIST(10, S3_4_C12_C13_2)                                                                       \
    LIST(11, S3_4_C12_C13_3)                                                                       \
    LIST(12, S3_4_C12_C13_4)                                                                       \
    LIST(13, S3_4_C12_C13_5)                                                                       \
    LIST(14, S3_4_C12_C13_6)                                                                       \
    LIST(15, S3_4_C12_C13_7)

static inline uint64_t list_register_read(uint32_t number)
{
    switch (number) {
#define READ(n, name)                                                                              \
case n:                                                                                            \
    return read_register(name);
        EACH_LIST_REGISTER(READ)
#undef READ
    default:
        return 0;
    }
}

static inline void list_register_write(uint32_t number, uint64_t value)
{
    switch (number) {
#define WRITE(n, name)                                                                             \
case n:                                                                                            \
    write_register(name, value);                                                                   \
    break;
        EACH_LIST_REGISTER(WRITE)
#undef WRITE
    default:
        break;
    }
}

#endif
