/*
 * The way into EL2 and out of it; see trap.h for what SP_EL2 and TPIDR_EL2 hold below EL2.
 *
 * The offsets are those of struct quoll_registers and struct core, asserted in trap.c.
 */

#define REGISTERS_X30 240
#define REGISTERS_PC 256
#define CORE_STACK 0
#define CORE_PANIC_STACK 8
#define PANIC_STACK_SIZE 4096

/* What a vCPU page with any other value gets: EL1h, interrupts masked. */
#define SAFE_PSTATE 0x3c5

.macro save_registers
    stp     x0,  x1,  [sp, #0]
    stp     x2,  x3,  [sp, #16]
    stp     x4,  x5,  [sp, #32]
    stp     x6,  x7,  [sp, #48]
    stp     x8,  x9,  [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
.endm

/* From a lower exception level: to the core's stack, then to the handler. */
.macro from_below handler
    .balign 128
    save_registers
    mrs     x1, sp_el0
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x30, x1, [sp, #REGISTERS_X30]
    stp     x2, x3, [sp, #REGISTERS_PC]
    mrs     x0, tpidr_el2
    ldr     x4, [x0, #CORE_STACK]
    mrs     x1, esr_el2
    mov     sp, x4
    bl      \handler
    b       resume
.endm

/* From EL2 itself: always a mistake of the kernel's. The ordinary stack may be what failed, so the registers go to
 * the start of the core's panic stack. SP_EL0 was saved on entry and serves as scratch. */
.macro from_kernel number
    .balign 128
    msr     sp_el0, x0
    mrs     x0, tpidr_el2
    cbz     x0, 1f
    ldr     x0, [x0, #CORE_PANIC_STACK]
    cbnz    x0, 2f
1:  adrp    x0, boot_panic_stack     /* this core does not know itself yet */
    add     x0, x0, :lo12:boot_panic_stack
2:  str     x1, [x0, #8]
    mov     x1, #\number
    b       kernel_exception
.endm

    .section .text.vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    from_kernel 0
    from_kernel 1
    from_kernel 2
    from_kernel 3
    from_kernel 4
    from_kernel 5
    from_kernel 6
    from_kernel 7
    from_below trap_sync
    from_below trap_interrupt
    from_below trap_interrupt
    from_below trap_system_error
    from_below trap_sync
    from_below trap_interrupt
    from_below trap_interrupt
    from_below trap_system_error

/* x0: the registers to go on with. They may lie in a page that a VMM can write at any time, so
 * the mode is checked on the very value that is used. */
    .global resume
    .type resume, %function
resume:
    mov     sp, x0
    ldp     x2, x3, [sp, #REGISTERS_PC]
    adrp    x5, allowed_modes
    ldr     x5, [x5, :lo12:allowed_modes]
    lsr     x5, x5, x3              /* by bits 5:0 of SPSR_EL2, see trap.c */
    tbz     x5, #0, 2f
1:  msr     elr_el2, x2
    msr     spsr_el2, x3
    ldp     x30, x1,  [sp, #REGISTERS_X30]
    msr     sp_el0, x1
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8,  x9,  [sp, #64]
    ldp     x6,  x7,  [sp, #48]
    ldp     x4,  x5,  [sp, #32]
    ldp     x2,  x3,  [sp, #16]
    ldp     x0,  x1,  [sp, #0]
    eret
2:  mov     x3, #SAFE_PSTATE
    b       1b

/* x0: the panic stack, x1: which vector; the interrupted x0 is in SP_EL0, x1 in its place. */
kernel_exception:
    stp     x2,  x3,  [x0, #16]
    stp     x4,  x5,  [x0, #32]
    stp     x6,  x7,  [x0, #48]
    stp     x8,  x9,  [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    mrs     x2, sp_el0
    mov     x3, sp
    str     x2, [x0, #0]
    stp     x30, x3,  [x0, #REGISTERS_X30]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3,  [x0, #REGISTERS_PC]
    add     sp, x0, #PANIC_STACK_SIZE
    b       trap_kernel

    .bss
    .balign 16
boot_panic_stack:
    .skip   PANIC_STACK_SIZE
