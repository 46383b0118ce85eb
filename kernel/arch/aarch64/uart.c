/* The early console; see uart.h. */
#include "uart.h"
#include "arch.h"

enum { PL011_DR = 0x00, PL011_FR = 0x18, PL011_CR = 0x30 };
#define FR_TXFF UINT32_C(0x20)
#define CR_UARTEN_TXE UINT32_C(0x101)

/* A UART that never has room must not stop the kernel. */
#define ATTEMPTS 1000000

static uintptr_t base;
static bool stuck; /* it had no room for so long, and has had none since */

static volatile uint32_t *uart_register(uintptr_t offset)
{
    return (volatile uint32_t *)(base + offset);
}

void uart_use(uint64_t address)
{
    base = address;
    if ((*uart_register(PL011_CR) & CR_UARTEN_TXE) != CR_UARTEN_TXE)
        *uart_register(PL011_CR) |= CR_UARTEN_TXE;
}

void arch_early_putc(char c)
{
    if (base == 0)
        return;
    uint32_t left = __atomic_load_n(&stuck, __ATOMIC_RELAXED) ? 1 : ATTEMPTS;
    while (left > 0 && (*uart_register(PL011_FR) & FR_TXFF))
        left--;
    __atomic_store_n(&stuck, left == 0, __ATOMIC_RELAXED);
    *uart_register(PL011_DR) = (uint8_t)c;
}
