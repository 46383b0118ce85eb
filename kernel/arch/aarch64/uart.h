/* The early console: a PL011 (Arm DDI 0183) that firmware has set up, polled. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

/* Before this, arch_early_putc() prints nothing. */
void uart_use(uint64_t base);

#endif
