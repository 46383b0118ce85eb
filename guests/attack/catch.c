/* Exceptions that an attack provokes: noted, and gone on after. */
#include "attack.h"

#define SYNDROME_IMMEDIATE(syndrome) ((syndrome)&0xffff)
#define SVC_RETURN 0x7fffu
#define PSTATE_EL1_MASKED 0x3c5u
#define FIRST_LOWER 8u /* vectors from here on are for EL0 */

void attack_exception(uint64_t kind, struct frame *frame);

struct caught caught[CPUS];
uint64_t el0_pstate = PSTATE_EL0_MASKED;
bool el0_once;

static uint32_t stub_code[2][STUB_WORDS + 1];

static bool came_from_fetch(uint32_t class)
{
    return class == CLASS_FETCH_ABORT || class == CLASS_FETCH_ABORT_LOWER ||
           class == CLASS_PC_ALIGNMENT;
}

static void end_el0(struct frame *frame)
{
    frame->pc = (uint64_t)el0_returned;
    frame->pstate = PSTATE_EL1_MASKED;
}

void attack_exception(uint64_t kind, struct frame *frame)
{
    if (kind % 4 == 1) {
        interrupt_take();
        if (el0_once && kind >= FIRST_LOWER) {
            end_el0(frame);
        }
        return;
    }
    uint64_t syndrome = read_system(esr_el1);
    uint32_t class = (uint32_t)(syndrome >> 26);
    if (class == CLASS_SVC && kind >= FIRST_LOWER && SYNDROME_IMMEDIATE(syndrome) == SVC_RETURN) {
        end_el0(frame);
        return;
    }
    struct caught *own = &caught[this_cpu() % CPUS];
    own->syndrome = syndrome;
    own->address = read_system(far_el1);
    own->pc = frame->pc;
    own->kind = kind;
    own->count = own->count + 1;
    if (el0_once && kind >= FIRST_LOWER) {
        end_el0(frame);
    } else if (class != CLASS_SVC) { /* whose pc is past it */
        frame->pc = came_from_fetch(class) ? frame->x[30] : frame->pc + 4;
    }
}

uint64_t stub_make(const uint32_t *words, uint32_t count)
{
    uint32_t *code = stub_code[this_cpu() % CPUS];
    for (uint32_t i = 0; i < count && i < STUB_WORDS; i++) {
        code[i] = words[i];
    }
    code[count] = 0xd65f03c0; /* RET */
    sync();
    __asm__ volatile("ic ivau, %0; dsb sy; isb" ::"r"(code) : "memory");
    return (uint64_t)code;
}
