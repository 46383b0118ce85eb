/* What bare guests share: console, time, firmware calls, raw device access. The machine is QEMU's virt. */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PL011 0x09000000UL
#define GIC_DISTRIBUTOR 0x08000000UL
#define GIC_REDISTRIBUTOR 0x080a0000UL
#define VIRTIO_MMIO 0x0a000000UL

void guest_main(uint64_t device_tree);
/* An exception of vector `kind` at `pc`: returns where to go on. */
uint64_t guest_exception(uint64_t kind, uint64_t pc);

void *memset(void *destination, int value, size_t size);
void *memcpy(void *destination, const void *source, size_t size);

void put(char c);
void print(const char *text);
void print_number(uint64_t value);

/* PSCI and any other SMCCC function by HVC. */
uint64_t firmware(uint64_t function, uint64_t a, uint64_t b, uint64_t c);
_Noreturn void power_off(void);

static inline uint64_t counter(void)
{
    uint64_t value;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value)::"memory");
    return value;
}

static inline uint64_t counter_frequency(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(value));
    return value;
}

/* Single accesses of exactly this size, in a form whose syndrome is decodable. */
static inline uint32_t read32(uint64_t address)
{
    uint32_t value;
    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void write32(uint64_t address, uint32_t value)
{
    __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

#endif
