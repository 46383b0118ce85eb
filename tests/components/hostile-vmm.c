/*
 * A VMM that wants to break the kernel. It takes the real one's place, with the same environment.
 *
 *     thread 0   for a while writes random bits into its vCPUs' pages and the VM's interrupt page, while the guest runs
 *                on other cores, and makes random calls; then says what was tried and reports its VM off
 *     thread n   runs vCPU n - 1 with random registers, modes and requests, through guest memory full of
 *                random instructions, a millisecond at a time
 */
#include <quoll/life.h>
#include <quoll/quoll.h>
#include <string.h>

#define SECONDS 4u
#define GUEST_RAM 0x40000000ull
#define CODE_BYTES 65536u
#define MODES 32u

static struct quoll_vcpu_page *pages[QUOLL_MAX_VCPUS_PER_VM];
static struct quoll_vm_interrupts *interrupts;
static uint32_t *code;
static uint32_t vcpu_count;
static uint32_t started, over, ended; /* atomic; threads that have ended */
static uint32_t entries, refusals;    /* atomic */
static uint32_t exits[QUOLL_EXIT_COUNT + 1];

/* ---- Random things; each thread has a state of its own ---- */

static uint64_t random_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint32_t below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)((random_number(state) >> 20) % limit);
}

static uint64_t random_address(uint64_t *state)
{
    static const uint64_t bases[] = {GUEST_RAM,  GUEST_RAM, 0x08000000, 0x0a000050,
                                     0x09000000, 0,         1ull << 39};
    uint64_t base = bases[below(state, sizeof bases / sizeof bases[0])];
    return base + (random_number(state) & (CODE_BYTES - 1));
}

static uint64_t random_value(uint64_t *state)
{
    switch (below(state, 3)) {
    case 0:
        return below(state, 300);
    case 1:
        return random_address(state);
    default:
        return random_number(state);
    }
}

/* ---- The guest: instructions that lead to the kernel, among others ---- */

static uint32_t random_instruction(uint64_t *state)
{
    static const uint32_t fixed[] = {
        0xd4000002, /* hvc #0 */
        0xd4000003, /* smc #0 */
        0xd4000001, /* svc #0 */
        0xd503207f, /* wfi */
        0xd503205f, /* wfe */
        0xd69f03e0, /* eret */
        0xd50342ff, /* msr daifclr, #2 */
        0xd508871f, /* tlbi vmalle1 */
        0xd508751f, /* ic iallu */
        0x1e602000, /* fcmp d0, d0 */
        0xd5033fdf, /* isb */
    };
    uint32_t bits = (uint32_t)random_number(state);
    switch (below(state, 8)) {
    case 0:
        return fixed[below(state, sizeof fixed / sizeof fixed[0])];
    case 1:
        return 0xd5100000 | (bits & 0x2fffff); /* msr, mrs of any system register */
    case 2:
        return 0xd5080000 | (bits & 0x27ffff); /* sys, sysl */
    case 3:
        return 0xd51b0000 | (bits & 0x20ffff); /* EL0's system registers */
    case 4:
        return 0xd518c000 | (bits & 0x200fff); /* exceptions and the interrupt controller */
    case 5:
        return 0xb9000000 | (bits & 0xc04003ff); /* loads and stores, no offset */
    case 6:
        return 0xd2800000 | (bits & 0x1fffff); /* movz */
    default:
        return bits;
    }
}

/* Exceptions lead back into the code; x1: where to begin. */
static const uint32_t prologue[] = {
    0xd2a80000, /* mov x0, #0x40000000 */
    0xd518c000, /* msr vbar_el1, x0 */
    0xd61f0020, /* br x1 */
};

static void fill_guest(uint64_t *state)
{
    for (uint32_t i = 0; i < CODE_BYTES / 4; i++)
        code[i] = random_instruction(state);
    memcpy(code, prologue, sizeof prologue);
    for (uint64_t at = (uint64_t)code; at < (uint64_t)code + CODE_BYTES; at += 64)
        __asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0" : : "r"(at) : "memory");
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

/* ---- The vCPUs ---- */

static uint64_t random_pstate(uint64_t *state)
{
    static const uint64_t usual[] = {0x3c5, 0x5, 0x4, 0x0, 0x3c0, 0x10};
    switch (below(state, 4)) {
    case 0:
        return below(state, MODES); /* EL2, EL3 and AArch32 are among them */
    case 1:
        return random_number(state);
    default:
        return usual[below(state, sizeof usual / sizeof usual[0])];
    }
}

static void fill_page(uint64_t *state, struct quoll_vcpu_page *page)
{
    for (uint32_t i = 0; i < 31; i++)
        page->registers.x[i] = random_value(state);
    page->registers.sp = random_value(state);
    page->registers.pc = GUEST_RAM;
    page->registers.x[1] = GUEST_RAM + (random_number(state) & (CODE_BYTES - 4));
    if (below(state, 4) == 0)
        page->registers.pc = page->registers.x[1];
    page->registers.pstate = random_pstate(state);
    page->syndrome = random_number(state);
    page->virtual_address = random_value(state);
    page->mmio.value = random_number(state);
    page->request = below(state, 3) == 0 ? below(state, 16) : QUOLL_VCPU_RESET;
    if (below(state, 64) == 0)
        page->request = (uint32_t)random_number(state);
}

static void run_vcpu(uint64_t *state, uint32_t handle, struct quoll_vcpu_page *page)
{
    uint64_t signals;
    if (below(state, 4) != 0)
        fill_page(state, page);
    quoll_timer_set(quoll_now() + below(state, 60000));
    enum quoll_status status = quoll_vcpu_run(handle, &signals);
    if (status != QUOLL_OK && status != QUOLL_BAD_ARGUMENT)
        quoll_fail("vcpu_run answers %u", status);
    if (status != QUOLL_OK)
        __atomic_fetch_add(&refusals, 1, __ATOMIC_RELAXED);
    else if (signals == 0) {
        uint32_t reason = __atomic_load_n(&page->exit, __ATOMIC_RELAXED);
        reason = reason < QUOLL_EXIT_COUNT ? reason : QUOLL_EXIT_COUNT;
        __atomic_fetch_add(&exits[reason], 1, __ATOMIC_RELAXED);
    }
    __atomic_fetch_add(&entries, 1, __ATOMIC_RELAXED);
}

void component_thread(uint32_t number)
{
    uint64_t state = 0x9e3779b97f4a7c15 * (number + 1);
    while (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == 0)
        ;
    uint32_t handle = quoll_handle(quoll_numbered("vcpu", number - 1), QUOLL_OBJECT_VCPU);
    while (__atomic_load_n(&over, __ATOMIC_ACQUIRE) == 0)
        run_vcpu(&state, handle, pages[number - 1]);
    __atomic_fetch_add(&ended, 1, __ATOMIC_RELEASE);
}

/* ---- Meanwhile ---- */

/* Somewhere in the page, of every size of field. */
static void scribble(uint64_t *state, void *start, uint32_t size)
{
    uint8_t *at = (uint8_t *)start + (below(state, size) & ~7u);
    uint64_t value = random_value(state);
    memcpy(at, &value, 1u << below(state, 4));
}

static void change_page(uint64_t *state)
{
    struct quoll_vcpu_page *page = pages[below(state, vcpu_count)];
    switch (below(state, 4)) {
    case 0:
        __atomic_store_n(&page->registers.pstate, random_pstate(state), __ATOMIC_RELAXED);
        break;
    case 1:
        __atomic_store_n(&page->request, below(state, 16), __ATOMIC_RELAXED);
        break;
    case 2:
        scribble(state, page, sizeof *page);
        break;
    default:
        scribble(state, interrupts, sizeof *interrupts);
        break;
    }
}

static void call_randomly(uint64_t *state)
{
    uint64_t number = below(state, QUOLL_CALL_COUNT + 1);
    if (number == QUOLL_CALL_wait || number == QUOLL_CALL_debug_put)
        number = QUOLL_CALL_vcpu_irq;
    register uint64_t x8 __asm__("x8") = number;
    register uint64_t x0 __asm__("x0") = below(state, 24);
    register uint64_t x1 __asm__("x1") = below(state, 2) ? below(state, 4) : random_value(state);
    register uint64_t x2 __asm__("x2") =
        below(state, 8) == 0 ? QUOLL_VCPU_IRQ_LOOK : random_value(state);
    register uint64_t x3 __asm__("x3") = random_value(state);
    register uint64_t x4 __asm__("x4") = random_value(state);
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2)
                     : "r"(x8), "r"(x3), "r"(x4)
                     : "memory");
    if (x0 >= QUOLL_STATUS_COUNT)
        quoll_fail("call %lu answers %lu", (unsigned long)number, (unsigned long)x0);
}

static void open_all(void)
{
    while (quoll_find(QUOLL_ENVIRONMENT_MEMORY, quoll_numbered("vcpu", vcpu_count)) != NULL) {
        pages[vcpu_count] =
            quoll_memory(quoll_numbered("vcpu", vcpu_count), sizeof(struct quoll_vcpu_page));
        vcpu_count++;
    }
    interrupts = quoll_memory("interrupts", sizeof *interrupts);
    code = quoll_memory("guest-ram", CODE_BYTES);
}

static void report(void)
{
    struct vm_status *status = quoll_memory("status", sizeof *status);
    quoll_log("hostile: %u entries, %u refused", entries, refusals);
    for (uint32_t i = 0; i <= QUOLL_EXIT_COUNT; i++)
        quoll_log("hostile: exit %u: %u times", i, exits[i]);
    __atomic_store_n(&status->state, VM_OFF, __ATOMIC_RELEASE);
    quoll_signal(quoll_handle("supervisor", QUOLL_OBJECT_CHANNEL));
}

void component_main(void)
{
    uint64_t state = 0x2545f4914f6cdd1d;
    open_all();
    fill_guest(&state);
    __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
    uint64_t end = quoll_now() + SECONDS * quoll_frequency();
    for (uint32_t round = 0; quoll_now() < end; round++) {
        change_page(&state);
        call_randomly(&state);
        if (round % 4096 == 0)
            fill_guest(&state);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < vcpu_count)
        ;
    report();
}
