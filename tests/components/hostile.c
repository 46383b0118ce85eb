/*
 * Components that misbehave; the name that the system description gives an instance decides how.
 *
 *     storm0, storm1 make random system calls, with random and nearly right arguments, and check every answer, their
 *                    memory and registers; say in shared memory "board" how far they are
 *     witness        counts turns of a timer until both storms are done, then powers the machine off
 *     pulse0, ...    count turns of a timer, and say so now and then, for good
 *     spin, victim   never call
 *     others         commit the one fault they are named after (FAULTS), which must stop that instance, and nothing else
 */
#include <quoll/quoll.h>
#include <string.h>

#define ROUNDS 60000u
#define STORMS 2u

/* Shared by the storms and the witness, who trusts none of it. */
struct board {
    uint32_t rounds[STORMS];
};

/* ---- One call, with everything that it must not change looked at ---- */

struct call_frame {
    uint64_t number;
    uint64_t argument[5];
    uint64_t status; /* x0 afterwards */
    uint64_t seed;   /* x3..x7 but the arguments and x9..x28 hold seed + register number */
    uint64_t damage; /* bit n: xn has changed */
};

/* checked_call(frame) */
__asm__(".text\n"
        ".type checked_call, %function\n"
        "checked_call:\n"
        "    stp x29, x30, [sp, #-112]!\n"
        "    stp x19, x20, [sp, #16]\n"
        "    stp x21, x22, [sp, #32]\n"
        "    stp x23, x24, [sp, #48]\n"
        "    stp x25, x26, [sp, #64]\n"
        "    stp x27, x28, [sp, #80]\n"
        "    str x0, [sp, #96]\n"
        "    ldr x9, [x0, #56]\n"
        ".irp n,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
        "    add x\\n, x9, #\\n\n"
        ".endr\n"
        "    add x5, x9, #5\n"
        "    add x6, x9, #6\n"
        "    add x7, x9, #7\n"
        "    ldr x8, [x0, #0]\n"
        "    ldp x1, x2, [x0, #16]\n"
        "    ldp x3, x4, [x0, #32]\n"
        "    ldr x0, [x0, #8]\n"
        "    svc #0\n"
        "    ldr x1, [sp, #96]\n"
        "    str x0, [x1, #48]\n"
        "    mov x2, xzr\n"
        "    ldr x0, [x1, #56]\n"
        ".irp n,5,6,7,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
        "    sub x\\n, x\\n, #\\n\n"
        "    cmp x\\n, x0\n"
        "    cset x\\n, ne\n"
        "    orr x2, x2, x\\n, lsl #\\n\n"
        ".endr\n"
        "    cmp x9, x0\n"
        "    cset x9, ne\n"
        "    orr x2, x2, x9, lsl #9\n"
        "    ldr x9, [x1, #0]\n"
        "    cmp x8, x9\n"
        "    cset x8, ne\n"
        "    orr x2, x2, x8, lsl #8\n"
        "    ldp x9, x10, [x1, #32]\n"
        "    cmp x3, x9\n"
        "    cset x3, ne\n"
        "    orr x2, x2, x3, lsl #3\n"
        "    cmp x4, x10\n"
        "    cset x4, ne\n"
        "    orr x2, x2, x4, lsl #4\n"
        "    str x2, [x1, #64]\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x25, x26, [sp, #64]\n"
        "    ldp x27, x28, [sp, #80]\n"
        "    ldp x29, x30, [sp], #112\n"
        "    ret\n"
        ".size checked_call, . - checked_call\n");
void checked_call(struct call_frame *frame);
_Static_assert(offsetof(struct call_frame, damage) == 64, "checked_call knows the layout");

/* ---- Random calls ---- */

static uint64_t random_state;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint32_t random_below(uint32_t limit)
{
    return (uint32_t)((random_number() >> 20) % limit);
}

static uint64_t random_argument(void)
{
    static const uint64_t edges[] = {0,          1,          31,         32,         33,
                                     287,        288,        4095,       4096,       UINT32_MAX,
                                     1u << 31,   UINT64_MAX, 1ull << 63, 1ull << 32, 0x40000000,
                                     0x7fffffff, 1ull << 39, 1ull << 48};
    switch (random_below(4)) {
    case 0:
        return random_below(64);
    case 1:
        return edges[random_below(sizeof(edges) / sizeof(edges[0]))];
    case 2:
        return random_number();
    default:
        return random_below(16) * QUOLL_PAGE_SIZE | random_below(16);
    }
}

/* What would block for good, or fill the log, is made less likely or shorter. */
static void choose(struct call_frame *frame)
{
    frame->seed = random_number();
    frame->number = random_below(16) == 0 ? random_argument() : random_below(QUOLL_CALL_COUNT + 1);
    frame->argument[0] = random_below(8) == 0 ? random_argument() : random_below(24);
    for (uint32_t i = 1; i < 5; i++)
        frame->argument[i] = random_argument();
    if (frame->number == QUOLL_CALL_wait)
        quoll_timer_set(quoll_now() + random_below(2000));
    if (frame->number == QUOLL_CALL_debug_put && frame->argument[0] <= 32 && random_below(64) != 0)
        frame->argument[0] = 33 + random_below(1000);
}

static uint8_t memory[32768];

static uint8_t pattern(uint32_t i)
{
    return (uint8_t)(i * 31 + (i >> 8));
}

static bool memory_is_intact(void)
{
    for (uint32_t i = 0; i < sizeof memory; i++)
        if (memory[i] != pattern(i))
            return false;
    return true;
}

static void storm(uint32_t number)
{
    struct board *board = quoll_memory("board", sizeof(struct board));
    uint64_t answers[QUOLL_STATUS_COUNT] = {0};
    random_state = 0x9e3779b97f4a7c15 + number;
    for (uint32_t i = 0; i < sizeof memory; i++)
        memory[i] = pattern(i);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct call_frame frame;
        choose(&frame);
        checked_call(&frame);
        if (frame.status >= QUOLL_STATUS_COUNT)
            quoll_fail("call %lu answers %lu", (unsigned long)frame.number,
                       (unsigned long)frame.status);
        if (frame.damage != 0)
            quoll_fail("call %lu changed registers %lx", (unsigned long)frame.number,
                       (unsigned long)frame.damage);
        if (round % 4096 == 0 && !memory_is_intact())
            quoll_fail("call %lu changed memory", (unsigned long)frame.number);
        answers[frame.status]++;
        __atomic_store_n(&board->rounds[number], round + 1, __ATOMIC_RELEASE);
    }
    for (uint32_t i = 0; i < QUOLL_STATUS_COUNT; i++)
        quoll_log("status %u: %lu times", i, (unsigned long)answers[i]);
    quoll_log("registers and memory are intact after %u calls", ROUNDS);
}

/* ---- The witness ---- */

static bool storms_done(const struct board *board)
{
    for (uint32_t i = 0; i < STORMS; i++)
        if (__atomic_load_n(&board->rounds[i], __ATOMIC_ACQUIRE) < ROUNDS)
            return false;
    return true;
}

static void wait_until(uint64_t deadline)
{
    quoll_timer_set(deadline);
    while (!(quoll_wait() & QUOLL_SIGNAL_TIMER))
        ;
}

static void witness(void)
{
    const struct board *board = quoll_memory("board", sizeof(struct board));
    uint32_t turns = 0;
    uint64_t next = quoll_now();
    while (turns < 100 || (turns < 6000 && !storms_done(board))) {
        next += quoll_ticks_from_ns(10000000);
        wait_until(next);
        turns++;
    }
    quoll_log("witness: %u turns, storms %s", turns, storms_done(board) ? "done" : "not done");
    quoll_machine_control(quoll_handle("machine", QUOLL_OBJECT_MACHINE), QUOLL_MACHINE_OFF);
}

static void pulse(void)
{
    uint64_t next = quoll_now();
    for (uint32_t turns = 1;; turns++) {
        next += quoll_ticks_from_ns(10000000);
        wait_until(next);
        if (turns % 50 == 0)
            quoll_log("turn <%u>", turns);
    }
}

/* ---- Faults ---- */

static uint32_t code[] = {0xd65f03c0}; /* ret */

static void read_at(uint64_t address)
{
    (void)*(volatile uint32_t *)address;
}

static void write_at(uint64_t address)
{
    *(volatile uint32_t *)address = 1;
}

static void execute_at(uint64_t address)
{
    __asm__ volatile("br %0" : : "r"(address));
}

/* Writes downwards, page by page, from the stack that it is on. */
static void grow_stack(void)
{
    uint64_t address = (uint64_t)__builtin_frame_address(0) & ~(QUOLL_PAGE_SIZE - 1);
    for (;; address -= QUOLL_PAGE_SIZE)
        write_at(address);
}

#define ASM(text) __asm__ volatile(text ::: "memory", "x0")

/* FAULT(name of the component, what it does) */
#define FAULTS(FAULT)                                                                              \
    FAULT("null-read", read_at(0))                                                                 \
    FAULT("null-write", write_at(0))                                                               \
    FAULT("null-call", execute_at(0))                                                              \
    FAULT("write-text", write_at((uint64_t)component_main))                                        \
    FAULT("write-const", write_at((uint64_t) "constant"))                                          \
    FAULT("write-envir", write_at(QUOLL_ENVIRONMENT_ADDRESS))                                      \
    FAULT("run-data", execute_at((uint64_t)code))                                                  \
    FAULT("read-kernel", read_at(0x40200000))                                                      \
    FAULT("read-gic", read_at(0x08000000))                                                         \
    FAULT("read-high", read_at(0xffff000000080000))                                                \
    FAULT("read-beyond", read_at(1ull << 39))                                                      \
    FAULT("unaligned", ASM("adr x0, .\n\tadd x0, sp, #1\n\tldaxr x0, [x0]"))                       \
    FAULT("undefined", ASM(".inst 0"))                                                             \
    FAULT("float", ASM(".inst 0x1e602000")) /* fcmp d0, d0 */                                      \
    FAULT("write-vbar", ASM("msr vbar_el1, x0"))                                                   \
    FAULT("write-hcr", ASM("msr hcr_el2, x0"))                                                     \
    FAULT("write-icc", ASM("msr s3_0_c12_c11_5, x0")) /* ICC_SGI1R_EL1 */                          \
    FAULT("write-timer", ASM("msr cntp_ctl_el0, x0"))                                              \
    FAULT("mask-irqs", ASM("msr daifset, #15"))                                                    \
    FAULT("smc", ASM("smc #0"))                                                                    \
    FAULT("hvc", ASM("hvc #0"))                                                                    \
    FAULT("eret", ASM(".inst 0xd69f03e0"))                                                         \
    FAULT("stack", grow_stack())                                                                   \
    FAULT("tlbi", ASM("tlbi vmalle1"))                                                             \
    FAULT("brk", ASM("brk #1"))                                                                    \
    FAULT("bad-pc", execute_at((uint64_t)component_main | 2))

static bool is_named(const char *name)
{
    return strcmp(quoll_environment()->component, name) == 0;
}

static void commit_fault(void)
{
#define FAULT(name, action)                                                                        \
    if (is_named(name))                                                                            \
        action;
    FAULTS(FAULT)
#undef FAULT
    quoll_log("nothing stopped %s", quoll_environment()->component);
}

static void spin(void)
{
    for (;;)
        __asm__ volatile("");
}

void component_main(void)
{
    if (is_named("witness"))
        witness();
    else if (strncmp(quoll_environment()->component, "pulse", 5) == 0)
        pulse();
    else if (is_named("storm0"))
        storm(0);
    else if (is_named("storm1"))
        storm(1);
    else if (is_named("spin") || is_named("victim"))
        spin();
    else
        commit_fault();
}
