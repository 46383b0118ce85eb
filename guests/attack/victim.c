/*
 * The victim: a VM that shares core and disk with an attacker and tells, about five times a second, how it fares. In each round it
 *
 *     fills all registers, floating point included, with values of its own and later looks whether they still are;
 *     counts turns of a loop, and how long it was once away from the core;
 *     sleeps until a timer interrupt, and how late that came;
 *     writes a sector to its disk, flushes, reads it back, and how long that took;
 *     looks through its memory, which holds a pattern.
 *
 *     victim: round N turns T away A us timer L us disk D us whole
 *     victim: round N HARMED: what, a number
 *
 * It never ends by itself.
 */
#include "attack.h"
#include "say.h"
#include "state.h"
#include "virtio.h"

#define PATTERN_BYTES 0x400000u
#define ROUND_MILLISECONDS 120u
#define SLEEP_MILLISECONDS 5u
#define DISK_BYTES 4096u
#define TIMER_ON 1

static uint64_t pattern[PATTERN_BYTES / 8] __attribute__((aligned(4096)));
static uint8_t block[DISK_BYTES] __attribute__((aligned(4096)));
static struct queue queue __attribute__((aligned(4096)));
static struct virtio disk;

struct round {
    uint64_t number, turns, away, late, disk;
    const char *harm;
    uint64_t detail;
};

/* What the shared parts ask for and a victim does not do. */
void cpu_main(uint64_t cpu) {}
uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    return pc + 4;
}

static void harm(struct round *round, const char *what, uint64_t detail)
{
    if (round->harm == NULL) {
        round->harm = what;
        round->detail = detail;
    }
}

static uint64_t pattern_of(uint64_t index)
{
    return (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void check_memory(struct round *round)
{
    for (uint64_t i = 0; i < PATTERN_BYTES / 8; i++) {
        if (pattern[i] != pattern_of(i)) {
            harm(round, "memory changed", i * 8);
            pattern[i] = pattern_of(i);
        }
    }
}

/* Turns of a loop for a while; the longest time between two turns is time that somebody else had. */
static void check_share(struct round *round)
{
    uint64_t begin = counter(), last = begin;
    while (last - begin < ROUND_MILLISECONDS * MILLISECOND) {
        uint64_t now = counter();
        round->away = now - last > round->away ? now - last : round->away;
        last = now;
        round->turns++;
    }
}

static void check_timer(struct round *round)
{
    interrupts_start();
    write32(gic_own_frame() + ISENABLER, 1u << INTID_TIMER);
    uint32_t before = taken[INTID_TIMER];
    uint64_t due = counter() + SLEEP_MILLISECONDS * MILLISECOND;
    write_system(cntv_cval_el0, due);
    write_system(cntv_ctl_el0, TIMER_ON);
    sync();
    while (taken[INTID_TIMER] == before && counter() < due + counter_frequency()) {
        __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" ::: "memory");
    }
    uint64_t now = counter();
    round->late = now > due ? now - due : 0;
    if (taken[INTID_TIMER] != before + 1 || now < due) {
        harm(round, "the timer interrupt did not come", taken[INTID_TIMER] - before);
    }
    write_system(cntv_ctl_el0, 0);
}

static void check_disk(struct round *round)
{
    uint64_t *words = (uint64_t *)(void *)block, begin = counter();
    uint64_t sector = round->number * 8 % (block_sectors(disk.slot) - 8);
    for (uint32_t i = 0; i < DISK_BYTES / 8; i++) {
        words[i] = pattern_of(round->number + i);
    }
    uint8_t wrote = block_request(&disk, BLOCK_OUT, sector, block, DISK_BYTES);
    uint8_t flushed = block_request(&disk, BLOCK_FLUSH, 0, block, 0);
    for (uint32_t i = 0; i < DISK_BYTES / 8; i++) {
        words[i] = 0;
    }
    uint8_t read = block_request(&disk, BLOCK_IN, sector, block, DISK_BYTES);
    round->disk = counter() - begin;
    if (wrote != BLOCK_OK || read != BLOCK_OK ||
        (flushed != BLOCK_OK && flushed != BLOCK_UNSUPPORTED)) {
        harm(round, "the disk answered an error (write, flush, read)",
             (uint64_t)wrote << 16 | (uint64_t)flushed << 8 | read);
    }
    for (uint32_t i = 0; i < DISK_BYTES / 8; i++) {
        if (words[i] != pattern_of(round->number + i)) {
            harm(round, "the disk gave something else back", sector);
        }
    }
}

static void say_part(const char *name, uint64_t ticks)
{
    say(name);
    say_number(ticks * 1000000 / counter_frequency());
    say(" us");
}

static void report(const struct round *round)
{
    say("victim: round ");
    say_number(round->number);
    if (round->harm != NULL) {
        say(" HARMED: ");
        say(round->harm);
        say(", ");
        say_number(round->detail);
        say("\n");
        return;
    }
    say(" turns ");
    say_number(round->turns);
    say_part(" away ", round->away);
    say_part(" timer ", round->late);
    say_part(" disk ", round->disk);
    say(" whole\n");
}

static void check_exceptions(struct round *round, uint64_t before)
{
    if (caught[0].count != before) {
        harm(round, "an exception that it did not cause", caught[0].syndrome);
    }
}

static void one_round(struct round *round)
{
    uint64_t seed = pattern_of(round->number) | 1;
    uint32_t first = 0;
    state_hold(seed); /* causes exceptions of its own */
    fp_fill(seed);
    uint64_t caught_before = caught[0].count;
    check_share(round);
    uint64_t wrong = fp_wrong(seed);
    if (wrong != 0) {
        harm(round, "floating-point registers changed", wrong);
    }
    if (state_changed(&first) != 0) {
        harm(round, "a register changed (op0:op1:CRn:CRm:op2 in bits)", first);
    }
    check_exceptions(round, caught_before);
    state_release();
    caught_before = caught[0].count;
    write_system(fpcr, 0);
    check_timer(round);
    check_disk(round);
    check_memory(round);
    check_exceptions(round, caught_before);
}

void guest_main(uint64_t device_tree)
{
    write_system(vbar_el1, (uint64_t)attack_vectors);
    interrupts_start();
    virtio_start(&disk, virtio_find(VIRTIO_BLOCK), 0, &queue);
    for (uint64_t i = 0; i < PATTERN_BYTES / 8; i++) {
        pattern[i] = pattern_of(i);
    }
    state_hold(1); /* the first time takes long: it looks for all registers that there are */
    state_release();
    say("victim: begins\n");
    for (uint64_t number = 0;; number++) {
        struct round round = {.number = number};
        one_round(&round);
        report(&round);
    }
}
