/* Signals and requests between threads, and what brings the parts of the model together; see model.h. */
#include "model_parts.h"
#include "host.h"
#include <stdatomic.h>
#include <string.h>

#define LIVES 4u

static struct {
    uint64_t pending; /* raised and not taken */
    bool suspended, stopped;
    uint32_t asking; /* events in progress that ask something of it */
    bool overlapped; /* several asked at the same time: any of them may win, else the last */
    struct life {
        bool asked, begun, taken_back; /* taken back: by a fault, which may come too late */
        uint64_t life;
    } lives[LIVES]; /* asked for, the latest first; begun ones only as long as others may follow */
} followed[WORLD_THREADS];

static bool scribbled[WORLD_VMS];
static struct event *innermost;

void model_boot(void)
{
    memset(followed, 0, sizeof(followed));
    memset(scribbled, 0, sizeof(scribbled));
    innermost = NULL;
    for (uint32_t i = 0; i < thread_count; i++)
        followed[i].suspended = (world.image->threads[i].flags & IMAGE_THREAD_SUSPENDED) != 0;
    authority_boot();
    pages_boot();
    queues_boot();
    pages_check_all();
}

static bool waits(const struct thread *thread)
{
    return thread->state == THREAD_BLOCKED || thread->in_guest;
}

void model_begin(struct event *event, struct core *core)
{
    memset(event, 0, offsetof(struct event, registers));
    event->outer = innermost;
    event->core = core;
    for (uint32_t i = 0; i < core->thread_count; i++)
        event->waited[core->threads[i]->index] = waits(core->threads[i]);
    innermost = event;
}

void model_raise(struct event *event, const struct thread *thread, uint64_t bits)
{
    event->raised[thread->index] |= bits;
}

void model_deadline(struct event *event)
{
    for (uint32_t i = 0; i < event->core->thread_count; i++) {
        const struct thread *thread = event->core->threads[i];
        if (queues_alarm_rings(thread->index))
            model_raise(event, thread, QUOLL_SIGNAL_TIMER);
    }
}

void model_leave(struct event *event, struct thread *thread)
{
    event->leaves = thread;
}

static void raise_channel(struct event *event, uint32_t index)
{
    const struct image_channel *channel = &world.image->channels[index];
    model_raise(event, &threads[channel->thread], UINT64_C(1) << channel->bit);
}

/* The thread's own core is in the kernel, too, and may be about to take its signals. */
static bool owner_is_busy(const struct event *event, const struct thread *thread)
{
    for (const struct event *other = event->outer; other != NULL; other = other->outer) {
        if (other->core == thread->core)
            return true;
    }
    return false;
}

static void ask(struct event *event, uint32_t thread)
{
    event->asked[thread] = true;
    bool overlaps = followed[thread].asking++ != 0;
    followed[thread].overlapped |= overlaps;
    if (overlaps || owner_is_busy(event, &threads[thread]) ||
        atomic_load(&threads[thread].request) != 0)
        queues_budget_open(thread);
}

void model_fault(struct event *event, const struct component *component)
{
    for (uint32_t i = 0; i < thread_count; i++) {
        if (world.image->threads[i].component == component->index) {
            ask(event, i);
            followed[i].stopped = true;
            for (uint32_t n = 0; n < LIVES; n++)
                followed[i].lives[n].taken_back = true;
        }
    }
    uint32_t channel = world.image->components[component->index].fault_channel;
    if (channel != IMAGE_NONE)
        raise_channel(event, channel);
}

static void control(struct event *event, uint32_t thread, uint64_t operation, uint64_t life)
{
    struct life *lives = followed[thread].lives;
    ask(event, thread);
    if (operation != QUOLL_THREAD_RESTART) {
        followed[thread].suspended = operation == QUOLL_THREAD_SUSPEND;
        return;
    }
    memmove(&lives[1], &lives[0], (LIVES - 1) * sizeof(lives[0]));
    lives[0] = (struct life){.asked = true, .life = life};
    followed[thread].stopped = false;
}

/* Whether it is where a restart with this life brings it: where it was at boot, but for the life. */
static bool is_at_start(const struct thread *thread, uint64_t life)
{
    const struct image_thread *from = &world.image->threads[thread->index];
    struct quoll_registers fresh = {.sp = from->stack, .pc = from->entry};
    fresh.x[0] = from->argument;
    fresh.x[1] = QUOLL_ENVIRONMENT_ADDRESS;
    fresh.x[2] = life;
    return memcmp(&thread->registers, &fresh, sizeof(fresh)) == 0 && !waits(thread);
}

static void see_restart(struct event *event, const struct thread *thread)
{
    struct life *lives = followed[thread->index].lives;
    for (uint32_t i = 0; i < LIVES; i++) {
        if (!lives[i].asked || !is_at_start(thread, lives[i].life))
            continue;
        lives[i].begun = true;
        /* Those that were asked for earlier are past; of those asked for at the same time any may follow. */
        if (!followed[thread->index].overlapped)
            memset(&lives[i], 0, (LIVES - i) * sizeof(lives[0]));
        event->begun[thread->index] = true;
        queues_alarm_set(thread->index, QUOLL_NEVER);
    }
}

/* The effects of a call that will succeed. */
static void call_begins(struct event *event, struct thread *thread, const struct random_call *call)
{
    const uint64_t *a = call->argument;
    const struct image_object *object;
    switch (call->number) {
    case QUOLL_CALL_signal:
        object = expect_object(thread, a[0], QUOLL_OBJECT_CHANNEL);
        if (object != NULL)
            raise_channel(event, object->index);
        break;
    case QUOLL_CALL_timer_set:
        queues_alarm_set(thread->index, a[0]);
        break;
    case QUOLL_CALL_thread_control:
        object = expect_object(thread, a[0], QUOLL_OBJECT_THREAD);
        control(event, object->index, a[1], a[2]);
        break;
    case QUOLL_CALL_thread_budget:
        object = expect_object(thread, a[0], QUOLL_OBJECT_THREAD);
        ask(event, object->index);
        queues_budget_asked(object->index, a[1], a[2]);
        break;
    default:
        break;
    }
}

void model_expect(const struct thread *thread, const struct random_call *call, bool *must_succeed,
                  bool *must_fail)
{
    enum expectation expectation = expect_call(thread, call);
    *must_succeed = expectation == EXPECT_SUCCESS;
    *must_fail = expectation == EXPECT_FAILURE;
}

void model_call(struct event *event, struct thread *thread, const struct random_call *call)
{
    model_expect(thread, call, &event->must_succeed, &event->must_fail);
    event->registers = thread->registers;
    if (call->number == QUOLL_CALL_wait || call->number == QUOLL_CALL_vcpu_run)
        event->caller = thread;
    if (event->must_succeed)
        call_begins(event, thread, call);
}

static void check_registers(const struct event *event, const struct thread *thread)
{
    const struct quoll_registers *now = &thread->registers, *before = &event->registers;
    uint32_t first = event->caller != NULL ? 2 : 1; /* x1: the signals taken */
    if (memcmp(&now->x[first], &before->x[first], (31 - first) * sizeof(now->x[0])) != 0 ||
        now->sp != before->sp || now->pc != before->pc || now->pstate != before->pstate)
        broken("a call has changed registers of thread %u that it should preserve", thread->index);
}

/* An interrupt was made pending: it is in the page, or has reached a list register since. */
static void check_interrupt(const struct vm *vm, uint64_t index, uint64_t intid)
{
    const struct quoll_vm_interrupts *page = vm->interrupts;
    bool found = intid < 32 ? page->vcpu[index].pending >> intid & 1
                            : page->pending[(intid - 32) / 64] >> (intid - 32) % 64 & 1;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        const struct arch_vcpu *arch = &vm->vcpus[i].arch;
        for (uint32_t n = 0; n < HOST_LIST_REGISTERS; n++)
            found |= (arch->used >> n & 1) != 0 && arch->intid[n] == intid;
    }
    if (!found && innermost->outer == NULL)
        broken("interrupt %lu of VM %u was not made pending", intid, vm->index);
}

static void call_succeeded(struct thread *thread, const struct random_call *call)
{
    const uint64_t *a = call->argument;
    const struct vm *vm;
    switch (call->number) {
    case QUOLL_CALL_map:
    case QUOLL_CALL_unmap:
    case QUOLL_CALL_protect:
        pages_changed(thread, call);
        break;
    case QUOLL_CALL_vcpu_irq:
        vm = &vms[expect_object(thread, a[0], QUOLL_OBJECT_VM)->index];
        if (a[2] != QUOLL_VCPU_IRQ_LOOK)
            check_interrupt(vm, a[1], a[2]);
        else if (a[1] == QUOLL_VCPU_ALL)
            scribbled[vm->index] = false;
        break;
    case QUOLL_CALL_irq_ack:
        if (host.irq_active[irqs[expect_object(thread, a[0], QUOLL_OBJECT_IRQ)->index].intid])
            broken("an interrupt is still active after irq_ack");
        break;
    default:
        break;
    }
}

void model_answer(struct event *event, struct thread *thread, const struct random_call *call)
{
    uint64_t status = thread->registers.x[0];
    if (status >= QUOLL_STATUS_COUNT)
        broken("the call was answered with %lu, which is no status", status);
    if ((event->must_succeed && status != QUOLL_OK) || (event->must_fail && status == QUOLL_OK))
        broken("the call was answered with status %lu, but should %s", status,
               event->must_fail ? "be refused" : "succeed");
    check_registers(event, thread);
    if (status == QUOLL_OK)
        call_succeeded(thread, call);
    else if (event->caller == thread)
        event->caller = NULL; /* nothing was taken */
}

/* ---- The end of an event ---- */

/* What the thread's wait or vcpu_run returned with, if it ended in this event. */
static uint64_t taken_by(const struct event *event, const struct thread *thread)
{
    bool began = event->waited[thread->index] || event->caller == thread;
    if (thread->core != event->core || !began || waits(thread) || event->begun[thread->index])
        return 0;
    if (thread->registers.x[0] != QUOLL_OK)
        broken("the wait of thread %u ended with status %lu", thread->index,
               thread->registers.x[0]);
    if (thread->registers.x[1] == 0 && event->leaves != thread)
        broken("the wait of thread %u ended without a signal", thread->index);
    return thread->registers.x[1];
}

static uint64_t log_signal(const struct thread *thread)
{
    return log_channel != NULL && log_channel->thread == thread ? QUOLL_SIGNAL(log_channel->bit)
                                                                : 0;
}

static void check_signals(struct event *event, const struct thread *thread)
{
    uint32_t index = thread->index;
    bool busy = owner_is_busy(event, thread);
    uint64_t pending = atomic_load(&thread->pending);
    uint64_t seen = taken_by(event, thread) | pending;
    uint64_t raised = 0;
    for (const struct event *other = event; other != NULL; other = other->outer)
        raised |= other->raised[index];
    uint64_t log = log_signal(thread);
    uint64_t most = followed[index].pending | raised | log;
    uint64_t least = event->raised[index] & ~event->delivered[index];
    least |= busy ? 0 : followed[index].pending;
    if ((seen & ~most) != 0)
        broken("thread %u has signals %lx that nobody raised", index, seen & ~most);
    if ((least & ~seen & ~log) != 0)
        broken("thread %u has lost signals %lx", index, least & ~seen & ~log);
    followed[index].pending = busy ? followed[index].pending | pending : pending;
    for (struct event *other = event->outer; other != NULL; other = other->outer)
        other->delivered[index] |= seen;
}

/* Nothing is asked of it any more: a life that was asked for has begun, the last one unless they overlapped or a fault came
 * last. */
static void check_lives(const struct thread *thread)
{
    struct life *lives = followed[thread->index].lives;
    bool overlapped = followed[thread->index].overlapped;
    bool begun = overlapped && thread->stopped;
    for (uint32_t i = 0; i < LIVES; i++)
        begun |= overlapped && lives[i].begun;
    if (lives[0].asked && !lives[0].taken_back && !begun)
        broken("thread %u was not restarted", thread->index);
    memset(lives, 0, sizeof(followed[0].lives));
}

static void check_requests(const struct thread *thread)
{
    uint32_t index = thread->index;
    if (atomic_load(&thread->request) != 0 || followed[index].asking != 0)
        return;
    queues_budget_close(index, followed[index].overlapped);
    if (followed[index].overlapped) {
        followed[index].suspended = thread->suspended;
        followed[index].stopped = thread->stopped;
    }
    check_lives(thread);
    followed[index].overlapped = false;
    if (thread->suspended != followed[index].suspended)
        broken("thread %u is %ssuspended", index, thread->suspended ? "" : "not ");
    if (thread->stopped != followed[index].stopped)
        broken("thread %u is %sstopped", index, thread->stopped ? "" : "not ");
}

/* An interrupt that would end the guest's sleep: delivered and not ended, or deliverable. */
static bool guest_has_interrupt(const struct vcpu *vcpu)
{
    const struct quoll_vm_interrupts *page = vcpu->vm->interrupts;
    const struct quoll_vcpu_interrupts *own = &page->vcpu[vcpu->index];
    if (vcpu->arch.used != 0)
        return true;
    uint32_t private = (own->pending | own->level) & own->enabled & own->group1;
    bool any = (private & ~(UINT32_C(1) << 27)) != 0; /* the timer's is not taken from the page */
    for (uint32_t i = 0; i < QUOLL_VM_SPIS; i++) {
        uint64_t bit = UINT64_C(1) << i % 64;
        any |= page->target[i] == vcpu->index &&
               ((page->pending[i / 64] | page->level[i / 64]) & page->enabled[i / 64] &
                page->group1[i / 64] & bit) != 0;
    }
    return any && page->distributor_enabled != 0;
}

/* Who sleeps although there is something for it to do must be about to be looked at. */
static void check_awake(const struct thread *thread)
{
    bool told = (atomic_load(&thread->core->inbox) >> thread->slot & 1) != 0;
    if (told)
        return;
    if (waits(thread) && atomic_load(&thread->pending) != 0)
        broken("lost wake-up: thread %u waits, its signals are %lx, and nobody tells its core",
               thread->index, atomic_load(&thread->pending));
    if (atomic_load(&thread->request) != 0)
        broken("lost request: thread %u was asked %x, and nobody tells its core", thread->index,
               atomic_load(&thread->request));
    if (!thread->in_guest || scribbled[thread->vcpu->vm->index])
        return;
    if (thread->state == THREAD_BLOCKED && guest_has_interrupt(thread->vcpu))
        broken("lost wake-up: the guest of thread %u sleeps, and has an interrupt", thread->index);
    if (thread->core->current == thread && atomic_load(&thread->vcpu->look) != 0)
        broken("lost interrupt: the guest of thread %u runs, and nobody looks", thread->index);
}

static void check_liveness(void)
{
    for (uint32_t i = 0; i < thread_count; i++)
        check_awake(&threads[i]);
    for (uint32_t i = 0; i < core_count; i++) {
        if (atomic_load(&cores[i].inbox) != 0 && atomic_load(&cores[i].arch.interrupts) == 0)
            broken("core %u has mail, and was not interrupted", i);
    }
}

void model_end(struct event *event)
{
    for (uint32_t i = 0; i < event->core->thread_count; i++)
        see_restart(event, event->core->threads[i]);
    for (uint32_t i = 0; i < thread_count; i++) {
        followed[i].asking -= event->asked[i];
        check_signals(event, &threads[i]);
    }
    for (uint32_t i = 0; i < event->core->thread_count; i++)
        check_requests(event->core->threads[i]);
    queues_check(event->core);
    innermost = event->outer;
    if (innermost == NULL)
        check_liveness();
}

bool model_may_stop(const struct thread *thread, const struct random_call *call)
{
    return expect_object(thread, call->argument[0], QUOLL_OBJECT_MACHINE) != NULL &&
           (call->argument[1] == QUOLL_MACHINE_OFF || call->argument[1] == QUOLL_MACHINE_RESET);
}

void model_time(uint64_t ticks)
{
    queues_time(ticks);
}

void model_scribbled(const struct vm *vm)
{
    scribbled[vm->index] = true;
}

void model_check_authority(void)
{
    authority_check();
}

void model_check_all(void)
{
    authority_check();
    pages_check_all();
    for (uint32_t i = 0; i < core_count; i++)
        queues_check_links(&cores[i]);
}

void model_settle(void)
{
    for (uint32_t i = 0; i < thread_count; i++) {
        followed[i].pending = atomic_load(&threads[i].pending);
        followed[i].suspended = threads[i].suspended;
        followed[i].stopped = threads[i].stopped;
        memset(followed[i].lives, 0, sizeof(followed[i].lives));
    }
    authority_check();
    pages_settle();
    queues_settle();
    for (uint32_t i = 0; i < core_count; i++) {
        queues_check(&cores[i]);
        queues_check_links(&cores[i]);
    }
    check_liveness();
}
