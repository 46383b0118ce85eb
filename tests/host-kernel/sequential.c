/*
 * The kernel as a process, one host thread for all cores.
 *
 * Each step lets one core do something: take an interrupt that waits, let its thread issue a random call, let its guest do something.
 * At the kernel's atomic operations another core may step in between (interleave.h). Time passes only between steps, and
 * never past what a core's timer was set to. Everything follows from the seed of the world, so a failure can be
 * repeated exactly. After each step the model (model.h) compares; private data of other cores is poisoned meanwhile (ownership.h).
 */
#include "damaged.h"
#include "driver.h"
#include "interleave.h"
#include "host.h"
#include "model.h"
#include "ownership.h"
#include "random.h"
#include <sanitizer/common_interface_defs.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MOST 60000u
#define DEPTH_MOST 2u
#define IDLE_MOST 64u /* steps without anything to do: the world is dead */
#define CHECK_ALL_EVERY 4096u
#define JUMP_MOST (UINT64_C(1) << 32) /* ticks, when nothing happens until then */

static struct counts counts;
static struct damaged damaged;
static uint64_t worlds, nested;
static uint64_t world_seed, step;
static uint32_t depth;           /* entries to the kernel in progress */
static bool inside[WORLD_CORES]; /* the core is in one */
static uint32_t until_interleave;

/* What happened last, for the report. */
#define HISTORY 32u
static struct {
    uint64_t step, now;
    uint32_t core, depth;
    int thread;
    const char *what;
    struct random_call call;
} history[HISTORY];
static uint32_t history_next;

static void note(const struct core *core, const char *what, const struct random_call *call)
{
    uint32_t at = history_next++ % HISTORY;
    history[at].step = step;
    history[at].now = host.now;
    history[at].core = core->index;
    history[at].depth = depth;
    history[at].thread = core->current != NULL ? (int)core->current->index : -1;
    history[at].what = what;
    if (call != NULL)
        history[at].call = *call;
}

static void report(void)
{
    fflush(stdout);
    fprintf(stderr, "the last of what happened (step, time, core, thread):\n");
    for (uint32_t i = history_next > HISTORY ? history_next - HISTORY : 0; i < history_next; i++) {
        char text[160];
        uint32_t at = i % HISTORY;
        snprintf(text, sizeof(text), "%s", history[at].what);
        if (strcmp(text, "call") == 0)
            grammar_text(&history[at].call, text, sizeof(text));
        fprintf(stderr, "  %7lu %9lu %u %2d %*s%s\n", history[at].step, history[at].now,
                history[at].core, history[at].thread, (int)history[at].depth * 4, "", text);
    }
    fprintf(stderr,
            "broken in the world of seed %lu at step %lu; to repeat: tests/host-kernel/run "
            "--world %lu\n",
            world_seed, step, world_seed);
}

void broken(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    report();
    fprintf(stderr, "BROKEN: %s\n", text);
    exit(1);
}

/* ---- What one core can do ---- */

static void enter(struct event *event, struct core *core, const char *what,
                  const struct random_call *call)
{
    note(core, what, call);
    host_core = core;
    ownership_enter(core);
    inside[core->index] = true;
    depth++;
    model_begin(event, core);
}

static void leave(struct event *event)
{
    model_end(event);
    depth--;
    inside[event->core->index] = false;
}

/* Call numbers that another core's call may be interrupted by: those whose effects the model follows while they happen. */
static bool may_nest(uint64_t number)
{
    return number != QUOLL_CALL_map && number != QUOLL_CALL_unmap && number != QUOLL_CALL_protect &&
           number != QUOLL_CALL_machine_control;
}

static void issue(struct core *core, struct random_call *call)
{
    struct event event;
    struct thread *thread = core->current;
    enter(&event, core, "call", call);
    grammar_load(thread, call);
    model_call(&event, thread, call);
    host_call(core);
    counts_add(&counts, call, thread->registers.x[0]);
    model_answer(&event, thread, call);
    leave(&event);
}

/* The VMM changes its model of the distributor, and mostly has the kernel look. */
static bool scribble(struct core *core)
{
    struct random_call call = {QUOLL_CALL_vcpu_irq, {0, QUOLL_VCPU_ALL, QUOLL_VCPU_IRQ_LOOK}};
    const struct component *component = core->current->component;
    if (!driver_vm_handle(core->current, &call.argument[0]))
        return false;
    struct vm *vm = &vms[objects[component->first_object + call.argument[0]].index];
    driver_scribble(vm);
    model_scribbled(vm);
    if (!random_once_in(8))
        issue(core, &call);
    return true;
}

static void act_thread(struct core *core)
{
    struct thread *thread = core->current;
    struct random_call call;
    if (depth == 0 && random_once_in(20000)) {
        struct event event;
        enter(&event, core, "fault", NULL);
        model_fault(&event, thread->component);
        host_fault(core);
        leave(&event);
        return;
    }
    if (depth == 0 && random_once_in(50) && scribble(core))
        return;
    grammar_call(thread, &call);
    if (call.number == QUOLL_CALL_wait && driver_is_forgetful(thread))
        call = (struct random_call){QUOLL_CALL_timer_set, {host.now + random_below(100000)}};
    if (depth != 0 && !may_nest(call.number))
        return;
    if (thread->vcpu != NULL)
        thread->vcpu->arch.prepare = random_once_in(10) ? QUOLL_BAD_ARGUMENT : QUOLL_OK;
    issue(core, &call);
}

static uint64_t guest_address(const struct vm *vm)
{
    return random_once_in(4) ? UINT64_C(0x40000000) + random_below(1000) * PAGE_SIZE
                             : vm->paged_address.value + random_below(64) * PAGE_SIZE;
}

static void act_guest(struct core *core)
{
    struct thread *thread = core->current;
    struct vm *vm = thread->vcpu->vm;
    struct event event;
    uint32_t choice = random_below(16);
    if (choice < 8) {
        host_tlb_touch(&vm->space, ipaddr(guest_address(vm)));
        return;
    }
    static const char *const names[] = {"guest: WFI",      "guest: WFI", "guest: exit",
                                        "guest: doorbell", "guest: SGI", "guest: EOI",
                                        "guest: EOI",      "guest: exit"};
    enter(&event, core, names[choice - 8], NULL);
    uint32_t number = random_below(16);
    switch (choice - 8) {
    case 0:
    case 1:
        host_guest_wait(core);
        break;
    case 3:
        number %= vm->doorbell_count;
        model_raise(&event, vm->doorbells[number].channel->thread,
                    QUOLL_SIGNAL(vm->doorbells[number].channel->bit));
        host_guest_doorbell(core, number);
        break;
    case 4:
        host_guest_send(core, random_below(vm->vcpu_count + 1), number);
        break;
    case 5:
    case 6:
        host_guest_end(core, number % HOST_LIST_REGISTERS);
        break;
    default:
        model_leave(&event, thread);
        host_guest_exit(core, (enum quoll_exit)(1 + random_below(QUOLL_EXIT_COUNT - 1)));
        break;
    }
    leave(&event);
}

/* The interrupt that the core would take next among those that wait. */
static enum host_interrupt waiting(struct core *core)
{
    enum host_interrupt found = HOST_INTERRUPT_NONE;
    uint32_t count = 0;
    ownership_enter(core);
    for (enum host_interrupt kind = HOST_INTERRUPT_INBOX; kind <= HOST_INTERRUPT_DEVICE; kind++) {
        if (host_interrupt_waits(core, kind) && random_once_in(++count))
            found = kind;
    }
    return found;
}

static void take(struct core *core, enum host_interrupt kind)
{
    static const char *const names[] = {"", "interrupt: inbox", "interrupt: deadline",
                                        "interrupt: device"};
    struct event event;
    enter(&event, core, names[kind], NULL);
    if (kind == HOST_INTERRUPT_DEADLINE)
        model_deadline(&event);
    if (kind == HOST_INTERRUPT_DEVICE) {
        uint32_t index = host_irq_next(core);
        model_raise(&event, irqs[index].thread, QUOLL_SIGNAL(irqs[index].bit));
    }
    host_interrupt_take(core, kind);
    leave(&event);
}

/* False: there was nothing for the core to do. */
static bool act(struct core *core)
{
    bool idle = core->current == NULL;
    enum host_interrupt kind = idle || random_once_in(3) ? waiting(core) : HOST_INTERRUPT_NONE;
    if (kind != HOST_INTERRUPT_NONE)
        take(core, kind);
    else if (idle)
        return false;
    else if (core->current->in_guest)
        act_guest(core);
    else
        act_thread(core);
    return true;
}

/* ---- Another core, in the middle of this one's entry to the kernel ---- */

void interleave(void)
{
    if (depth == 0 || depth >= DEPTH_MOST || until_interleave-- != 0)
        return;
    until_interleave = random_below(24);
    struct core *core = &cores[random_below(core_count)], *before = host_core;
    if (inside[core->index])
        return;
    nested++;
    act(core);
    host_core = before;
    ownership_enter(before);
}

/* ---- Time and the outside ---- */

static uint64_t next_deadline(void)
{
    uint64_t next = QUOLL_NEVER;
    for (uint32_t i = 0; i < core_count; i++)
        next = cores[i].arch.deadline < next ? cores[i].arch.deadline : next;
    return next;
}

static void time_passes(bool idle)
{
    uint64_t next = next_deadline(), now = host.now;
    if (next <= now)
        return;
    uint64_t ticks = random_below(1u << (4 + random_below(16)));
    if ((idle && next - now < JUMP_MOST) || ticks > next - now)
        ticks = next - now;
    model_time(ticks);
    host.now = now + ticks;
}

/* ---- A world ---- */

/* Serves what must be served before time can go on. */
static void serve_deadlines(void)
{
    for (uint32_t i = 0; i < core_count; i++) {
        if (cores[i].arch.deadline <= host.now && random_once_in(2))
            take(&cores[i], HOST_INTERRUPT_DEADLINE);
    }
}

static void live(void)
{
    uint32_t steps = 1000 + random_below(STEPS_MOST), idle = 0;
    struct core *core = &cores[0];
    for (step = 1; step <= steps && idle < IDLE_MOST; step++) {
        if (random_once_in(6))
            core = &cores[random_below(core_count)];
        if (act(core)) {
            idle = 0;
        } else {
            idle++;
            core = &cores[random_below(core_count)];
        }
        if (irq_count != 0 && (random_once_in(40) || idle > 8))
            host_irq_raise(random_below(irq_count));
        if (random_once_in(4) || idle > 4)
            time_passes(idle > 4);
        else
            serve_deadlines();
        if (step % CHECK_ALL_EVERY == 0)
            model_check_all();
    }
    model_check_all();
}

/* The machine was stopped: by a call that may do so, or else by the kernel itself. */
static void check_stop(int how)
{
    const struct random_call *call = &history[(history_next - 1) % HISTORY].call;
    bool called = strcmp(history[(history_next - 1) % HISTORY].what, "call") == 0 &&
                  call->number == QUOLL_CALL_machine_control;
    enum host_stop expected = call->argument[1] == QUOLL_MACHINE_OFF ? HOST_OFF : HOST_RESET;
    if (!called || !model_may_stop(host_core->current, call) || how != (int)expected) {
        size_t length = host.console_length;
        size_t from = length > 1000 && length < HOST_CONSOLE_BYTES ? length - 1000 : 0;
        broken("the kernel stopped the machine (%d); its last words: %.200s", how,
               host.console + from);
    }
}

static void world_begin(uint64_t seed)
{
    world_seed = random_state = seed;
    step = 0;
    depth = 0;
    history_next = 0;
    until_interleave = 0;
    memset(inside, 0, sizeof(inside));
    ownership_end();
}

static void world_run(void)
{
    world_boot();
    for (uint32_t i = 0; i < vm_count; i++)
        driver_enable_interrupts(&vms[i]);
    model_boot();
    ownership_begin();
    host.catches_stop = true;
    int how = setjmp(host.stopped);
    if (how != HOST_RUNS) {
        check_stop(how);
        return;
    }
    for (uint32_t i = 0; i < core_count; i++) {
        struct event event;
        enter(&event, &cores[i], "start", NULL);
        host_run(&cores[i]);
        leave(&event);
    }
    live();
}

int main(int count, char **arguments)
{
    options_read(count, arguments);
    __sanitizer_set_death_callback(report);
    do {
        world_begin(options.seed + worlds++);
        damaged_boots(&damaged);
        world_run();
    } while (!options.one_world && !driver_finished(counts.calls));
    counts_print(&counts, worlds);
    printf("%lu damaged systems: %lu refused, %lu told of memory that is not there, "
           "%lu stopped at boot, %lu started\n",
           damaged.refused + damaged.misled + damaged.stopped + damaged.started, damaged.refused,
           damaged.misled, damaged.stopped, damaged.started);
    printf("%lu times one core ran in the middle of another one's call\n", nested);
    return 0;
}
