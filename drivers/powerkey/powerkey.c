/*
 * Driver of a key on an Arm PL061 GPIO controller (DDI 0190) that tells of the loss of mains: QEMU's virt machine pulses it on
 * system_powerdown, a power supply's PWR_OK or a UPS contact can be wired in the same way. A rising edge of the configured
 * line raises the channel "mains". A line that is already high when the driver starts counts as an edge.
 */
#include <quoll/config.h>
#include <quoll/quoll.h>

enum pl061_register {
    GPIODATA = 0x000, /* address bits 9:2 select the lines that are read or written */
    GPIODIR = 0x400,  /* 0: input */
    GPIOIS = 0x404,   /* 0: edge */
    GPIOIBE = 0x408,  /* 0: the edge that GPIOIEV says */
    GPIOIEV = 0x40c,  /* 1: rising */
    GPIOIE = 0x410,
    GPIORIS = 0x414,
    GPIOIC = 0x41c,
};

#define REGISTERS_SIZE 0x1000
#define LINES 8

static volatile uint8_t *registers;

static uint32_t register_read(uint32_t offset)
{
    return *(volatile uint32_t *)(registers + offset);
}

static void register_write(uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(registers + offset) = value;
}

static void change(enum pl061_register offset, uint32_t line, bool set)
{
    uint32_t value = register_read(offset);
    register_write(offset, set ? value | line : value & ~line);
}

/* DDI 0190 section 3.2.1: mask, configure, clear, unmask, so that configuring raises nothing. */
static void arm_line(uint32_t line)
{
    register_write(GPIOIE, 0);
    change(GPIODIR, line, false);
    change(GPIOIS, line, false);
    change(GPIOIBE, line, false);
    change(GPIOIEV, line, true);
    register_write(GPIOIC, line);
    register_write(GPIOIE, line);
}

static bool line_is_high(uint32_t line)
{
    return register_read(GPIODATA + (line << 2)) != 0;
}

/* Whether the edge has come; clears it. */
static bool take_edge(uint32_t line)
{
    if ((register_read(GPIORIS) & line) == 0)
        return false;
    register_write(GPIOIC, line);
    return true;
}

void component_main(void)
{
    const struct powerkey_config *config = quoll_memory("config", sizeof *config);
    if (config->line >= LINES)
        quoll_fail("GPIO line %u does not exist: lines are 0 to %u", config->line, LINES - 1);
    uint32_t line = 1u << config->line;
    registers = quoll_memory("registers", REGISTERS_SIZE);
    uint32_t irq = quoll_handle("interrupt", QUOLL_OBJECT_IRQ);
    uint32_t mains = quoll_handle("mains", QUOLL_OBJECT_CHANNEL);
    arm_line(line);
    if (line_is_high(line))
        quoll_signal(mains);
    for (;;) {
        quoll_wait();
        if (take_edge(line))
            quoll_signal(mains);
        quoll_irq_ack(irq);
    }
}
