/*
 * The system calls as far as device models make any, for tests of one model at a time in one thread; and a
 * guest's memory. Tests of the whole component use the twin instead (test_vmm.c).
 */
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include "guest_ram.h"
#include "vgic.h"
#include <quoll/abi.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define RAM_BYTES (1u << 20)

struct fake {
    uint32_t pulses[512];   /* by INTID: interrupts latched */
    uint32_t looks;         /* "look at the vCPU" calls ... */
    uint32_t looked_at;     /* ... and the last one's vCPU */
    uint32_t signals;       /* to peers */
    uint64_t now;           /* system counter, 1 MHz */
    uint64_t (*wait)(void); /* NULL: nothing may wait */
    char log[4096];
};
extern struct fake fake;

extern struct guest_ram ram;
extern struct vgic vgic;
extern struct quoll_vm_interrupts interrupts;

/* cmocka setup: everything as new, `vcpu_count` 4. */
int fake_setup(void **state);

uint8_t *at(uint64_t address); /* in guest RAM */

#endif
