/*
 * Random system calls; see grammar.h.
 *
 * An argument is mostly one that its kind allows, so that whole calls succeed often; else a handle of a wrong kind, a value
 * at an edge, or any 64 bits.
 */
#include "grammar.h"
#include "random.h"
#include <stdio.h>

enum kind {
    KIND_CHANNEL_OR_LINE,
    KIND_IRQ,
    KIND_VCPU,
    KIND_VM,
    KIND_REGION,
    KIND_THREAD,
    KIND_MACHINE,
    KIND_DEADLINE,
    KIND_VCPU_INDEX,
    KIND_INTID,
    KIND_PAGED_ADDRESS,
    KIND_OFFSET,
    KIND_SIZE_AND_RIGHTS,
    KIND_SIZE,
    KIND_RIGHTS,
    KIND_OPERATION,
    KIND_LIFE,
    KIND_TICKS,
    KIND_LENGTH,
    KIND_TEXT,
};

/* For each call of QUOLL_CALLS: what its arguments are. */
#define KINDS_wait
#define KINDS_vcpu_run KIND_VCPU
#define KINDS_signal KIND_CHANNEL_OR_LINE
#define KINDS_irq_ack KIND_IRQ
#define KINDS_timer_set KIND_DEADLINE
#define KINDS_vcpu_irq KIND_VM, KIND_VCPU_INDEX, KIND_INTID
#define KINDS_map KIND_VM, KIND_PAGED_ADDRESS, KIND_REGION, KIND_OFFSET, KIND_SIZE_AND_RIGHTS
#define KINDS_unmap KIND_VM, KIND_PAGED_ADDRESS, KIND_SIZE
#define KINDS_protect KIND_VM, KIND_PAGED_ADDRESS, KIND_SIZE, KIND_RIGHTS
#define KINDS_thread_control KIND_THREAD, KIND_OPERATION, KIND_LIFE
#define KINDS_thread_budget KIND_THREAD, KIND_TICKS, KIND_TICKS
#define KINDS_machine_control KIND_MACHINE, KIND_OPERATION
#define KINDS_debug_put KIND_LENGTH, KIND_TEXT, KIND_TEXT, KIND_TEXT, KIND_TEXT

/* How often it is chosen. A machine that is switched off ends its world: rarely. */
#define WEIGHT_wait 150
#define WEIGHT_vcpu_run 300
#define WEIGHT_signal 200
#define WEIGHT_irq_ack 60
#define WEIGHT_timer_set 80
#define WEIGHT_vcpu_irq 160
#define WEIGHT_map 150
#define WEIGHT_unmap 100
#define WEIGHT_protect 100
#define WEIGHT_thread_control 60
#define WEIGHT_thread_budget 40
#define WEIGHT_machine_control 1
#define WEIGHT_debug_put 30
#define WEIGHT_UNKNOWN 5

static const struct rule {
    const char *name;
    uint32_t weight, count;
    enum kind kinds[5];
} rules[QUOLL_CALL_COUNT] = {
#define CALL(number, call, arguments, summary)                                                     \
    [number] = {#call, WEIGHT_##call, arguments, {KINDS_##call}},
    QUOLL_CALLS(CALL)
#undef CALL
};

/* A call whose arguments this file does not know does not compile. */
#define CALL(number, call, arguments, summary)                                                     \
    _Static_assert(sizeof((const enum kind[]){KINDS_##call}) / sizeof(enum kind) == (arguments),   \
                   "kinds of " #call);
QUOLL_CALLS(CALL)
#undef CALL

static uint64_t any_handle(const struct thread *thread)
{
    return random_below(thread->component->object_count + 2);
}

/* A handle of one of two types, if the component has one. */
static uint64_t handle_of(const struct thread *thread, uint32_t type, uint32_t other)
{
    const struct component *component = thread->component;
    const struct object *own = &objects[component->first_object];
    uint32_t start = component->object_count != 0 ? random_below(component->object_count) : 0;
    for (uint32_t i = 0; i < component->object_count; i++) {
        uint32_t handle = (start + i) % component->object_count;
        if (own[handle].type == type || own[handle].type == other)
            return handle;
    }
    return any_handle(thread);
}

/* Mostly small; now and then all that one call may change, and beyond. */
static uint64_t page_count(void)
{
    switch (random_below(32)) {
    case 0:
        return random_below(QUOLL_MAP_BYTES / PAGE_SIZE + 2);
    case 1:
        return random_below(64);
    default:
        return 1 + random_below(4);
    }
}

static const struct vm *some_vm(void)
{
    return &vms[random_below(vm_count != 0 ? vm_count : 1)];
}

static uint64_t paged_address(void)
{
    const struct vm *vm = some_vm();
    uint32_t pages = (uint32_t)(vm->paged_size / PAGE_SIZE);
    if (random_once_in(8))
        return vm->paged_address.value + vm->paged_size - random_below(3) * PAGE_SIZE;
    return vm->paged_address.value + random_below(pages + 1) * PAGE_SIZE;
}

/* Near the start or the end of a region that the thread could mean. */
static uint64_t offset(const struct thread *thread)
{
    uint64_t handle = handle_of(thread, QUOLL_OBJECT_REGION, QUOLL_OBJECT_REGION);
    uint32_t pages = random_below(32);
    if (handle >= thread->component->object_count || !random_once_in(4))
        return pages * PAGE_SIZE;
    const struct object *object = &objects[thread->component->first_object + handle];
    return object->type == QUOLL_OBJECT_REGION ? regions[object->index].size - pages / 8 * PAGE_SIZE
                                               : 0;
}

static uint64_t deadline(void)
{
    switch (random_below(8)) {
    case 0:
        return QUOLL_NEVER;
    case 1:
        return 0;
    default:
        return arch_now() + random_below(200000);
    }
}

/* Eight characters: any, or a word, at times at the end of a line. */
static uint64_t text(void)
{
    static const uint64_t word = UINT64_C(0x006c6c6f75712020);
    if (random_once_in(3))
        return random_word();
    return word | (uint64_t)(random_once_in(8) ? '\n' : ' ') << 56;
}

/* Now and then one that no VM can have. */
static uint64_t rights(void)
{
    return random_once_in(16) ? random_word() % PAGE_SIZE : QUOLL_READ | random_below(8);
}

static uint64_t size_and_rights(void)
{
    uint64_t size = page_count() * PAGE_SIZE;
    return size | rights();
}

static uint64_t intid(void)
{
    switch (random_below(8)) {
    case 0:
        return QUOLL_VCPU_IRQ_LOOK;
    case 1:
        return random_below(32 + QUOLL_VM_SPIS + 2);
    case 2:
    case 3:
        return 32 + random_below(4);
    default:
        return random_below(32);
    }
}

/* Mostly its own. */
static uint64_t vcpu(const struct thread *thread)
{
    const struct component *component = thread->component;
    for (uint32_t i = 0; i < component->object_count && !random_once_in(16); i++) {
        const struct object *object = &objects[component->first_object + i];
        if (object->type == QUOLL_OBJECT_VCPU && &vcpus[object->index] == thread->vcpu)
            return i;
    }
    return handle_of(thread, QUOLL_OBJECT_VCPU, QUOLL_OBJECT_VCPU);
}

static uint64_t fitting(const struct thread *thread, enum kind kind)
{
    switch (kind) {
    case KIND_CHANNEL_OR_LINE:
        return handle_of(thread, QUOLL_OBJECT_CHANNEL, QUOLL_OBJECT_LINE);
    case KIND_IRQ:
        return handle_of(thread, QUOLL_OBJECT_IRQ, QUOLL_OBJECT_IRQ);
    case KIND_VCPU:
        return vcpu(thread);
    case KIND_VM:
        return handle_of(thread, QUOLL_OBJECT_VM, QUOLL_OBJECT_VM);
    case KIND_REGION:
        return handle_of(thread, QUOLL_OBJECT_REGION, QUOLL_OBJECT_REGION);
    case KIND_THREAD:
        return handle_of(thread, QUOLL_OBJECT_THREAD, QUOLL_OBJECT_THREAD);
    case KIND_MACHINE:
        return random_once_in(16) ? handle_of(thread, QUOLL_OBJECT_MACHINE, QUOLL_OBJECT_MACHINE)
                                  : any_handle(thread);
    case KIND_DEADLINE:
        return deadline();
    case KIND_VCPU_INDEX:
        return random_once_in(4) ? QUOLL_VCPU_ALL : random_below(4);
    case KIND_INTID:
        return intid();
    case KIND_PAGED_ADDRESS:
        return paged_address();
    case KIND_OFFSET:
        return offset(thread);
    case KIND_SIZE_AND_RIGHTS:
        return size_and_rights();
    case KIND_SIZE:
        return page_count() * PAGE_SIZE;
    case KIND_RIGHTS:
        return rights();
    case KIND_OPERATION:
        return random_below(5) / 2; /* less often what restarts */
    case KIND_LIFE:
        return random_word();
    case KIND_TICKS:
        return 1 + random_below(1u << (4 + random_below(16)));
    case KIND_LENGTH:
        return random_below(34);
    case KIND_TEXT:
        return text();
    }
    return 0;
}

static uint64_t edge(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     31,
                                     32,
                                     32 + QUOLL_VM_SPIS,
                                     PAGE_SIZE - 1,
                                     PAGE_SIZE,
                                     QUOLL_MAP_BYTES,
                                     QUOLL_MAP_BYTES + PAGE_SIZE,
                                     UINT64_C(1) << 32,
                                     (UINT64_C(1) << 32) + 1,
                                     UINT64_C(1) << 39,
                                     UINT64_C(1) << 63,
                                     UINT32_MAX,
                                     UINT64_MAX,
                                     UINT64_MAX - PAGE_SIZE + 1};
    const struct vm *vm = some_vm();
    switch (random_below(4)) {
    case 0:
        return vm->paged_address.value + vm->paged_size;
    case 1:
        return vm->paged_address.value - PAGE_SIZE;
    default:
        return edges[random_below(ARRAY_SIZE(edges))];
    }
}

static uint64_t argument(const struct thread *thread, enum kind kind)
{
    if (kind == KIND_LIFE)
        return fitting(thread, kind); /* a new one each time */
    switch (random_below(40)) {
    case 0:
        return random_word();
    case 1:
        return edge();
    case 2:
        return any_handle(thread);
    default:
        return fitting(thread, kind);
    }
}

void grammar_call_of(const struct thread *thread, enum quoll_call number, struct random_call *call)
{
    call->number = number;
    for (uint32_t i = 0; i < 5; i++) {
        call->argument[i] = i < rules[number].count ? argument(thread, rules[number].kinds[i])
                                                    : UINT64_C(0xdeadbeefdeadbeef);
    }
}

static uint32_t weight_sum(void)
{
#define CALL(number, call, arguments, summary) WEIGHT_##call +
    return QUOLL_CALLS(CALL) WEIGHT_UNKNOWN;
#undef CALL
}

static uint32_t choose(void)
{
    uint32_t at = random_below(weight_sum()), number = 0;
    while (number < QUOLL_CALL_COUNT && at >= rules[number].weight)
        at -= rules[number++].weight;
    return number;
}

/* The type of object that the call is about; NONE: of none. */
static uint32_t subject(uint32_t number)
{
    static const uint8_t types[] = {
        [KIND_CHANNEL_OR_LINE] = QUOLL_OBJECT_CHANNEL,
        [KIND_IRQ] = QUOLL_OBJECT_IRQ,
        [KIND_VCPU] = QUOLL_OBJECT_VCPU,
        [KIND_VM] = QUOLL_OBJECT_VM,
        [KIND_REGION] = QUOLL_OBJECT_REGION,
        [KIND_THREAD] = QUOLL_OBJECT_THREAD,
    };
    if (number >= QUOLL_CALL_COUNT || rules[number].count == 0 ||
        rules[number].kinds[0] >= ARRAY_SIZE(types))
        return QUOLL_OBJECT_NONE;
    return types[rules[number].kinds[0]];
}

static bool has(const struct thread *thread, uint32_t type)
{
    const struct component *component = thread->component;
    if (type == QUOLL_OBJECT_NONE || (type == QUOLL_OBJECT_VCPU && thread->vcpu != NULL))
        return true;
    if (type == QUOLL_OBJECT_VCPU)
        return false;
    for (uint32_t i = 0; i < component->object_count; i++) {
        if (objects[component->first_object + i].type == type)
            return true;
    }
    return false;
}

/* Seldom one about things that the thread does not have. */
void grammar_call(const struct thread *thread, struct random_call *call)
{
    uint32_t number = choose();
    while (!has(thread, subject(number)) && !random_once_in(16))
        number = choose();
    grammar_call_of(thread, number < QUOLL_CALL_COUNT ? (enum quoll_call)number : QUOLL_CALL_wait,
                    call);
    if (number == QUOLL_CALL_COUNT)
        call->number = random_once_in(2) ? QUOLL_CALL_COUNT : random_word() | QUOLL_CALL_COUNT;
}

void grammar_load(struct thread *thread, const struct random_call *call)
{
    thread->registers.x[8] = call->number;
    for (uint32_t i = 0; i < 5; i++)
        thread->registers.x[i] = call->argument[i];
}

void grammar_text(const struct random_call *call, char *text, size_t size)
{
    bool known = call->number < QUOLL_CALL_COUNT;
    int length = snprintf(text, size, "%s", known ? rules[call->number].name : "unknown");
    for (uint32_t i = 0; i < (known ? rules[call->number].count : 1); i++) {
        if ((size_t)length < size)
            length += snprintf(text + length, size - (size_t)length, " %lx",
                               known ? call->argument[i] : call->number);
    }
}
