/*
 * A guest that measures how much of a core it gets: the number of turns of a fixed loop in each second
 * of the counter, for five seconds, then powers off. Compared with the same run alone on the core.
 */
#include "guest.h"

#define SECONDS 5
#define TURNS_PER_LOOK 2000

uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    return pc + 4;
}

static void turn(void)
{
    for (uint32_t i = 0; i < TURNS_PER_LOOK; i++) {
        __asm__ volatile("");
    }
}

void guest_main(uint64_t device_tree)
{
    uint64_t total = 0;
    uint64_t start = counter();
    for (uint64_t second = 1; second <= SECONDS; second++) {
        uint64_t turns = 0;
        while (counter() - start < second * counter_frequency()) {
            turn();
            turns++;
        }
        total += turns;
        print("worker: ");
        print_number(turns);
        print(" turns\n");
    }
    print("worker: total ");
    print_number(total);
    print("\n");
    power_off();
}
