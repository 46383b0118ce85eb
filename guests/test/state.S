/*
 * State that a world switch must carry: each register gets seed + a number of its own, and is compared
 * with that later. With the MMU off, the translation registers are free to hold anything; bits that are
 * reserved stay out of it. No stack.
 */
    .arch armv8-a+fp+simd

/* EACH name, number */
.macro each_register operation
    \operation ttbr0_el1,      1, 0xfff0
    \operation ttbr1_el1,      2, 0xfff0
    \operation mair_el1,       3, 0xffff
    \operation contextidr_el1, 4, 0xffff
    \operation tpidr_el0,      5, 0xffff
    \operation tpidrro_el0,    6, 0xffff
    \operation tpidr_el1,      7, 0xffff
    \operation par_el1,        8, 0xf000
    \operation far_el1,        9, 0xffff
    \operation esr_el1,       10, 0xffff
    \operation elr_el1,       11, 0xfffc
    \operation cntv_cval_el0, 12, 0xffff
.endm

.macro fill name, number, mask
    add     x2, x0, #(\number * 64)
    mov     x3, #\mask
    and     x2, x2, x3
    msr     \name, x2
.endm

.macro compare name, number, mask
    add     x2, x0, #(\number * 64)
    mov     x3, #\mask
    and     x2, x2, x3
    mrs     x4, \name
    and     x4, x4, x3
    cmp     x2, x4
    cinc    x1, x1, ne
.endm

    .text
    .global state_fill
state_fill:
    each_register fill
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add     x2, x0, #(\n + 1)
    dup     v\n\().2d, x2
    .endr
    mov     x2, #0x02000000         /* FPCR.DN */
    msr     fpcr, x2
    and     x2, x0, #0xf
    msr     fpsr, x2
    isb
    ret

    .global state_wrong
state_wrong:
    mov     x1, #0
    each_register compare
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add     x2, x0, #(\n + 1)
    mov     x3, v\n\().d[0]
    mov     x4, v\n\().d[1]
    cmp     x2, x3
    ccmp    x2, x4, #0, eq
    cinc    x1, x1, ne
    .endr
    mrs     x2, fpcr
    mov     x3, #0x02000000
    cmp     x2, x3
    cinc    x1, x1, ne
    and     x2, x0, #0xf
    mrs     x3, fpsr
    and     x3, x3, #0xf
    cmp     x2, x3
    cinc    x1, x1, ne
    mov     x0, x1
    ret

.macro each_key operation
    \operation S3_0_C2_C1_0,  21, 0xffff
    \operation S3_0_C2_C1_1,  22, 0xffff
    \operation S3_0_C2_C1_2,  23, 0xffff
    \operation S3_0_C2_C1_3,  24, 0xffff
    \operation S3_0_C2_C2_0,  25, 0xffff
    \operation S3_0_C2_C2_1,  26, 0xffff
    \operation S3_0_C2_C2_2,  27, 0xffff
    \operation S3_0_C2_C2_3,  28, 0xffff
    \operation S3_0_C2_C3_0,  29, 0xffff
    \operation S3_0_C2_C3_1,  30, 0xffff
.endm

    .global state_fill_keys
state_fill_keys:
    each_key fill
    ret

    .global state_wrong_keys
state_wrong_keys:
    mov     x1, #0
    each_key compare
    mov     x0, x1
    ret
