/*
 * A QEMU plugin that counts executed instructions, of all CPUs and whoever runs on them; waiting counts nothing. QEMU
 * calls what is exported here; under -icount one thread runs all CPUs, so plain counters do.
 *
 *     -plugin count.so,out=FILE
 *
 * FILE gets a line "NAME COUNT OUTSIDE" whenever a mark is passed: the instruction "movz xzr, #(0x7100 + N)", which does
 * nothing, is mark N, and the first instruction of an arm64 Linux kernel, which is its file's magic number, is "kernel". "end"
 * is the whole run. OUTSIDE are those of COUNT that were not in Linux's memory, so of a hypervisor and its components: from
 * "kernel" on, when it is known where that memory is.
 *
 * QEMU's header is not packaged in Debian 12; these are the declarations of API version 1 that are used.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

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
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *instruction,
                                                enum qemu_plugin_op operation, void *counter,
                                                uint64_t amount);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
                                            void (*callback)(unsigned, void *),
                                            enum qemu_plugin_cb_flags flags, void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv);

#define MARK_MASK 0xffffe01fu
#define MARK (0xd280001fu | 0x7100u << 5) /* movz xzr, #0x7100..0x71ff */
#define MARK_NUMBER(word) ((word) >> 5 & 0xff)
#define LINUX_ENTRY                                                                                \
    0xfa405a4du /* ccmp x18, #0, #0xd, pl: "MZ" (Linux, arch/arm64/kernel/efi-header.S) */
#define KERNEL UINTPTR_MAX

/* Linux starts with its MMU off, so the address of its first instruction is a physical one. */
#define GUEST_RAM 0x40000000u
#define GUEST_MEMORY (512u << 20) /* of the benchmark's guests */

static uint64_t executed, outside;
static uintptr_t guest; /* host address of the guest's memory; 0: not known yet */
static FILE *out;

static void pass(unsigned cpu, void *mark)
{
    (void)cpu;
    if ((uintptr_t)mark == KERNEL)
        fprintf(out, "kernel %" PRIu64 " %" PRIu64 "\n", executed, outside);
    else
        fprintf(out, "%u %" PRIu64 " %" PRIu64 "\n", (unsigned)(uintptr_t)mark, executed, outside);
    fflush(out);
}

/* By its first instruction: of those on a second page QEMU does not tell it. */
static bool is_outside(const struct qemu_plugin_tb *block)
{
    uintptr_t place = (uintptr_t)qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(block, 0));
    return guest == 0 || place < guest || place - guest >= GUEST_MEMORY;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        uint32_t word = 0;
        if (qemu_plugin_insn_size(instruction) == sizeof word)
            memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
        if (word == LINUX_ENTRY)
            guest = (uintptr_t)qemu_plugin_insn_haddr(instruction) -
                    (qemu_plugin_insn_vaddr(instruction) - GUEST_RAM);
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64,
                                                   &executed, 1);
        if (is_outside(block))
            qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64,
                                                       &outside, 1);
        if (word == LINUX_ENTRY)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, pass, QEMU_PLUGIN_CB_NO_REGS,
                                                   (void *)KERNEL);
        else if ((word & MARK_MASK) == MARK)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, pass, QEMU_PLUGIN_CB_NO_REGS,
                                                   (void *)(uintptr_t)MARK_NUMBER(word));
    }
}

static void end(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    fprintf(out, "end %" PRIu64 " %" PRIu64 "\n", executed, outside);
    fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || (out = fopen(argv[0] + 4, "w")) == NULL)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
