/* The syndrome of a guest's abort, decoded (Arm ARM D17.2.37, ISS of a Data Abort). Pure. */
#ifndef DATA_ABORT_H
#define DATA_ABORT_H

#include <stdbool.h>
#include <stdint.h>

enum abort_kind {
    ABORT_UNMAPPED, /* stage 2 has no translation */
    ABORT_RIGHTS,   /* it has one, with other rights */
    ABORT_OTHER,    /* external abort, unsupported atomic, ...: not stage 2's doing */
};
enum abort_kind abort_classify(uint64_t syndrome);
/* The abort came from a walk of the guest's own tables. */
bool abort_in_table_walk(uint64_t syndrome);

/* One load or store of one general register. */
struct guest_access {
    bool write;
    uint8_t size; /* 1, 2, 4 or 8 bytes */
    uint8_t reg;  /* 31: zero register */
    bool sign;    /* sign-extend what is loaded */
    bool wide;    /* the register is 64 bits wide */
};
/* false: the syndrome does not describe the access. */
bool data_abort_decode(uint64_t syndrome, struct guest_access *access);

/* What a load leaves in its register. */
uint64_t guest_access_loaded(const struct guest_access *access, uint64_t value);
/* What a store writes, of its register's content. */
uint64_t guest_access_stored(const struct guest_access *access, uint64_t content);

#endif
