/*
 * A QEMU plugin that writes down what the machine executes while a guest waits for its disk: each address, in each
 * phase, on each CPU. Under -icount one thread runs all CPUs, so plain counters do. Made for short runs: every instruction calls.
 *
 *     -plugin path.so,out=FILE,memory=BYTES
 *
 * The benchmark guest (guests/bench/acknowledge.c) marks the phases by instructions that do nothing ("movz xzr, #(0x7100 + N)"): 3 its
 * notification, 4 interrupt taken, 5 interrupt served, 6 all answered, and 16 and up: another series begins, 2: the last one
 * ends. FILE gets, with guest = the instruction was in the guest's memory:
 *
 *     series N
 *     round                                     one for each mark 6, of what was executed since mark 3
 *     at PHASE CPU ADDRESS COUNT                PHASE: the mark that began it
 *     exits PHASE CPU COUNT                     how often the guest was left
 *     code ADDRESS VIRTUAL WORD GUEST           at the end, all that was named
 *
 * ADDRESS is the host's, so the same virtual address of two components is two; the mapping is linear. BYTES is the
 * guest's memory, which begins where its physical address 0x40000000 is; its MMU is off.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t,
                                                            struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *),
                                    void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
                                            void (*callback)(unsigned, void *),
                                            enum qemu_plugin_cb_flags flags, void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv);

#define MARK_MASK 0xffffe01fu
#define MARK (0xd280001fu | 0x7100u << 5) /* movz xzr, #0x7100..0x71ff */
#define MARK_NUMBER(word) ((word) >> 5 & 0xff)
#define GUEST_RAM 0x40000000u

#define CPUS 8u
#define BUCKETS 65536u

enum { MARK_END = 2, MARK_NOTIFY, MARK_TAKEN, MARK_SERVED, MARK_ANSWERED, MARK_SERIES = 16 };
#define PHASES (MARK_SERVED - MARK_NOTIFY + 1)

struct place {
    struct place *next;
    uint64_t address, virtual;
    uint32_t word;
    bool named;
    uint32_t count[PHASES][CPUS];
};

static struct place *places[BUCKETS];
static uint32_t exits[PHASES][CPUS];
static bool in_guest[CPUS];
static unsigned phase = PHASES;    /* PHASES: none */
static bool wanted;                /* a series goes on */
static uint64_t guest, guest_size; /* 0: not known yet */
static FILE *out;

static bool is_guest(const struct place *place)
{
    return guest != 0 && place->address - guest < guest_size;
}

/* ---- What is executed ---- */

static void forget_round(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct place *place = places[i]; place != NULL; place = place->next)
            memset(place->count, 0, sizeof place->count);
    memset(exits, 0, sizeof exits);
}

static void write_round(void)
{
    fprintf(out, "round\n");
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct place *place = places[i]; place != NULL; place = place->next)
            for (unsigned at = 0; at < PHASES; at++)
                for (unsigned cpu = 0; cpu < CPUS; cpu++)
                    if (place->count[at][cpu] != 0) {
                        place->named = true;
                        fprintf(out, "at %u %u %" PRIx64 " %u\n", at + MARK_NOTIFY, cpu,
                                place->address, place->count[at][cpu]);
                    }
    for (unsigned at = 0; at < PHASES; at++)
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            if (exits[at][cpu] != 0)
                fprintf(out, "exits %u %u %u\n", at + MARK_NOTIFY, cpu, exits[at][cpu]);
}

static void pass(unsigned mark)
{
    if (mark >= MARK_SERIES || mark == MARK_END)
        wanted = mark != MARK_END;
    if (mark >= MARK_SERIES)
        fprintf(out, "series %u\n", mark);
    if (!wanted)
        return;
    if (mark == MARK_NOTIFY)
        forget_round();
    if (mark >= MARK_NOTIFY && mark <= MARK_SERVED)
        phase = mark - MARK_NOTIFY;
    if (mark == MARK_ANSWERED && phase < PHASES) {
        write_round();
        phase = PHASES;
    }
}

static void executed(unsigned cpu, void *data)
{
    struct place *place = data;
    bool now_guest = is_guest(place);
    if (cpu >= CPUS)
        return;
    if (now_guest && (place->word & MARK_MASK) == MARK)
        pass(MARK_NUMBER(place->word));
    if (phase < PHASES) {
        place->count[phase][cpu]++;
        exits[phase][cpu] += in_guest[cpu] && !now_guest;
    }
    in_guest[cpu] = now_guest;
}

/* ---- What is translated ---- */

static struct place *find_place(uint64_t address, uint64_t virtual, uint32_t word)
{
    struct place **first = &places[address / sizeof word % BUCKETS];
    for (struct place *place = *first; place != NULL; place = place->next)
        if (place->address == address && place->virtual == virtual && place->word == word)
            return place;
    struct place *place = calloc(1, sizeof *place);
    if (place == NULL)
        abort();
    *place = (struct place){.next = *first, .address = address, .virtual = virtual, .word = word};
    *first = place;
    return place;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = (uintptr_t)qemu_plugin_insn_haddr(instruction);
        uint64_t virtual = qemu_plugin_insn_vaddr(instruction);
        uint32_t word = 0;
        if (qemu_plugin_insn_size(instruction) != sizeof word)
            continue;
        memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
        if ((word & MARK_MASK) == MARK && address != 0)
            guest = address - (virtual - GUEST_RAM);
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, QEMU_PLUGIN_CB_NO_REGS,
                                               find_place(address, virtual, word));
    }
}

static void end(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (const struct place *place = places[i]; place != NULL; place = place->next)
            if (place->named)
                fprintf(out, "code %" PRIx64 " %" PRIx64 " %08" PRIx32 " %u\n", place->address,
                        place->virtual, place->word, is_guest(place));
    fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0)
            out = fopen(argv[i] + 4, "w");
        else if (strncmp(argv[i], "memory=", 7) == 0)
            guest_size = strtoull(argv[i] + 7, NULL, 0);
    if (out == NULL || guest_size == 0)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
