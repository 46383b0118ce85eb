/* The second CPU: does one job until it is told to stop. */
#include "attack.h"

#define PSCI_CPU_ON 0xc4000003UL
#define PSCI_CPU_OFF 0x84000002UL
#define ALREADY_ON (-4)           /* on its way out */
#define START_MILLISECONDS 20000u /* the host may be busy with other things */

static volatile bool present, asked;
static volatile enum helper_job wanted, doing;

static void one_turn(enum helper_job job)
{
    uint64_t value = random_number();
    switch (job) {
    case HELPER_SGI_STORM:
        write_system(S3_0_C12_C11_5, value); /* ICC_SGI1R_EL1 */
        write_system(S3_0_C12_C11_5, UINT64_C(1) << 40 | (value & 0xf) << 24);
        break;
    case HELPER_CHANGE_SCRATCH:
        for (uint32_t i = 0; i < 64; i++) {
            value = value * 6364136223846793005 + 1442695040888963407;
            *(volatile uint16_t *)(scratch + (value >> 32) % (sizeof(scratch) - 1) / 2 * 2) =
                (uint16_t)(value >> 48);
        }
        break;
    case HELPER_OFF:
        asked = false; /* first: who sees that it is not present may ask for it */
        present = false;
        firmware(PSCI_CPU_OFF, 0, 0, 0);
        break;
    case HELPER_CALLS:
        firmware(0xc6000000 | (uint32_t)value, value, value, value);
        break;
    default:
        spin_for(MILLISECOND / 10);
        break;
    }
}

void cpu_main(uint64_t cpu)
{
    __asm__ volatile("msr daifset, #0xf");
    present = true;
    for (;;) {
        doing = wanted;
        one_turn(doing);
    }
}

static bool start(void)
{
    bool there = __atomic_load_n(
        &present, __ATOMIC_ACQUIRE); /* before `asked`: it takes them back in the other order */
    if (asked) {
        return there;
    }
    uint64_t end = counter() + START_MILLISECONDS * MILLISECOND;
    int32_t answer;
    asked = true;
    wanted = HELPER_NONE; /* or it would go off again at once */
    do {
        answer = (int32_t)firmware(PSCI_CPU_ON, 1, (uint64_t)cpu_entry, 1);
    } while (answer == ALREADY_ON && counter() < end);
    if (answer != 0) {
        asked = false; /* it can be asked again */
        return false;
    }
    while (!present && counter() < end) {
    }
    return present;
}

bool helper_start(enum helper_job job)
{
    if (!start()) {
        return false;
    }
    wanted = job;
    while (present && doing != job) {
    }
    return true;
}

void helper_stop(void)
{
    wanted = HELPER_NONE;
    while (present && doing != HELPER_NONE) {
    }
}
