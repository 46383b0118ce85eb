/*
 * An interrupt line of the machine that tells of the loss of mains, without anything behind it that would have to be
 * programmed: a comparator on the supply, a microcontroller, a UPS contact wired to the interrupt controller. The device tree
 * says where it is.
 *
 * The line is level-triggered and asserted as long as the mains are lost. Its interrupt stays active until it is
 * acknowledged, and arrives again at once when the line is still asserted then; so the driver acknowledges it once in a while
 * and sees by what follows whether the mains are back:
 *
 *     THERE ---interrupt---> LOST ---LOOK_NS later: acknowledge---> LOOKING ---interrupt---> LOST
 *                                                                      |
 *                                                    THERE <---none within LOOK_NS
 *
 * The loss is told at once, the return up to 2 * LOOK_NS late.
 */
#include <quoll/power.h>
#include <quoll/quoll.h>

#define LOOK_NS UINT64_C(20000000)

enum state { THERE, LOST, LOOKING };

static struct {
    enum state state;
    struct power_source *power;
    uint32_t irq, mains;
} line;

static void look_later(enum state state)
{
    line.state = state;
    (void)quoll_timer_set(quoll_now() + quoll_ticks_from_ns(LOOK_NS));
}

static void asserted(void)
{
    if (line.state == THERE)
        power_tell(line.power, line.mains, true);
    look_later(LOST);
}

static void look(void)
{
    if (line.state == LOST) {
        look_later(LOOKING);
        quoll_irq_ack(line.irq);
    } else if (line.state == LOOKING) {
        line.state = THERE;
        power_tell(line.power, line.mains, false);
    }
}

void component_main(void)
{
    line.power = quoll_memory("power", sizeof *line.power);
    line.irq = quoll_handle("interrupt", QUOLL_OBJECT_IRQ);
    line.mains = quoll_handle("mains", QUOLL_OBJECT_CHANNEL);
    uint64_t interrupt = quoll_receive("interrupt");
    if (power_is_lost(line.power)) /* this driver was restarted meanwhile */
        look_later(LOST);
    for (;;) {
        uint64_t signals = quoll_wait();
        if ((signals & interrupt) != 0)
            asserted();
        else if ((signals & QUOLL_SIGNAL_TIMER) != 0)
            look();
    }
}
