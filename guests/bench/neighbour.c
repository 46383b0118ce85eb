/*
 * The world switch. Two VMs with one CPU each share a core. One sleeps, and wakes by its timer for a moment; the other
 * never sleeps and measures how long it is away: an interrupt, the switch to the sleeper, what the sleeper does (in
 * micro.c: "interrupt_turn"), its WFI, and the switch back.
 */
#include "bench.h"

#define PERIOD_US 100
#define AWAY 10 /* ticks; an undisturbed turn of the watching loop takes one or two */

void neighbour(uint64_t start, uint64_t length, bool floating_point)
{
    uint64_t due = start;
    interrupts_off();
    while (due < start + length) {
        timer_start(due);
        wait_for_interrupt(); /* ends although the interrupt is masked */
        interrupts_on();
        interrupts_off();
        if (floating_point) {
            use_floating_point();
        }
        due += ticks_from_us(PERIOD_US);
    }
}

void watch(uint64_t start, uint64_t length, bool floating_point)
{
    uint64_t away = 0;
    uint64_t margin = length / 10; /* what starts and ends at the edges is left out */
    sleep_until(start + margin);
    uint64_t last = counter();
    while (last < start + length - margin) {
        if (floating_point) {
            use_floating_point();
        }
        uint64_t now = counter();
        if (now - last > AWAY) {
            away += now - last - 1;
        }
        last = now;
    }
    sleep_until(start + 2 * length);
    result(floating_point ? "world_switch_fp" : "world_switch", away,
           2 * (length - 2 * margin) / ticks_from_us(PERIOD_US));
}
