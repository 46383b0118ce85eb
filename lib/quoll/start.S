/*
 * Where every thread of a component begins, and begins anew after a restart: the kernel has set sp to the top of the
 * thread's own stack, x0 to the thread's number, x1 to the environment and x2 to 0, or to the life that a restart begins. The frame pointer and the link register are zero,
 * so that a walk over the frames ends here.
 */
    .section .text.start, "ax"
    .global _start
    .type _start, %function
_start:
    mov     x29, xzr
    mov     x30, xzr
    mov     x3, sp
    bl      component_start
    brk     #0
    .size _start, . - _start

    .section .note.GNU-stack, "", %progbits
