/*
 * Runs the attacks that its command line names and prints for each
 *
 *     attack: begin NAME
 *     attack: NAME N attempts ok: what prevented them and how it showed
 *     attack: NAME N attempts HOLE: what got through, where, how often
 *
 * then "attack: done", and powers off. Words of the command line:
 *
 *     attacks=NAME,NAME,...   these, in this order; without it all
 *     shuffle                 in random order
 *     seed=N                  of everything random
 *     milliseconds=N          how long each attack lasts that has no end of its own
 *     wait=N                  milliseconds before the first one
 *     one-in=N                of long lists every N-th by chance
 */
#include "attack.h"
#include "say.h"

#define DEVICE_TREE_SPACE 0x10000u
#define CPACR_FP (3u << 20)

enum attack_number {
#define NUMBER(function, name) NUMBER_##function,
    ATTACKS(NUMBER)
#undef NUMBER
        ATTACK_COUNT
};

uint8_t scratch[65536] __attribute__((aligned(4096)));
uint64_t ram_size;

static uint64_t random_state = 1, lasting = 1000, sparse = 1;
static const char *command_line;
static char no_words[1];

/* ---- chance and time ---- */

uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

uint64_t random_value(void)
{
    switch (random_number() % 5) {
    case 0:
        return random_number() % 8;
    case 1:
        return (UINT64_C(1) << random_number() % 64) - random_number() % 2;
    case 2:
        return (uint64_t)scratch + random_number() % sizeof(scratch);
    case 3:
        return probe_address((uint32_t)(random_number() % (2 * probe_address_count())));
    default:
        return random_number();
    }
}

uint64_t attack_end(void)
{
    return counter() + lasting * MILLISECOND;
}

bool is_left_out(void)
{
    return random_number() % sparse != 0;
}

void spin_for(uint64_t ticks)
{
    uint64_t begin = counter();
    while (counter() - begin < ticks) {
    }
}

/* ---- outcome ---- */

void outcome_hole(struct outcome *outcome, const char *what, uint64_t where)
{
    if (outcome->holes++ == 0) {
        outcome->hole = what;
        outcome->where = where;
    }
}

void outcome_add(struct outcome *outcome, bool prevented, const char *hole, uint64_t where)
{
    outcome->attempts++;
    if (!prevented) {
        outcome_hole(outcome, hole, where);
    }
}

static void say_outcome(const char *name, const struct outcome *outcome)
{
    say("attack: ");
    say(name);
    say(" ");
    say_number(outcome->attempts);
    say(" attempts ");
    if (outcome->holes == 0) {
        say("ok: ");
        say(outcome->shows);
    } else {
        say("HOLE: ");
        say(outcome->hole);
        say(" at ");
        say_hexadecimal(outcome->where);
        say(", ");
        say_number(outcome->holes);
        say(" times");
    }
    say("\n");
}

/* ---- the command line ---- */

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool begins_with(const char *text, const char *word)
{
    while (*word != '\0') {
        if (*text++ != *word++) {
            return false;
        }
    }
    return true;
}

/* What the device tree says, found by its look: nothing else in it looks like these. */
static void read_device_tree(const uint8_t *tree)
{
    uint32_t size = big_endian(tree + 4);
    command_line = no_words;
    for (uint32_t at = 0; at + 16 <= size && size <= DEVICE_TREE_SPACE; at++) {
        if (begins_with((const char *)tree + at, "attack: ")) {
            command_line = (const char *)tree + at;
        }
        if (at % 4 == 0 && big_endian(tree + at) == 0 && big_endian(tree + at + 4) == RAM) {
            ram_size = (uint64_t)big_endian(tree + at + 8) << 32 | big_endian(tree + at + 12);
        }
    }
}

/* What follows a word of the command line; NULL: it is not there. */
static const char *find_word(const char *word)
{
    for (const char *at = command_line; *at != '\0'; at++) {
        if (at[0] == ' ' && begins_with(at + 1, word)) {
            for (at++; *word != '\0'; word++) {
                at++;
            }
            return at;
        }
    }
    return NULL;
}

static uint64_t find_number(const char *word, uint64_t otherwise)
{
    const char *at = find_word(word);
    uint64_t value = 0;
    if (at == NULL) {
        return otherwise;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    return value;
}

/* ---- running ---- */

/* What every attack finds, whatever the one before has left. */
static void set_up(void)
{
    __asm__ volatile("msr daifset, #0xf");
    write_system(cpacr_el1, CPACR_FP);
    write_system(vbar_el1, (uint64_t)attack_vectors);
    write_system(cntv_ctl_el0, 0);
    write_system(cntp_ctl_el0, 0);
    interrupts_start();
    timer_stays = false;
    sync();
}

static void execute(const char *name, void (*run)(struct outcome *))
{
    struct outcome outcome = {0};
    set_up();
    say("attack: begin ");
    say(name);
    say("\n");
    run(&outcome);
    helper_stop();
    set_up();
    say_outcome(name, &outcome);
}

static void execute_number(uint32_t number)
{
    switch (number) {
#define EXECUTE(function, name)                                                                    \
    case NUMBER_##function:                                                                        \
        execute(name, function);                                                                   \
        break;
        ATTACKS(EXECUTE)
#undef EXECUTE
    default:
        break;
    }
}

/* The attack that the text begins with the name of. */
static uint32_t find_attack(const char *text)
{
#define FIND(function, name)                                                                       \
    if (begins_with(text, name) && (text[sizeof(name) - 1] == ',' ||                               \
                                    text[sizeof(name) - 1] == ' ' || text[sizeof(name) - 1] == 0)) \
        return NUMBER_##function;
    ATTACKS(FIND)
#undef FIND
    return ATTACK_COUNT;
}

static uint32_t choose(uint8_t order[ATTACK_COUNT])
{
    const char *names = find_word("attacks=");
    uint32_t count = 0;
    if (names == NULL) {
        for (; count < ATTACK_COUNT; count++) {
            order[count] = (uint8_t)count;
        }
        return count;
    }
    while (count < ATTACK_COUNT) {
        order[count] = (uint8_t)find_attack(names);
        count += order[count] != ATTACK_COUNT;
        while (*names != ',' && *names != ' ' && *names != '\0') {
            names++;
        }
        if (*names != ',') {
            break;
        }
        names++;
    }
    return count;
}

static void shuffle(uint8_t *order, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)(random_number() % i);
        uint8_t last = order[i - 1];
        order[i - 1] = order[other];
        order[other] = last;
    }
}

void guest_main(uint64_t device_tree)
{
    uint8_t order[ATTACK_COUNT + 1];
    write_system(vbar_el1, (uint64_t)attack_vectors);
    registers_capture();
    read_device_tree((const uint8_t *)device_tree);
    random_state = find_number("seed=", 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    lasting = find_number("milliseconds=", 1000);
    sparse = find_number("one-in=", 1);
    uint32_t count = choose(order);
    if (find_word("shuffle") != NULL) {
        shuffle(order, count);
    }
    if (count != 0) {
        spin_for(find_number("wait=", 0) * MILLISECOND);
    }
    for (uint32_t i = 0; i < count; i++) {
        execute_number(order[i]);
    }
    say("attack: done\n");
    power_off();
}

/* The vectors of start.S, until set_up() has put others in their place. */
uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    return pc + 4;
}
