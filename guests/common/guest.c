/* See guest.h. */
#include "guest.h"

#define PL011_FR (PL011 + 0x18)
#define PL011_FR_TXFF (1u << 5)
#define PSCI_SYSTEM_OFF 0x84000008UL

void *memset(void *destination, int value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((volatile uint8_t *)destination)[i] = (uint8_t)value;
    }
    return destination;
}

void *memcpy(void *destination, const void *source, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((volatile uint8_t *)destination)[i] = ((const uint8_t *)source)[i];
    }
    return destination;
}

void put(char c)
{
    while ((read32(PL011_FR) & PL011_FR_TXFF) != 0) {
    }
    write32(PL011, (uint8_t)c);
}

void print(const char *text)
{
    while (*text != '\0') {
        if (*text == '\n') {
            put('\r');
        }
        put(*text++);
    }
}

void print_number(uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0) {
        put(digits[--count]);
    }
}

uint64_t firmware(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;
    __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
    return x0;
}

_Noreturn void power_off(void)
{
    for (;;) {
        firmware(PSCI_SYSTEM_OFF, 0, 0, 0);
    }
}
