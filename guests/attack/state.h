/* See state.c. Register numbers are op0:op1:CRn:CRm:op2 in bits, as in the instruction. */
#ifndef ATTACK_STATE_H
#define ATTACK_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define REGISTER_NUMBER(op0, op1, crn, crm, op2)                                                   \
    ((uint32_t)(op0) << 14 | (uint32_t)(op1) << 11 | (uint32_t)(crn) << 7 | (uint32_t)(crm) << 3 | \
     (uint32_t)(op2))
#define FIRST_NUMBER REGISTER_NUMBER(2, 0, 0, 0, 0)
#define LAST_NUMBER REGISTER_NUMBER(3, 7, 15, 15, 7)
#define NUMBER_OP0(number) ((number) >> 14 & 3)
#define NUMBER_OP1(number) ((number) >> 11 & 7)
#define NUMBER_CRN(number) ((number) >> 7 & 15)
#define NUMBER_CRM(number) ((number) >> 3 & 15)
#define HYPERVISOR_OP1 4u /* and above: EL2's and EL3's */

#pragma GCC visibility push(hidden)

/* False: an exception, and the value is CANARY. */
bool register_read(uint32_t number, uint64_t *value);
bool register_write(uint32_t number, uint64_t value);

/* Fills every register that can be read with values made of `seed`; returns how many there are. */
uint32_t state_hold(uint64_t seed);
/* How many differ from what they held when last looked at, and the first of them. */
uint32_t state_changed(uint32_t *first);
/* Switches off what it may have switched on. */
void state_release(void);

void fp_fill(uint64_t seed);
/* How many of V0 to V31, FPCR and FPSR are not what fp_fill made them. */
uint64_t fp_wrong(uint64_t seed);

#pragma GCC visibility pop

#endif
