/*
 * Start of a bare guest: the header of an arm64 Linux Image (Documentation/arch/arm64/booting.rst), then EL1
 * with MMU off, a stack, cleared bss, exception vectors that call guest_exception().
 */
    .section .text.head, "ax"
    .global image_header
image_header:
    b       start
    .long   0
    .quad   0                       /* text_offset: from a 2 MiB boundary */
    .quad   image_size
    .quad   0xa                     /* little-endian, 4 KiB pages, anywhere in memory */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

start:
    mov     x19, x0                 /* the device tree */
    adrp    x1, stack_top
    add     x1, x1, :lo12:stack_top
    mov     sp, x1
    adrp    x1, guest_vectors
    add     x1, x1, :lo12:guest_vectors
    msr     vbar_el1, x1
    mov     x1, #(3 << 20)          /* CPACR_EL1.FPEN: no traps */
    msr     cpacr_el1, x1
    isb
    adrp    x1, bss_start
    add     x1, x1, :lo12:bss_start
    adrp    x2, bss_end
    add     x2, x2, :lo12:bss_end
1:  cmp     x1, x2
    b.hs    2f
    stp     xzr, xzr, [x1], #16
    b       1b
2:  mov     x0, x19
    bl      guest_main
3:  wfi
    b       3b

/* guest_exception(kind, pc) returns the address to go on at. kind: vector number 0..15. */
.macro vector number
    .balign 128
    sub     sp, sp, #192
    stp     x0, x1, [sp, #0]
    mov     x0, #\number
    b       common_vector
.endm

    .text
    .balign 2048
guest_vectors:
    vector 0
    vector 1
    vector 2
    vector 3
    vector 4
    vector 5
    vector 6
    vector 7
    vector 8
    vector 9
    vector 10
    vector 11
    vector 12
    vector 13
    vector 14
    vector 15

common_vector:
    stp     x2,  x3,  [sp, #16]
    stp     x4,  x5,  [sp, #32]
    stp     x6,  x7,  [sp, #48]
    stp     x8,  x9,  [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x29, [sp, #144]
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x30, x2,  [sp, #160]
    bl      guest_exception
    ldp     x30, x2,  [sp, #160]
    msr     elr_el1, x0
    msr     spsr_el1, x2
    ldp     x18, x29, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8,  x9,  [sp, #64]
    ldp     x6,  x7,  [sp, #48]
    ldp     x4,  x5,  [sp, #32]
    ldp     x2,  x3,  [sp, #16]
    ldp     x0,  x1,  [sp, #0]
    add     sp, sp, #192
    eret
