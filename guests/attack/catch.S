/*
 * Exceptions of the attack guest: everything is stored as struct frame (attack.h) on the stack, attack_exception() may change it, and
 * what it left is resumed. And three ways down and up: EL0 and back, a call with chosen registers, the second CPU.
 */
#define FRAME_SIZE 288
#define FRAME_PC 248

.macro vector number
    .balign 128
    sub     sp, sp, #FRAME_SIZE
    stp     x0, x1, [sp, #0]
    mov     x0, #\number
    b       common_exception
.endm

    .text
    .balign 2048
    .global attack_vectors
attack_vectors:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vector \n
    .endr

common_exception:
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
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    mrs     x3, sp_el0
    stp     x30, x1,  [sp, #FRAME_PC - 8]
    stp     x2,  x3,  [sp, #FRAME_PC + 8]
    mov     x1, sp
    bl      attack_exception
    ldp     x30, x1,  [sp, #FRAME_PC - 8]
    ldp     x2,  x3,  [sp, #FRAME_PC + 8]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    msr     sp_el0, x3
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
    add     sp, sp, #FRAME_SIZE
    eret

.macro push_callee_saved
    stp     x29, x30, [sp, #-96]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
.endm

.macro pop_callee_saved
    ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #96
.endm

/* uint64_t el0_run(uint64_t entry, uint64_t argument) */
    .global el0_run
el0_run:
    push_callee_saved
    msr     elr_el1, x0
    adrp    x2, el0_pstate
    ldr     x2, [x2, :lo12:el0_pstate]
    msr     spsr_el1, x2
    adrp    x2, el0_stack_top
    add     x2, x2, :lo12:el0_stack_top
    msr     sp_el0, x2
    mov     x0, x1
    eret
    .global el0_returned            /* where attack_exception() sends its SVC #0x7fff */
el0_returned:
    pop_callee_saved
    ret

/* void call_with(uint64_t stub, uint64_t x[18]) */
    .global call_with
call_with:
    push_callee_saved
    mov     x19, x1
    mov     x20, x0
    ldp     x0,  x1,  [x19, #0]
    ldp     x2,  x3,  [x19, #16]
    ldp     x4,  x5,  [x19, #32]
    ldp     x6,  x7,  [x19, #48]
    ldp     x8,  x9,  [x19, #64]
    ldp     x10, x11, [x19, #80]
    ldp     x12, x13, [x19, #96]
    ldp     x14, x15, [x19, #112]
    ldp     x16, x17, [x19, #128]
    blr     x20
    stp     x0,  x1,  [x19, #0]
    stp     x2,  x3,  [x19, #16]
    stp     x4,  x5,  [x19, #32]
    stp     x6,  x7,  [x19, #48]
    stp     x8,  x9,  [x19, #64]
    stp     x10, x11, [x19, #80]
    stp     x12, x13, [x19, #96]
    stp     x14, x15, [x19, #112]
    stp     x16, x17, [x19, #128]
    pop_callee_saved
    ret

/* Where PSCI starts CPU 1: x0 is its number. */
    .global cpu_entry
cpu_entry:
    adrp    x1, cpu_stack_top
    add     x1, x1, :lo12:cpu_stack_top
    mov     sp, x1
    adrp    x1, attack_vectors
    add     x1, x1, :lo12:attack_vectors
    msr     vbar_el1, x1
    mov     x1, #(3 << 20)
    msr     cpacr_el1, x1
    isb
    bl      cpu_main
1:  wfi
    b       1b

    .bss
    .balign 4096
    .skip   8192
cpu_stack_top:
    .skip   4096
el0_stack_top:
