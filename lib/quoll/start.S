/*
 * Where every thread of a component begins: the kernel has set sp to the top of the thread's own
 * stack, x0 to the thread's number and x1 to the environment. The frame pointer and the link register are zero,
 * so that a walk over the frames ends here.
 */
    .section .text.start, "ax"
    .global _start
    .type _start, %function
_start:
    mov     x29, xzr
    mov     x30, xzr
    mov     x2, sp
    bl      component_start
    brk     #0
    .size _start, . - _start

    .section .note.GNU-stack, "", %progbits
