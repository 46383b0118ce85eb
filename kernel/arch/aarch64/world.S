/* FP and SIMD state to and from struct fp_registers (world.h). x0: the structure. */
    .arch armv8-a+fp+simd

    .macro each_pair operation
    \operation q0,  q1,  [x0, #0]
    \operation q2,  q3,  [x0, #32]
    \operation q4,  q5,  [x0, #64]
    \operation q6,  q7,  [x0, #96]
    \operation q8,  q9,  [x0, #128]
    \operation q10, q11, [x0, #160]
    \operation q12, q13, [x0, #192]
    \operation q14, q15, [x0, #224]
    \operation q16, q17, [x0, #256]
    \operation q18, q19, [x0, #288]
    \operation q20, q21, [x0, #320]
    \operation q22, q23, [x0, #352]
    \operation q24, q25, [x0, #384]
    \operation q26, q27, [x0, #416]
    \operation q28, q29, [x0, #448]
    \operation q30, q31, [x0, #480]
    .endm

    .section .text.fp_save, "ax", %progbits
    .global fp_save
    .type fp_save, %function
fp_save:
    each_pair stp
    mrs  x1, fpcr
    mrs  x2, fpsr
    add  x0, x0, #512
    stp  x1, x2, [x0]
    ret
    .size fp_save, . - fp_save

    .section .text.fp_load, "ax", %progbits
    .global fp_load
    .type fp_load, %function
fp_load:
    each_pair ldp
    add  x0, x0, #512
    ldp  x1, x2, [x0]
    msr  fpcr, x1
    msr  fpsr, x2
    ret
    .size fp_load, . - fp_load

    .section .note.GNU-stack, "", %progbits
