    .arch armv8-a+fp+simd

/* Where PSCI starts a secondary CPU: x0 is its number. It has a stack of 4 KiB and the vectors in `cpu_vectors`. When
 * cpu_main returns, it sleeps between interrupts. */
    .global cpu_entry
    .hidden cpu_entry
cpu_entry:
    adrp    x1, cpu_stacks
    add     x1, x1, :lo12:cpu_stacks
    add     x2, x0, #1
    add     x1, x1, x2, lsl #12
    mov     sp, x1
    adrp    x1, cpu_vectors
    ldr     x1, [x1, :lo12:cpu_vectors]
    msr     vbar_el1, x1
    mov     x1, #(3 << 20)
    msr     cpacr_el1, x1
    isb
    bl      cpu_main
1:  wfi
    b       1b

    .bss
    .balign 4096
cpu_stacks:
    .skip   8 * 4096
