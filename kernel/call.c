/*
 * The system calls (quoll/abi.h).
 *
 * Each handler first decodes: finds objects by handle in the calling component's table and checks every
 * argument, refusing with a status; what follows then cannot fail. No handler allocates or waits for
 * another core.
 */
#include "call.h"
#include "log.h"
#include "sched.h"
#include "signal.h"
#include <stdatomic.h>

typedef enum quoll_status (*call_handler)(struct core *core, struct thread *thread,
                                          const uint64_t argument[5]);

/* Decode: the object that `handle` names in the thread's component, if it has that type. */
static enum quoll_status find_object(const struct thread *thread, uint64_t handle, uint32_t type,
                                     uint32_t *index)
{
    const struct component *component = thread->component;
    if (handle >= component->object_count) {
        return QUOLL_BAD_HANDLE;
    }
    const struct object *object = &objects[component->first_object + handle];
    if (object->type != type) {
        return QUOLL_WRONG_TYPE;
    }
    *index = object->index;
    return QUOLL_OK;
}

static enum quoll_status call_wait(struct core *core, struct thread *thread,
                                   const uint64_t argument[5])
{
    if (log_channel != NULL && log_channel->thread == thread) {
        klog_taken_over();
    }
    uint64_t signals = signals_take(thread);
    thread->registers.x[1] = signals;
    if (signals == 0) {
        sched_block(core, thread);
    }
    return QUOLL_OK;
}

static enum quoll_status call_vcpu_run(struct core *core, struct thread *thread,
                                       const uint64_t argument[5])
{
    uint32_t index;
    enum quoll_status status = find_object(thread, argument[0], QUOLL_OBJECT_VCPU, &index);
    if (status != QUOLL_OK) {
        return status;
    }
    if (thread->vcpu != &vcpus[index]) {
        return QUOLL_NOT_ALLOWED;
    }
    uint64_t signals = signals_take(thread);
    thread->registers.x[1] = signals;
    if (signals != 0) {
        return QUOLL_OK;
    }
    status = arch_vcpu_prepare(core, thread->vcpu);
    thread->in_guest = status == QUOLL_OK;
    return status;
}

static enum quoll_status call_signal(struct core *core, struct thread *thread,
                                     const uint64_t argument[5])
{
    uint32_t index;
    if (find_object(thread, argument[0], QUOLL_OBJECT_LINE, &index) == QUOLL_OK) {
        vm_interrupt(core, lines[index].vm, 0, lines[index].intid);
        return QUOLL_OK;
    }
    enum quoll_status status = find_object(thread, argument[0], QUOLL_OBJECT_CHANNEL, &index);
    if (status == QUOLL_OK) {
        signal_raise(core, channels[index].thread, QUOLL_SIGNAL(channels[index].bit));
    }
    return status;
}

static enum quoll_status call_irq_ack(struct core *core, struct thread *thread,
                                      const uint64_t argument[5])
{
    uint32_t index;
    enum quoll_status status = find_object(thread, argument[0], QUOLL_OBJECT_IRQ, &index);
    if (status == QUOLL_OK && irqs[index].thread->core != core) {
        status = QUOLL_NOT_ALLOWED; /* an interrupt is ended on the core that took it */
    }
    if (status == QUOLL_OK) {
        arch_irq_deactivate(irqs[index].intid);
    }
    return status;
}

static void alarm_fire(struct core *core, struct timer *timer)
{
    struct thread *thread = (struct thread *)((uint8_t *)timer - offsetof(struct thread, alarm));
    signal_raise(core, thread, QUOLL_SIGNAL_TIMER);
}

static enum quoll_status call_timer_set(struct core *core, struct thread *thread,
                                        const uint64_t argument[5])
{
    thread->alarm.fire = alarm_fire;
    timer_arm(core, &thread->alarm, argument[0]);
    sched_program_deadline(core);
    return QUOLL_OK;
}

static enum quoll_status call_vcpu_irq(struct core *core, struct thread *thread,
                                       const uint64_t argument[5])
{
    uint32_t index;
    enum quoll_status status = find_object(thread, argument[0], QUOLL_OBJECT_VM, &index);
    if (status != QUOLL_OK) {
        return status;
    }
    struct vm *vm = &vms[index];
    bool look = argument[2] == QUOLL_VCPU_IRQ_LOOK;
    bool all = look && argument[1] == QUOLL_VCPU_ALL;
    bool private = look || argument[2] < 32;
    if ((!look && argument[2] >= 32 + QUOLL_VM_SPIS) ||
        (private && !all && argument[1] >= vm->vcpu_count)) {
        return QUOLL_BAD_ARGUMENT;
    }
    if (!look) {
        vm_interrupt(core, vm, (uint32_t)argument[1], (uint32_t)argument[2]);
    } else if (!all) {
        vcpu_poke(core, &vm->vcpus[argument[1]]);
    } else {
        for (uint32_t i = 0; i < vm->vcpu_count; i++) {
            vcpu_poke(core, &vm->vcpus[i]);
        }
    }
    return QUOLL_OK;
}

/* What of a VM's guest-physical memory a call is about. */
struct paged_range {
    struct vm *vm;
    ipaddr_t address;
    uint64_t size;
};

/* Decode: the range lies page-aligned in the VM's paged range, and is not too much for one call. */
static enum quoll_status find_paged_range(const struct thread *thread, const uint64_t argument[],
                                          uint64_t size, struct paged_range *range)
{
    uint32_t index;
    enum quoll_status status = find_object(thread, argument[0], QUOLL_OBJECT_VM, &index);
    if (status != QUOLL_OK) {
        return status;
    }
    struct vm *vm = &vms[index];
    uint64_t address = argument[1], start = vm->paged_address.value;
    bool inside = address >= start && address - start <= vm->paged_size &&
                  size <= vm->paged_size - (address - start);
    bool aligned = is_aligned(address, PAGE_SIZE) && is_aligned(size, PAGE_SIZE) && size != 0;
    *range = (struct paged_range){vm, ipaddr(address), size};
    return inside && aligned && size <= QUOLL_MAP_BYTES ? QUOLL_OK : QUOLL_BAD_ARGUMENT;
}

#define VM_RIGHTS (QUOLL_READ | QUOLL_WRITE | QUOLL_EXECUTE)

static bool rights_good(uint64_t rights)
{
    return (rights & ~(uint64_t)VM_RIGHTS) == 0 && (rights & QUOLL_READ) != 0;
}

static enum quoll_status call_map(struct core *core, struct thread *thread,
                                  const uint64_t argument[5])
{
    uint64_t size = argument[4] & ~(PAGE_SIZE - 1);
    uint64_t rights = argument[4] & (PAGE_SIZE - 1);
    struct paged_range range;
    uint32_t index;
    enum quoll_status status = find_paged_range(thread, argument, size, &range);
    if (status == QUOLL_OK) {
        status = find_object(thread, argument[2], QUOLL_OBJECT_REGION, &index);
    }
    if (status != QUOLL_OK) {
        return status;
    }
    const struct region *region = &regions[index];
    uint64_t offset = argument[3];
    if (!is_aligned(offset, PAGE_SIZE) || offset > region->size || size > region->size - offset ||
        !rights_good(rights)) {
        return QUOLL_BAD_ARGUMENT;
    }
    /* Break before make (Arm ARM D8.14): the old translation must be gone before the new one. */
    struct stage2 *space = &range.vm->space;
    stage2_clear_pages(space, range.address, size);
    arch_tlb_invalidate(space, range.address, size);
    stage2_set_pages(space, range.address, paddr(region->base.value + offset), size,
                     (uint32_t)rights);
    arch_tables_written();
    return QUOLL_OK;
}

static enum quoll_status call_unmap(struct core *core, struct thread *thread,
                                    const uint64_t argument[5])
{
    struct paged_range range;
    enum quoll_status status = find_paged_range(thread, argument, argument[2], &range);
    if (status == QUOLL_OK) {
        stage2_clear_pages(&range.vm->space, range.address, range.size);
        arch_tlb_invalidate(&range.vm->space, range.address, range.size);
    }
    return status;
}

static enum quoll_status call_protect(struct core *core, struct thread *thread,
                                      const uint64_t argument[5])
{
    struct paged_range range;
    enum quoll_status status = find_paged_range(thread, argument, argument[2], &range);
    if (status == QUOLL_OK && !rights_good(argument[3])) {
        status = QUOLL_BAD_ARGUMENT;
    }
    if (status == QUOLL_OK) {
        stage2_protect_pages(&range.vm->space, range.address, range.size, (uint32_t)argument[3]);
        arch_tlb_invalidate(&range.vm->space, range.address, range.size);
    }
    return status;
}

static enum quoll_status find_thread(const struct thread *thread, uint64_t handle,
                                     struct thread **target)
{
    uint32_t index;
    enum quoll_status status = find_object(thread, handle, QUOLL_OBJECT_THREAD, &index);
    if (status == QUOLL_OK) {
        *target = &threads[index];
    }
    return status;
}

/* What an operation asks of the target's core, and what it takes back. */
static const struct {
    uint32_t request, opposite;
} thread_operations[] = {
    [QUOLL_THREAD_SUSPEND] = {THREAD_REQUEST_SUSPEND, THREAD_REQUEST_RESUME},
    [QUOLL_THREAD_RESUME] = {THREAD_REQUEST_RESUME, THREAD_REQUEST_SUSPEND},
    [QUOLL_THREAD_RESTART] = {THREAD_REQUEST_RESTART, THREAD_REQUEST_STOP},
};

static enum quoll_status call_thread_control(struct core *core, struct thread *thread,
                                             const uint64_t argument[5])
{
    struct thread *target;
    enum quoll_status status = find_thread(thread, argument[0], &target);
    if (status == QUOLL_OK && argument[1] >= ARRAY_SIZE(thread_operations)) {
        status = QUOLL_BAD_ARGUMENT;
    }
    /* The caller's registers receive this call's status, so they cannot be those of a fresh start. */
    if (status == QUOLL_OK && argument[1] == QUOLL_THREAD_RESTART && target == thread) {
        status = QUOLL_NOT_ALLOWED;
    }
    if (status != QUOLL_OK) {
        return status;
    }
    if (argument[1] == QUOLL_THREAD_RESTART) {
        atomic_store(&target->life, argument[2]);
    }
    thread_ask(target, thread_operations[argument[1]].request,
               thread_operations[argument[1]].opposite);
    thread_poke(core, target);
    return QUOLL_OK;
}

static enum quoll_status call_thread_budget(struct core *core, struct thread *thread,
                                            const uint64_t argument[5])
{
    struct thread *target;
    enum quoll_status status = find_thread(thread, argument[0], &target);
    if (status == QUOLL_OK && (argument[1] == 0 || argument[1] > argument[2] ||
                               argument[2] > arch_frequency() * SCHED_LONGEST_PERIOD)) {
        status = QUOLL_BAD_ARGUMENT;
    }
    if (status == QUOLL_OK) {
        atomic_store(&target->new_share, sched_share_pack(argument[1], argument[2]));
        atomic_fetch_or(&target->request, THREAD_REQUEST_BUDGET);
        thread_poke(core, target);
    }
    return status;
}

static enum quoll_status call_machine_control(struct core *core, struct thread *thread,
                                              const uint64_t argument[5])
{
    uint32_t index;
    enum quoll_status status = find_object(thread, argument[0], QUOLL_OBJECT_MACHINE, &index);
    if (status != QUOLL_OK) {
        return status;
    }
    switch (argument[1]) {
    case QUOLL_MACHINE_OFF:
        arch_machine_off();
    case QUOLL_MACHINE_RESET:
        arch_machine_reset();
    default:
        return QUOLL_BAD_ARGUMENT;
    }
}

/* What one thread may log: with more it could push the others' lines, and the kernel's reports, out of the core's ring
 * before anybody has shown them. */
#define LOG_LINES 32u
#define LOG_PERIODS_PER_SECOND 10u

static void log_period_begin(struct thread *thread, uint64_t now)
{
    if (thread->log_left_out != 0) {
        klog("component '%s' logs too much: %u lines left out", thread->component->name,
             thread->log_left_out);
    }
    thread->log_period = now;
    thread->log_lines = 0;
    thread->log_left_out = 0;
}

static void line_end(struct thread *thread)
{
    uint64_t now = arch_now();
    if (now - thread->log_period >= arch_frequency() / LOG_PERIODS_PER_SECOND) {
        log_period_begin(thread, now);
    }
    if (thread->log_lines < LOG_LINES) {
        thread->log_lines++;
        klog_line(thread->component->name, thread->line, thread->line_length);
    } else {
        thread->log_left_out++;
    }
    thread->line_length = 0;
}

static enum quoll_status call_debug_put(struct core *core, struct thread *thread,
                                        const uint64_t argument[5])
{
    if (argument[0] > 32) {
        return QUOLL_BAD_ARGUMENT;
    }
    for (uint32_t i = 0; i < argument[0]; i++) {
        unsigned char c = (unsigned char)(argument[1 + i / 8] >> (i % 8 * 8));
        if (c == '\n') {
            line_end(thread);
            continue;
        }
        /* Control characters, those above 0x7f too, could redraw a terminal or forge the console's frames. */
        thread->line[thread->line_length++] = (char)(c >= 0x20 && c < 0x7f ? c : '.');
        if (thread->line_length == QUOLL_DEBUG_LINE) {
            line_end(thread);
        }
    }
    return QUOLL_OK;
}

static const call_handler handlers[] = {
#define CALL(number, name, arguments, summary) [number] = call_##name,
    QUOLL_CALLS(CALL)
#undef CALL
};

void call_dispatch(struct core *core, struct thread *thread)
{
    struct quoll_registers *registers = &thread->registers;
    uint64_t number = registers->x[8];
    if (number >= ARRAY_SIZE(handlers)) {
        registers->x[0] = QUOLL_BAD_CALL;
        return;
    }
    /* The arguments are read where they are: each handler reads them before it writes a value. */
    enum quoll_status status = handlers[number](core, thread, registers->x);
    /* A handler that delivered signals has written this already, with the same value. */
    registers->x[0] = status;
}
