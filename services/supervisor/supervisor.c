/*
 * The supervisor: life and end of the system.
 *
 *     RUNNING --- all VMs off or failed ---> DRAINING (clean)  --.
 *        |                                       | mains         |--- every drainable service has answered,
 *        '--------- loss of mains -----------> DRAINING (mains) -'    or has failed ---> ANNOUNCING ---> machine off
 *        ^                                       |        '--> STANDING --.      ^
 *        |                        the mains are back         |   '-----' the time is over
 *        '--- every service goes on --- RETURNING <----------'
 *
 * DRAINING: each drainable service (RapiLog) was told why and answers once everything it has acknowledged is on the disk. At
 * loss of mains the vCPUs are suspended first, so that nothing new competes for the disk. The supervisor does not limit
 * the time: a slow disk is no reason to lose data, and at loss of mains the power supply sets the limit.
 * STANDING: everything is on the disks; for a time that the description sets the machine waits for the mains.
 * RETURNING: each drainable service was told that the mains are back. When all have answered, so that none can take a later
 * loss for this one, the vCPUs go on.
 * ANNOUNCING: the notice (quoll/stream.h) is logged and the console is asked to get it out; a console that does
 * not answer is waited for only ANNOUNCE_NS.
 *
 * Components that fail are restarted (parts.h), also while others drain. What follows is for those that are not, or too often:
 * a VM counts as failed when its VMM says so or has faulted itself; other VMs go on. A drainable service that has
 * faulted cannot be waited for; what it had acknowledged and not written is lost, and that is said. One that was
 * restarted is told again what it is to do.
 */
#include "mains.h"
#include "parts.h"

#include <quoll/config.h>
#include <quoll/life.h>
#include <quoll/quoll.h>
#include <string.h>

#define ANNOUNCE_NS UINT64_C(2000000000)
#define REMIND_NS UINT64_C(10000000000)
#define NOTICE_TEXT 120 /* so that the whole notice is one line of the log */

enum state { RUNNING, DRAINING, STANDING, RETURNING, ANNOUNCING };
/* As in the notice; of several the worst counts. */
enum outcome { OUTCOME_CLEAN = 0, OUTCOME_FAILED = 1, OUTCOME_MAINS_LOST = 2 };

struct vm {
    char name[QUOLL_NAME_SIZE];
    const struct vm_status *status; /* written by the VMM: read each field once */
    uint64_t changed, fault;        /* signals; 0: there is none */
    uint32_t thread_count;
    uint32_t resets;
    bool goes_on; /* at loss of mains: it is the one that tells when they are back */
    bool over;    /* off or failed */
};

struct drain {
    char name[QUOLL_NAME_SIZE];
    uint32_t mains, back, drain; /* channels */
    uint64_t drained, resumed, fault;
    bool over;      /* drained or failed */
    bool failed;    /* there is nothing to be waited for any more */
    bool returning; /* has not answered yet that it goes on */
};

static struct {
    enum state state;
    bool mains_lost;
    struct vm vms[QUOLL_MAX_VMS];
    uint32_t vm_count;
    struct drain drains[CONFIG_MAX_CLIENTS];
    uint32_t drain_count;
    uint64_t mains, fault, flushed;
    uint64_t announced_until, remind_at, stand_until, armed; /* counter values */
    uint64_t off_after_ns;                                   /* how long to stand */
    uint32_t machine;
    char failure[NOTICE_TEXT]; /* the first; empty: there was none */
} supervisor;

/* ------------------------------------------------------------------------------------------------ the end */

static void remind_later(void)
{
    supervisor.remind_at = quoll_now() + quoll_ticks_from_ns(REMIND_NS);
}

/* The timer rings for whatever comes first. */
static void arm(void)
{
    uint64_t at = parts_next_kill();
    if (supervisor.state == DRAINING && supervisor.remind_at < at)
        at = supervisor.remind_at;
    if (supervisor.state == STANDING && supervisor.stand_until < at)
        at = supervisor.stand_until;
    if (supervisor.state == ANNOUNCING && supervisor.announced_until < at)
        at = supervisor.announced_until;
    if (at != supervisor.armed)
        quoll_timer_set(at);
    supervisor.armed = at;
}

static void note_failure(const char *who, const char *why)
{
    quoll_log("%s has failed: %s", who, why);
    if (supervisor.failure[0] == 0)
        quoll_format(supervisor.failure, sizeof supervisor.failure, "%s has failed: %s", who, why);
}

static void announce(void)
{
    enum outcome outcome = OUTCOME_CLEAN;
    const char *text = "all VMs powered off";
    if (supervisor.mains_lost) {
        outcome = OUTCOME_MAINS_LOST;
        text = supervisor.drain_count == 0 ? "the mains were lost"
                                           : "the mains were lost; all drains have ended";
    }
    if (supervisor.failure[0] != 0) {
        outcome = OUTCOME_FAILED;
        text = supervisor.failure;
    }
    supervisor.state = ANNOUNCING;
    quoll_log("switching the machine off: %s", text);
    quoll_log("notice: off %u %s", (unsigned)outcome, text);
    supervisor.announced_until =
        quoll_now() + (supervisor.flushed == 0 ? 0 : quoll_ticks_from_ns(ANNOUNCE_NS));
    if (supervisor.flushed != 0)
        quoll_signal(quoll_handle("console-flush", QUOLL_OBJECT_CHANNEL));
}

static void stand(void)
{
    supervisor.state = STANDING;
    quoll_log(
        "everything acknowledged is on the disks; the machine goes off in %lu ms if the mains "
        "do not come back",
        (unsigned long)(supervisor.off_after_ns / 1000000));
    supervisor.stand_until = quoll_now() + quoll_ticks_from_ns(supervisor.off_after_ns);
}

static void announce_when_drained(void)
{
    for (uint32_t i = 0; i < supervisor.drain_count; i++)
        if (!supervisor.drains[i].over)
            return;
    if (supervisor.mains_lost && supervisor.off_after_ns > 0)
        stand();
    else
        announce();
}

static void tell_to_drain(const struct drain *drain)
{
    quoll_signal(supervisor.mains_lost ? drain->mains : drain->drain);
}

/* The drains are told first: log lines can wait. */
static void drain_all(const char *why)
{
    for (uint32_t i = 0; i < supervisor.drain_count; i++)
        if (!supervisor.drains[i].over)
            tell_to_drain(&supervisor.drains[i]);
    supervisor.state = DRAINING;
    quoll_log("%s", why);
    remind_later();
    announce_when_drained();
}

static void remind(void)
{
    for (uint32_t i = 0; i < supervisor.drain_count; i++)
        if (!supervisor.drains[i].over)
            quoll_log("still waiting for %s to write what it has acknowledged",
                      supervisor.drains[i].name);
    remind_later();
}

static void switch_off(void)
{
    enum quoll_status status = quoll_machine_control(supervisor.machine, QUOLL_MACHINE_OFF);
    quoll_fail("the kernel refuses to switch the machine off (status %u)", (unsigned)status);
}

/* ------------------------------------------------------------------------------------------------ what can happen */

static void control_vcpus(enum quoll_thread_operation operation)
{
    char name[QUOLL_NAME_SIZE];
    for (uint32_t number = 0; number < supervisor.vm_count; number++) {
        const struct vm *vm = &supervisor.vms[number];
        for (uint32_t i = 0; i < vm->thread_count && !vm->goes_on; i++) {
            quoll_format(name, sizeof name, "vm%u.thread%u", number, i);
            quoll_thread_control(quoll_handle(name, QUOLL_OBJECT_THREAD), operation);
        }
    }
}

static bool a_vm_is_left(void)
{
    for (uint32_t i = 0; i < supervisor.vm_count; i++)
        if (!supervisor.vms[i].over)
            return true;
    return supervisor.vm_count == 0;
}

static void lose_mains(void)
{
    supervisor.mains_lost = true;
    control_vcpus(QUOLL_THREAD_SUSPEND);
    drain_all("the mains are lost: the VMs stand still");
}

static void end_when_no_vm_is_left(void)
{
    if (supervisor.state == RUNNING && !a_vm_is_left())
        drain_all("no VM runs any more");
}

static void go_on_when_all_have_returned(void)
{
    for (uint32_t i = 0; i < supervisor.drain_count; i++)
        if (supervisor.drains[i].returning)
            return;
    supervisor.state = RUNNING;
    control_vcpus(QUOLL_THREAD_RESUME);
    quoll_log("the mains are back: the VMs go on");
    if (mains_are_lost())
        lose_mains();
    else
        end_when_no_vm_is_left();
}

/* Without a VM there is nothing to return to: the end goes on, but it need not hurry any more. */
static void regain_mains(void)
{
    supervisor.mains_lost = false;
    if (!a_vm_is_left()) {
        announce_when_drained();
        return;
    }
    supervisor.state = RETURNING;
    for (uint32_t i = 0; i < supervisor.drain_count; i++) {
        struct drain *drain = &supervisor.drains[i];
        drain->returning = !drain->failed;
        drain->over = drain->failed;
        if (drain->returning)
            quoll_signal(drain->back);
    }
    go_on_when_all_have_returned();
}

static void look_at_mains(void)
{
    bool lost = mains_are_lost();
    if (lost == supervisor.mains_lost)
        return;
    if (lost && (supervisor.state == RUNNING || supervisor.state == DRAINING))
        lose_mains();
    else if (!lost && (supervisor.state == DRAINING || supervisor.state == STANDING))
        regain_mains();
}

static void vm_is_over(struct vm *vm)
{
    vm->over = true;
    end_when_no_vm_is_left();
}

/* The VMM's own words: whatever bytes it has left there, as one line of text. */
static void copy_message(const struct vm_status *status, char *text, size_t size)
{
    size_t limit = size - 1 < sizeof status->message ? size - 1 : sizeof status->message;
    size_t length = 0;
    for (; length < limit; length++) {
        char c = __atomic_load_n(&status->message[length], __ATOMIC_RELAXED);
        if (c == 0)
            break;
        text[length] = (uint8_t)c < ' ' || c == 0x7f ? '?' : c;
    }
    text[length] = 0;
}

static void note_resets(struct vm *vm)
{
    uint32_t resets = __atomic_load_n(&vm->status->resets, __ATOMIC_RELAXED);
    if (resets != vm->resets)
        quoll_log("VM %s was reset (%u)", vm->name, resets);
    vm->resets = resets;
}

static void vm_has_failed(struct vm *vm, const char *why)
{
    char who[QUOLL_NAME_SIZE + 4];
    quoll_format(who, sizeof who, "VM %s", vm->name);
    note_failure(who, why);
    vm_is_over(vm);
}

static void vm_changed(struct vm *vm)
{
    char message[sizeof vm->status->message + 1];
    uint32_t state = __atomic_load_n(&vm->status->state, __ATOMIC_ACQUIRE);
    if (vm->over)
        return;
    note_resets(vm);
    if (state == VM_FAILED) {
        copy_message(vm->status, message, sizeof message);
        vm_has_failed(vm, message);
    } else if (state == VM_OFF) {
        quoll_log("VM %s is off", vm->name);
        vm_is_over(vm);
    }
}

static void drain_is_over(struct drain *drain)
{
    bool was_over = drain->over;
    drain->over = true;
    if (supervisor.state == DRAINING && !was_over)
        announce_when_drained();
}

static void drain_has_returned(struct drain *drain)
{
    drain->returning = false;
    if (supervisor.state == RETURNING)
        go_on_when_all_have_returned();
}

static void drain_failed(struct drain *drain)
{
    note_failure(drain->name, "writes that it has acknowledged may be lost");
    drain->failed = true;
    drain_is_over(drain);
    drain_has_returned(drain);
}

static void serve_vms(uint64_t signals)
{
    for (uint32_t i = 0; i < supervisor.vm_count; i++) {
        struct vm *vm = &supervisor.vms[i];
        if ((signals & vm->changed) != 0)
            vm_changed(vm);
        if ((signals & vm->fault) != 0 && !vm->over)
            vm_has_failed(vm, "its VMM has stopped; the report is in the log");
    }
}

static void serve_drains(uint64_t signals)
{
    for (uint32_t i = 0; i < supervisor.drain_count; i++) {
        struct drain *drain = &supervisor.drains[i];
        if ((signals & drain->fault) != 0)
            drain_failed(drain);
        /* before it was asked it has nothing to answer */
        if ((signals & drain->drained) != 0 && supervisor.state == DRAINING)
            drain_is_over(drain);
        if ((signals & drain->resumed) != 0)
            drain_has_returned(drain);
    }
}

/* ------------------------------------------------------------------------------------------------ restarts */

/* A VMM whose vCPUs stand still would wait for them to begin anew. */
static bool can_begin(const struct part *part)
{
    if (supervisor.state == ANNOUNCING)
        return false;
    if (part->vm == CONFIG_NOBODY)
        return true;
    const struct vm *vm = &supervisor.vms[part->vm];
    return !vm->over && (!supervisor.mains_lost || vm->goes_on);
}

static void part_is_lost(const struct part *part)
{
    if (part->vm != CONFIG_NOBODY)
        vm_has_failed(&supervisor.vms[part->vm], "its VMM has stopped; the report is in the log");
    else if (part->drain != CONFIG_NOBODY)
        drain_failed(&supervisor.drains[part->drain]);
    else
        note_failure(part->name, "the report is in the log");
}

/* Its drainable service has not answered yet that it goes on. */
static bool is_returning(const struct part *part)
{
    return supervisor.state == RETURNING && part->drain != CONFIG_NOBODY &&
           supervisor.drains[part->drain].returning;
}

/* What its former life was told, the new one does not know. */
static void tell_again(const struct part *part)
{
    if (part->drain == CONFIG_NOBODY)
        return;
    const struct drain *drain = &supervisor.drains[part->drain];
    if (is_returning(part))
        quoll_signal(drain->back);
    else if (supervisor.state != RUNNING && supervisor.state != RETURNING)
        tell_to_drain(drain);
}

/* Told before it begins anew: signals outlive a restart, so it takes this and what its former life has not taken in one, and
 * answers once. A second `back`, still to be taken when the first is answered, could meet the next loss of mains and call it off. */
static void begin_again(struct part *part)
{
    part->down = false;
    tell_again(part);
    if (!part_failed(part))
        part_is_lost(part);
}

/* One that is to be killed runs, and may be about to answer: then there would be a second `back`, so that has to wait. */
static void serve_part(struct part *part, uint64_t signals)
{
    part->down = part->down || (signals & part->fault) != 0;
    if (part->given_up)
        return;
    if (can_begin(part) && part->down)
        begin_again(part);
    else if (!can_begin(part) || is_returning(part))
        part_spare(part);
    else if (part_killed(part))
        tell_again(part);
}

static void serve_parts(uint64_t signals)
{
    for (uint32_t i = 0; i < parts_count(); i++)
        serve_part(part_number(i), signals);
}

static void serve(uint64_t signals)
{
    if ((signals & QUOLL_SIGNAL_TIMER) != 0)
        supervisor.armed = QUOLL_NEVER;
    serve_drains(signals); /* first: who has just finished need not hurry */
    if ((signals & supervisor.mains) != 0)
        look_at_mains();
    serve_vms(signals);
    if ((signals & supervisor.fault) != 0)
        note_failure("a component", "its name and the report are in the log");
    /* Last: a part that has failed has answered before, and a VMM may have waited for the mains. */
    serve_parts(signals);
    if (supervisor.state == ANNOUNCING &&
        ((signals & supervisor.flushed) != 0 || quoll_now() >= supervisor.announced_until))
        switch_off();
    if (supervisor.state == DRAINING && quoll_now() >= supervisor.remind_at)
        remind();
    else if (supervisor.state == STANDING && quoll_now() >= supervisor.stand_until)
        announce();
    arm();
}

/* ------------------------------------------------------------------------------------------------ set-up */

static uint64_t receive_if_any(const char *name)
{
    const struct quoll_environment_entry *entry = quoll_find(QUOLL_ENVIRONMENT_RECEIVE, name);
    return entry == NULL ? 0 : QUOLL_SIGNAL(entry->number);
}

static uint64_t fault_of(const char *kind, uint32_t number)
{
    char name[QUOLL_NAME_SIZE];
    quoll_format(name, sizeof name, "%s%u.fault", kind, number);
    return receive_if_any(name);
}

static void copy_name(char to[QUOLL_NAME_SIZE], const char from[QUOLL_NAME_SIZE])
{
    quoll_format(to, QUOLL_NAME_SIZE, "%.*s", QUOLL_NAME_SIZE - 1, from);
}

static void find_vms(const struct supervisor_config *config)
{
    if (config->vm_count > QUOLL_MAX_VMS)
        quoll_fail("config names %u VMs, at most %u are possible", config->vm_count, QUOLL_MAX_VMS);
    for (uint32_t i = 0; i < config->vm_count; i++) {
        struct vm *vm = &supervisor.vms[i];
        copy_name(vm->name, config->vm[i].name);
        vm->status = quoll_memory(quoll_numbered("vm", i), sizeof *vm->status);
        vm->changed = quoll_receive(quoll_numbered("vm", i));
        vm->fault = fault_of("vm", i);
        vm->thread_count = config->vm[i].thread_count;
        vm->goes_on = config->vm[i].goes_on != 0;
    }
    supervisor.vm_count = config->vm_count;
}

static void find_drains(const struct supervisor_config *config)
{
    if (config->drain_count > CONFIG_MAX_CLIENTS)
        quoll_fail("config names %u drainable services, at most %u are possible",
                   config->drain_count, CONFIG_MAX_CLIENTS);
    for (uint32_t i = 0; i < config->drain_count; i++) {
        struct drain *drain = &supervisor.drains[i];
        copy_name(drain->name, config->drain[i]);
        drain->mains = quoll_handle(quoll_numbered("mains", i), QUOLL_OBJECT_CHANNEL);
        drain->back = quoll_handle(quoll_numbered("back", i), QUOLL_OBJECT_CHANNEL);
        drain->resumed = quoll_receive(quoll_numbered("resumed", i));
        drain->drain = quoll_handle(quoll_numbered("drain", i), QUOLL_OBJECT_CHANNEL);
        drain->drained = quoll_receive(quoll_numbered("drained", i));
        drain->fault = fault_of("drain", i);
    }
    supervisor.drain_count = config->drain_count;
}

void component_main(void)
{
    const struct supervisor_config *config = quoll_memory("config", sizeof *config);
    memset(&supervisor, 0, sizeof supervisor);
    find_vms(config);
    find_drains(config);
    mains_find(config->power_count);
    supervisor.off_after_ns = config->off_after_ns;
    supervisor.mains = receive_if_any("mains");
    supervisor.fault = receive_if_any("fault");
    supervisor.flushed = receive_if_any("console-flushed");
    supervisor.machine = quoll_handle("machine", QUOLL_OBJECT_MACHINE);
    supervisor.armed = QUOLL_NEVER;
    parts_start(config);
    for (uint32_t i = 0; i < parts_count(); i++) {
        const struct part *part = part_number(i);
        if ((part->vm != CONFIG_NOBODY && part->vm >= supervisor.vm_count) ||
            (part->drain != CONFIG_NOBODY && part->drain >= supervisor.drain_count))
            quoll_fail("config gives part %s a VM or a drain that is not there", part->name);
    }
    arm();
    for (;;)
        serve(quoll_wait());
}
