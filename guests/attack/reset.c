/* Resets itself as soon as it runs, again and again; after some it says how often it was there. The count is in memory that a reset leaves. */
#include "attack.h"

#define MAGIC 0x7265736574636f75UL
#define TELL_EVERY 8u

uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    return pc + 4;
}

void guest_main(uint64_t device_tree)
{
    /* Between the guest's image and its device tree: not loaded anew. */
    volatile uint64_t *kept = (volatile uint64_t *)(RAM + 0x400000);
    kept[1] = kept[0] == MAGIC ? kept[1] + 1 : 1;
    kept[0] = MAGIC;
    if (kept[1] % TELL_EVERY == 0) {
        print("reset: ");
        print_number(kept[1]);
        print(" times\n");
    }
    for (;;) {
        firmware(0x84000009, 0, 0, 0);
    }
}
