/*
 * The PL031 model; the contract is in pl031.h. The alarm is checked when the guest looks, not at its
 * time: Linux uses it for wake-up from suspend only.
 */
#include "pl031.h"
#include <quoll/quoll.h>

enum pl031_register {
    RTCDR = 0x00,
    RTCMR = 0x04,
    RTCLR = 0x08,
    RTCCR = 0x0c,
    RTCIMSC = 0x10,
    RTCRIS = 0x14,
    RTCMIS = 0x18,
    RTCICR = 0x1c,
    RTC_IDENTIFICATION = 0xfe0,
};

static uint32_t seconds(const struct pl031 *clock)
{
    return (uint32_t)(clock->offset + quoll_now() / quoll_frequency());
}

static uint32_t read_register(const struct pl031 *clock, uint64_t offset)
{
    static const uint8_t identification[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    if (offset >= RTC_IDENTIFICATION && offset % 4 == 0)
        return identification[(offset - RTC_IDENTIFICATION) / 4];
    switch (offset) {
    case RTCDR:
        return seconds(clock);
    case RTCMR:
        return clock->match;
    case RTCLR:
        return clock->load;
    case RTCCR:
        return 1;
    case RTCIMSC:
        return clock->mask;
    case RTCRIS:
        return clock->raw;
    case RTCMIS:
        return clock->raw & clock->mask;
    default:
        return 0;
    }
}

static void write_register(struct pl031 *clock, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case RTCMR:
        clock->match = value;
        break;
    case RTCLR:
        clock->load = value;
        clock->offset = value - quoll_now() / quoll_frequency();
        break;
    case RTCIMSC:
        clock->mask = value & 1;
        break;
    case RTCICR:
        clock->raw &= ~(value & 1);
        break;
    default:
        break;
    }
}

void pl031_access(struct pl031 *clock, struct access *access)
{
    if (clock->match != 0 && seconds(clock) == clock->match)
        clock->raw = 1;
    if (access->write)
        write_register(clock, access->address, (uint32_t)access->value);
    else
        access->value = read_register(clock, access->address);
    vgic_level(clock->vgic, VIRT_SPI(VIRT_PL031_SPI), (clock->raw & clock->mask) != 0);
}

void pl031_reset(struct pl031 *clock)
{
    clock->load = clock->match = clock->mask = clock->raw = 0;
}

void pl031_start(struct pl031 *clock, struct vgic *vgic, uint64_t boot_time)
{
    clock->vgic = vgic;
    clock->offset = boot_time;
    pl031_reset(clock);
}

void pl031_describe(struct tree *tree, uint32_t clock)
{
    tree_node(tree, "pl031@9010000");
    tree_strings(tree, "compatible", "arm,pl031\0arm,primecell", 2);
    tree_reg(tree, VIRT_PL031, VIRT_DEVICE_SIZE);
    tree_interrupt(tree, TREE_SPI, VIRT_PL031_SPI, TREE_LEVEL_HIGH);
    tree_cells(tree, "clocks", &clock, 1);
    tree_strings(tree, "clock-names", "apb_pclk", 1);
    tree_end(tree);
}
