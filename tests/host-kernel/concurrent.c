/*
 * The kernel as a process, a host thread for each core: for ThreadSanitizer.
 *
 * In a round every core takes interrupts and issues random calls as it likes, at the same time as the others. Between rounds the
 * cores stop, serve what interrupts are left, and one thread checks everything that must hold when nothing is in
 * flight (model_settle): nobody sleeps over a signal, queues are well formed, authority has not grown. What cores share is ordered by
 * the kernel's own atomic operations alone, so whatever else one core reads of another's is reported as a race.
 */
#include "driver.h"
#include "host.h"
#include "model.h"
#include "random.h"
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 8u
#define STEPS 3000u

static uint64_t world_seed, worlds;
static struct counts counts[WORLD_CORES];
static pthread_barrier_t barrier;
static bool
    quiet; /* no core has an interrupt left: written by core 0's thread between two barriers */

static void report(void)
{
    fflush(stdout);
    fprintf(stderr,
            "broken in the world of seed %lu; to repeat (as far as threads do): "
            "tests/host-kernel/run --threads --world %lu\n",
            world_seed, world_seed);
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
    _exit(1);
}

/* A race ends the run, and so does a kernel that stops the machine. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "halt_on_error=1:handle_abort=1";
}

static void issue(struct core *core, struct random_call *call)
{
    struct thread *thread = core->current;
    bool must_succeed, must_fail;
    if (model_may_stop(thread, call) && call->number == QUOLL_CALL_machine_control)
        return;
    grammar_load(thread, call);
    model_expect(thread, call, &must_succeed, &must_fail);
    host_call(core);
    uint64_t status = thread->registers.x[0];
    if (status >= QUOLL_STATUS_COUNT || (must_succeed && status != QUOLL_OK) ||
        (must_fail && status == QUOLL_OK))
        broken("call %lu was answered with status %lu", call->number, status);
    counts_add(&counts[core->index], call, status);
}

static void act_thread(struct core *core)
{
    struct thread *thread = core->current;
    struct random_call call;
    uint64_t handle;
    if (random_once_in(50000)) {
        host_fault(core);
        return;
    }
    if (thread->vcpu != NULL)
        thread->vcpu->arch.prepare = random_once_in(10) ? QUOLL_BAD_ARGUMENT : QUOLL_OK;
    grammar_call(thread, &call);
    if (call.number == QUOLL_CALL_wait && driver_is_forgetful(thread)) {
        call = (struct random_call){QUOLL_CALL_timer_set, {arch_now() + random_below(100000)}};
    } else if (random_once_in(50) && driver_vm_handle(thread, &handle)) {
        driver_scribble(&vms[objects[thread->component->first_object + handle].index]);
        call = (struct random_call){QUOLL_CALL_vcpu_irq,
                                    {handle, QUOLL_VCPU_ALL, QUOLL_VCPU_IRQ_LOOK}};
    }
    issue(core, &call);
}

static void act_guest(struct core *core)
{
    struct vm *vm = core->current->vcpu->vm;
    switch (random_below(8)) {
    case 0:
    case 1:
        host_guest_wait(core);
        break;
    case 2:
        host_guest_doorbell(core, random_below(vm->doorbell_count));
        break;
    case 3:
        host_guest_send(core, random_below(vm->vcpu_count), random_below(16));
        break;
    case 4:
    case 5:
        host_guest_end(core, random_below(HOST_LIST_REGISTERS));
        break;
    default:
        host_guest_exit(core, QUOLL_EXIT_MMIO);
        break;
    }
}

static enum host_interrupt waiting(const struct core *core)
{
    for (enum host_interrupt kind = HOST_INTERRUPT_INBOX; kind <= HOST_INTERRUPT_DEVICE; kind++) {
        if (host_interrupt_waits(core, kind))
            return kind;
    }
    return HOST_INTERRUPT_NONE;
}

static void act(struct core *core)
{
    bool idle = core->current == NULL;
    enum host_interrupt kind = idle || random_once_in(3) ? waiting(core) : HOST_INTERRUPT_NONE;
    if (kind != HOST_INTERRUPT_NONE)
        host_interrupt_take(core, kind);
    else if (idle)
        atomic_fetch_add_explicit(&host.now, random_below(5000), memory_order_relaxed);
    else if (core->current->in_guest)
        act_guest(core);
    else
        act_thread(core);
    if (irq_count != 0 && random_once_in(50))
        host_irq_raise(random_below(irq_count));
    if (random_once_in(4))
        atomic_fetch_add_explicit(&host.now, random_below(500), memory_order_relaxed);
}

/* Every core serves its inbox until none has mail. */
static void settle(struct core *core)
{
    do {
        if (host_interrupt_waits(core, HOST_INTERRUPT_INBOX))
            host_interrupt_take(core, HOST_INTERRUPT_INBOX);
        pthread_barrier_wait(&barrier);
        if (core->index == 0) {
            quiet = true;
            for (uint32_t i = 0; i < core_count; i++)
                quiet &= !host_interrupt_waits(&cores[i], HOST_INTERRUPT_INBOX);
        }
        pthread_barrier_wait(&barrier);
    } while (!quiet);
    if (core->index == 0)
        model_settle();
    pthread_barrier_wait(&barrier);
}

static void *core_main(void *argument)
{
    struct core *core = argument;
    host_core = core;
    random_state = world_seed ^ (uint64_t)(core->index + 1) << 40;
    host_run(core);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < STEPS; i++)
            act(core);
        pthread_barrier_wait(&barrier);
        settle(core);
    }
    return NULL;
}

static void world_run(uint64_t seed)
{
    pthread_t threads_of[WORLD_CORES];
    world_seed = random_state = seed;
    world_boot();
    for (uint32_t i = 0; i < vm_count; i++)
        driver_enable_interrupts(&vms[i]);
    model_boot();
    host.ticks_per_look = 1;
    pthread_barrier_init(&barrier, NULL, core_count);
    for (uint32_t i = 0; i < core_count; i++) {
        if (pthread_create(&threads_of[i], NULL, core_main, &cores[i]) != 0) {
            perror("a thread for a core");
            exit(2);
        }
    }
    for (uint32_t i = 0; i < core_count; i++)
        pthread_join(threads_of[i], NULL);
    pthread_barrier_destroy(&barrier);
}

static void counts_join(struct counts *sum)
{
    *sum = (struct counts){0};
    for (uint32_t core = 0; core < WORLD_CORES; core++) {
        sum->calls += counts[core].calls;
        for (uint32_t call = 0; call <= QUOLL_CALL_COUNT; call++) {
            for (uint32_t status = 0; status < QUOLL_STATUS_COUNT; status++)
                sum->answers[call][status] += counts[core].answers[call][status];
        }
    }
}

int main(int count, char **arguments)
{
    struct counts sum;
    options_read(count, arguments);
    __sanitizer_set_death_callback(report);
    do {
        world_run(options.seed + worlds++);
        counts_join(&sum);
    } while (!options.one_world && !driver_finished(sum.calls));
    counts_print(&sum, worlds);
    return 0;
}
