/*
 * The first instructions.
 *
 * The image starts with the header of an arm64 Linux `Image` (Linux: Documentation/arm64/booting.rst), so
 * whatever boots Linux boots Quoll: MMU off, x0 = physical address of the device tree, any 2 MiB-aligned
 * place. The image is linked at 0 as a position-independent executable and relocates itself.
 */

#define ELF64_RELA_SIZE 24
#define R_AARCH64_RELATIVE 1027
#define STACK_OFFSET (4096 + 16384) /* end of `stack` in struct core_stack */
/* SCTLR_EL2: RES1 bits; MMU and caches off, little-endian. */
#define SCTLR_EL2_OFF 0x30c50830
/* HCR_EL2: AArch64 below; E2H and TGE off, whatever ran here before. */
#define HCR_EL2_HIGH 0x8000
#define EL2 2

    .section .head, "ax"
    .global image_header
image_header:
    b       primary_entry
    .long   0
    .quad   0                       /* text_offset */
    .quad   image_end - . + 16      /* image_size: what the loader must leave free, bss included */
    .quad   0xa                     /* flags: little-endian, 4 KiB pages, anywhere in memory */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

primary_entry:
    msr     daifset, #15
    mov     x19, x0                 /* device tree */
    mrs     x20, CurrentEL
    lsr     x20, x20, #2
    cmp     x20, #EL2
    b.ne    1f
    movz    x1, #(SCTLR_EL2_OFF >> 16), lsl #16
    movk    x1, #(SCTLR_EL2_OFF & 0xffff)
    msr     sctlr_el2, x1
    movz    x1, #HCR_EL2_HIGH, lsl #16
    msr     hcr_el2, x1
    msr     tpidr_el2, xzr
    isb
    msr     spsel, #1

    /* Relocate: every entry is "add the place we are at". */
1:  adrp    x1, image_header
    add     x1, x1, :lo12:image_header
    adrp    x2, relocations_start
    add     x2, x2, :lo12:relocations_start
    adrp    x3, relocations_end
    add     x3, x3, :lo12:relocations_end
2:  cmp     x2, x3
    b.hs    3f
    ldp     x4, x5, [x2]            /* r_offset, r_info */
    ldr     x6, [x2, #16]           /* r_addend */
    add     x2, x2, #ELF64_RELA_SIZE
    cmp     w5, #R_AARCH64_RELATIVE
    b.ne    2b
    add     x6, x6, x1
    str     x6, [x1, x4]
    b       2b

    /* Clear bss. */
3:  adrp    x2, bss_start
    add     x2, x2, :lo12:bss_start
    adrp    x3, image_end
    add     x3, x3, :lo12:image_end
4:  stp     xzr, xzr, [x2], #16
    cmp     x2, x3
    b.lo    4b

    /* Written with caches off: no older line of the image may stay in a cache and win later. */
    dsb     sy
    mrs     x4, ctr_el0
    ubfx    x4, x4, #16, #4
    mov     x5, #4
    lsl     x4, x5, x4
    mov     x2, x1
5:  dc      ivac, x2
    add     x2, x2, x4
    cmp     x2, x3
    b.lo    5b
    dsb     sy

    adrp    x1, core_stacks
    add     x1, x1, :lo12:core_stacks
    add     sp, x1, #STACK_OFFSET
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    mov     x1, x20
    bl      boot_primary
    b       .

/* x0: struct core, whose first member is the end of its stack. */
    .global secondary_entry
secondary_entry:
    msr     daifset, #15
    movz    x1, #(SCTLR_EL2_OFF >> 16), lsl #16
    movk    x1, #(SCTLR_EL2_OFF & 0xffff)
    msr     sctlr_el2, x1
    movz    x1, #HCR_EL2_HIGH, lsl #16
    msr     hcr_el2, x1
    isb
    msr     spsel, #1
    ldr     x1, [x0]
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    bl      boot_secondary
    b       .
