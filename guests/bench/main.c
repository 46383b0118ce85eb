/*
 * What is measured is said on the command line: "bench:MODE", or "bench:MODE:START:LENGTH" with times in milliseconds of
 * the counter. One line per result, "bench NAME TICKS ROUNDS", and a last line "bench: done".
 *
 *     micro      traps, interrupts of this CPU and between CPUs     devices   what a device thread on another core does
 *     onecore    the same by one on this core, of lower priority
 *     pager      a VMM's paging and injection, by a VMM made for it
 *     disk       block requests                                     scale     exits of all CPUs, START and LENGTH
 *     ack        until a disk answers writes, alone and in batches
 *     watch, neighbour, and with floating point watchfp, neighbourfp          START and LENGTH
 */
#include "bench.h"

#define RESULTS_MAX 64
#define TREE_SIZE 4 /* bytes; offset of totalsize in a device tree's header */
#define MODE_MAX 16

static struct {
    const char *name;
    uint64_t ticks, rounds;
} results[RESULTS_MAX];
static uint32_t result_count;

static char mode[MODE_MAX];
static uint64_t times[2]; /* START and LENGTH in ticks */

uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    if (kind % 4 == 1) {
        interrupt_serve();
        return pc;
    }
    print("bench: exception ");
    print_number(kind);
    print(" at ");
    print_number(pc);
    print("\n");
    power_off();
}

void result(const char *name, uint64_t ticks, uint64_t rounds)
{
    if (result_count < RESULTS_MAX) {
        results[result_count].name = name;
        results[result_count].ticks = ticks;
        results[result_count].rounds = rounds;
        result_count++;
    }
}

static void print_results(void)
{
    for (uint32_t i = 0; i < result_count; i++) {
        print("bench ");
        print(results[i].name);
        print(" ");
        print_number(results[i].ticks);
        print(" ");
        print_number(results[i].rounds);
        print("\n");
    }
    print("bench: done\n");
}

static bool is_mode(const char *name)
{
    uint32_t i = 0;
    while (name[i] != '\0' && name[i] == mode[i]) {
        i++;
    }
    return name[i] == mode[i];
}

/* The words behind "bench:" up to the end of the command line. */
static void read_words(const volatile uint8_t *text)
{
    uint32_t length = 0;
    while (*text >= 'a' && *text <= 'z' && length < MODE_MAX - 1) {
        mode[length++] = (char)*text++;
    }
    for (uint32_t i = 0; i < 2 && *text == ':'; i++) {
        uint64_t milliseconds = 0;
        text++;
        while (*text >= '0' && *text <= '9') {
            milliseconds = milliseconds * 10 + (uint64_t)(*text++ - '0');
        }
        times[i] = ticks_from_us(milliseconds * 1000);
    }
}

/* The command line is somewhere in the device tree; there is nothing else in it that begins with these letters. */
static void find_words(uint64_t device_tree)
{
    static const char wanted[] = "bench:";
    const volatile uint8_t *tree = (const volatile uint8_t *)device_tree;
    uint32_t size = (uint32_t)tree[TREE_SIZE] << 24 | (uint32_t)tree[TREE_SIZE + 1] << 16 |
                    (uint32_t)tree[TREE_SIZE + 2] << 8 | tree[TREE_SIZE + 3];
    for (uint32_t at = 0; at + sizeof(wanted) < size; at++) {
        uint32_t i = 0;
        while (i < sizeof(wanted) - 1 && tree[at + i] == (uint8_t)wanted[i]) {
            i++;
        }
        if (i == sizeof(wanted) - 1) {
            read_words(tree + at + i);
            return;
        }
    }
}

void guest_main(uint64_t device_tree)
{
    find_words(device_tree);
    interrupts_start();
    interrupts_on();
    uint32_t cpus = cpus_start();
    sleep_until(counter() + ticks_from_us(20000)); /* whoever started us is at rest */
    if (is_mode("micro")) {
        measure_traps();
        measure_interrupts(cpus);
    } else if (is_mode("devices")) {
        measure_devices();
        measure_entropy_device();
    } else if (is_mode("onecore")) {
        measure_one_core();
    } else if (is_mode("pager")) {
        measure_pager();
        measure_injection();
    } else if (is_mode("disk")) {
        measure_disks();
    } else if (is_mode("ack")) {
        measure_acknowledgement();
    } else if (is_mode("scale")) {
        scale(cpus, times[0], times[1]);
    } else if (is_mode("watch") || is_mode("watchfp")) {
        watch(times[0], times[1], is_mode("watchfp"));
    } else if (is_mode("neighbour") || is_mode("neighbourfp")) {
        neighbour(times[0], times[1], is_mode("neighbourfp"));
    } else {
        print("bench: what is to be measured? Say bench:micro on the command line\n");
    }
    print_results();
    power_off();
}
