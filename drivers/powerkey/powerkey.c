/*
 * Driver of a line of an Arm PL061 GPIO controller (DDI 0190) that tells of the mains. It is one of two kinds:
 *
 *   a key    QEMU's virt machine pulses one on system_powerdown. Each rising edge turns the state: the first says that the
 *            mains are lost, the second that they are back. A key that is held down at the start counts as pressed.
 *   a level  a power supply's PWR_OK or a UPS's relay contact: the mains are lost as long as the line has the configured
 *            level. Both edges interrupt; what counts is the level afterwards, so a line that bounces does no harm.
 */
#include <quoll/config.h>
#include <quoll/power.h>
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

static struct {
    volatile uint8_t *registers;
    uint32_t mask; /* the line's bit */
    enum powerkey_kind kind;
    bool lost;
} line;

static uint32_t register_read(uint32_t offset)
{
    return *(volatile uint32_t *)(line.registers + offset);
}

static void register_write(uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(line.registers + offset) = value;
}

static void change(enum pl061_register offset, bool set)
{
    uint32_t value = register_read(offset);
    register_write(offset, set ? value | line.mask : value & ~line.mask);
}

/* DDI 0190 section 3.2.1: mask, configure, clear, unmask, so that configuring raises nothing. */
static void arm_line(void)
{
    register_write(GPIOIE, 0);
    change(GPIODIR, false);
    change(GPIOIS, false);
    change(GPIOIBE, line.kind != POWERKEY_KEY);
    change(GPIOIEV, true);
    register_write(GPIOIC, line.mask);
    register_write(GPIOIE, line.mask);
}

static bool line_is_high(void)
{
    return register_read(GPIODATA + (line.mask << 2)) != 0;
}

/* Whether an edge has come; clears it. */
static bool take_edge(void)
{
    if ((register_read(GPIORIS) & line.mask) == 0)
        return false;
    register_write(GPIOIC, line.mask);
    return true;
}

/* After an edge, or at the start. */
static bool is_lost_now(bool edge)
{
    switch (line.kind) {
    case POWERKEY_HIGH:
        return line_is_high();
    case POWERKEY_LOW:
        return !line_is_high();
    case POWERKEY_KEY:
        break;
    }
    return edge ? !line.lost : line_is_high();
}

static void start(const struct powerkey_config *config)
{
    if (config->line >= LINES)
        quoll_fail("GPIO line %u does not exist: lines are 0 to %u", config->line, LINES - 1);
    if (config->kind > POWERKEY_LOW)
        quoll_fail("config: a GPIO line of kind %u does not exist", config->kind);
    line.mask = 1u << config->line;
    line.kind = (enum powerkey_kind)config->kind;
    line.registers = quoll_memory("registers", REGISTERS_SIZE);
    arm_line();
    line.lost = is_lost_now(false);
}

void component_main(void)
{
    start(quoll_memory("config", sizeof(struct powerkey_config)));
    struct power_source *power = quoll_memory("power", sizeof *power);
    uint32_t irq = quoll_handle("interrupt", QUOLL_OBJECT_IRQ);
    uint32_t mains = quoll_handle("mains", QUOLL_OBJECT_CHANNEL);
    power_tell(power, mains, line.lost);
    for (;;) {
        quoll_wait();
        if (take_edge()) {
            line.lost = is_lost_now(true);
            power_tell(power, mains, line.lost);
        }
        quoll_irq_ack(irq);
    }
}
