/* The end of a system in every order it can come: VMs that power off or fail, drains that answer or die, mains that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quoll/config.h>
#include <quoll/life.h>
#include <quoll/power.h>
#include <quoll/twin.h>
#include <string.h>
#include <unistd.h>

void supervisor_main(void);

/* Two VMs with two vCPUs each; their VMMs do nothing by themselves, the test speaks for them. Two drains. */
enum { VMS = 2, VCPUS = 2, DRAINS = 2, SOURCES = 2 };

struct system {
    struct twin *twin;
    struct twin_component *vmm[VMS], *drain[DRAINS], *part[3];
    struct vm_status *status[VMS];
    struct power_source *power[SOURCES];
};

static void idle_main(void)
{
    for (;;)
        quoll_wait();
}

static void idle_thread(uint32_t number)
{
    idle_main();
}

/* A numbered name that outlives the next call. */
struct name {
    char text[QUOLL_NAME_SIZE];
};

static struct name name(const char *format, uint32_t a, uint32_t b)
{
    struct name result;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    quoll_format(result.text, sizeof result.text, format, a, b);
#pragma GCC diagnostic pop
    return result;
}

static void add_vm(struct system *s, struct twin_component *test, struct twin_component *supervisor,
                   uint32_t i)
{
    s->vmm[i] = twin_component(s->twin, "vmm", idle_main, idle_thread, VCPUS + 1);
    twin_expect_failure(s->vmm[i]);
    s->status[i] = twin_memory(s->twin, sizeof *s->status[i]);
    twin_give_memory(supervisor, name("vm%u", i, 0).text, s->status[i], sizeof *s->status[i]);
    twin_connect(test, name("vm%u", i, 0).text, supervisor, 0, name("vm%u", i, 0).text);
    twin_fault_channel(s->vmm[i], supervisor, 0, name("vm%u.fault", i, 0).text);
    for (uint32_t j = 0; j < VCPUS; j++)
        twin_give_thread(supervisor, name("vm%u.thread%u", i, j).text, s->vmm[i], j + 1);
}

static void add_drain(struct system *s, struct twin_component *test,
                      struct twin_component *supervisor, uint32_t i)
{
    s->drain[i] = twin_component(s->twin, "rapilog", idle_main, NULL, 1);
    twin_connect(supervisor, name("mains%u", i, 0).text, test, 0, name("mains%u", i, 0).text);
    twin_connect(supervisor, name("drain%u", i, 0).text, test, 0, name("drain%u", i, 0).text);
    twin_connect(supervisor, name("back%u", i, 0).text, test, 0, name("back%u", i, 0).text);
    twin_connect(test, name("drained%u", i, 0).text, supervisor, 0, name("drained%u", i, 0).text);
    twin_connect(test, name("resumed%u", i, 0).text, supervisor, 0, name("resumed%u", i, 0).text);
    twin_fault_channel(s->drain[i], supervisor, 0, name("drain%u.fault", i, 0).text);
}

/* Parts that can be restarted: a disk driver, the VMM of VM 0, the first drain. All are idle components; their faults are the
 * test's signals. */
enum { PART_DRIVER, PART_VMM, PART_DRAIN, PARTS };

static uint32_t killed = PART_DRIVER, kills; /* 0: not at all */
static bool without_drains;

static void add_parts(struct system *s, struct twin_component *test,
                      struct twin_component *supervisor, struct supervisor_config *config)
{
    static const char *const names[PARTS] = {"nvme.disk0", "vmm.db", "rapilog0"};
    static const uint32_t thread_counts[PARTS] = {1, VCPUS + 1, 1};
    s->part[PART_DRIVER] = twin_component(s->twin, "nvme.disk0", idle_main, NULL, 1);
    s->part[PART_VMM] = s->vmm[0];
    s->part[PART_DRAIN] = s->drain[0];
    config->part_count = PARTS;
    for (uint32_t i = 0; i < PARTS; i++) {
        config->part[i].thread_count = thread_counts[i];
        config->part[i].vm = i == PART_VMM ? 0 : CONFIG_NOBODY;
        config->part[i].drain = i == PART_DRAIN && !without_drains ? 0 : CONFIG_NOBODY;
        quoll_format(config->part[i].name, QUOLL_NAME_SIZE, "%s", names[i]);
        twin_connect(test, name("part%u", i, 0).text, supervisor, 0,
                     name("part%u.fault", i, 0).text);
        for (uint32_t j = 0; j < thread_counts[i]; j++)
            twin_give_thread(supervisor, name("part%u.thread%u", i, j).text, s->part[i], j);
    }
}

static struct system set_up_with(uint64_t off_after_ns, bool monitor)
{
    struct system s = {.twin = twin_create()};
    struct supervisor_config config = {.vm_count = VMS,
                                       .drain_count = without_drains ? 0 : DRAINS,
                                       .vm = {{"db", VCPUS, 0}, {"rt", VCPUS, 0}},
                                       .drain = {"rapilog0", "rapilog1"},
                                       .power_count = SOURCES,
                                       .off_after_ns = off_after_ns};
    config.vm[1].goes_on = monitor;
    struct twin_component *test = twin_adopt(s.twin, "test");
    struct twin_component *supervisor =
        twin_component(s.twin, "supervisor", supervisor_main, NULL, 1);
    config.part[killed].kills = kills;
    config.part[killed].kill_after_ns = config.part[killed].kill_every_ns = 20000000;
    for (uint32_t i = 0; i < VMS; i++)
        add_vm(&s, test, supervisor, i);
    for (uint32_t i = 0; i < DRAINS; i++)
        add_drain(&s, test, supervisor, i);
    for (uint32_t i = 0; i < SOURCES; i++) {
        s.power[i] = twin_memory(s.twin, sizeof *s.power[i]);
        twin_give_memory(supervisor, name("power%u", i, 0).text, s.power[i], sizeof *s.power[i]);
    }
    add_parts(&s, test, supervisor, &config);
    twin_give_config(supervisor, &config, sizeof config);
    twin_connect(test, "mains", supervisor, 0, "mains");
    twin_connect(test, "fault", supervisor, 0, "fault");
    twin_connect(supervisor, "console-flush", test, 0, "console-flush");
    twin_connect(test, "console-flushed", supervisor, 0, "console-flushed");
    twin_give_thread(test, "supervisor", supervisor, 0);
    twin_give_machine(supervisor, "machine");
    twin_start(s.twin);
    return s;
}

static struct system set_up(void)
{
    return set_up_with(0, false);
}

/* What is raised while it stands still, the supervisor takes as one. */
static void supervisor_stands_still(bool still)
{
    quoll_thread_control(quoll_handle("supervisor", QUOLL_OBJECT_THREAD),
                         still ? QUOLL_THREAD_SUSPEND : QUOLL_THREAD_RESUME);
}

static void raise(const char *channel)
{
    assert_int_equal(quoll_signal(quoll_handle(channel, QUOLL_OBJECT_CHANNEL)), QUOLL_OK);
}

static void mains_are(struct system *s, bool lost)
{
    power_tell(s->power[0], quoll_handle("mains", QUOLL_OBJECT_CHANNEL), lost);
}

static void vm_becomes(struct system *s, uint32_t vm, enum vm_state to, const char *message)
{
    quoll_format(s->status[vm]->message, sizeof s->status[vm]->message, "%s", message);
    __atomic_store_n(&s->status[vm]->state, to, __ATOMIC_RELEASE);
    raise(name("vm%u", vm, 0).text);
}

static void vms_go_off(struct system *s)
{
    for (uint32_t i = 0; i < VMS; i++)
        vm_becomes(s, i, VM_OFF, "");
}

static void expect(const char *receive)
{
    if (!twin_await(quoll_receive(receive), 10000))
        fail_msg("the supervisor does not raise %s", receive);
}

static struct name of_drain(const char *what, uint32_t drain)
{
    struct name result;
    quoll_format(result.text, sizeof result.text, "%s%u", what, drain);
    return result;
}

/* Of every drain: "mains" for "mains0" and "mains1". */
static void raise_each(const char *channel)
{
    for (uint32_t i = 0; i < DRAINS; i++)
        raise(of_drain(channel, i).text);
}

static void expect_each(const char *receive)
{
    for (uint32_t i = 0; i < DRAINS; i++)
        expect(of_drain(receive, i).text);
}

static void expect_not(const char *receive)
{
    if (twin_await(quoll_receive(receive), 30))
        fail_msg("the supervisor raises %s too early", receive);
}

static void expect_machine_off(struct system *s)
{
    enum quoll_machine_operation operation;
    assert_true(twin_await_machine(s->twin, &operation, 10000));
    assert_int_equal(operation, QUOLL_MACHINE_OFF);
}

static void machine_goes_off_with(struct system *s, const char *notice)
{
    enum quoll_machine_operation operation;
    expect("console-flush");
    assert_true(twin_logged(s->twin, notice));
    assert_false(twin_await_machine(s->twin, &operation, 20)); /* not before the console has it */
    raise("console-flushed");
    expect_machine_off(s);
}

/* ------------------------------------------------------------------------------------------------ */

static void when_all_vms_are_off_everything_is_drained_and_the_machine_goes_off(void **state)
{
    struct system s = set_up();
    vm_becomes(&s, 0, VM_RUNNING, "");
    vm_becomes(&s, 0, VM_OFF, "");
    expect_not("drain0");
    vm_becomes(&s, 1, VM_OFF, "");
    expect_each("drain");
    raise("drained1");
    expect_not("console-flush");
    raise("drained0");
    machine_goes_off_with(&s, "supervisor: notice: off 0 all VMs powered off\n");
    assert_false(twin_is_suspended(s.vmm[0], 1));
    twin_destroy(s.twin);
}

static void a_failed_vm_is_named_with_its_reason(void **state)
{
    struct system s = set_up();
    vm_becomes(&s, 0, VM_FAILED, "the kernel is not a\nLinux Image");
    vm_becomes(&s, 1, VM_OFF, "");
    expect_each("drain");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 1 VM db has failed: the kernel is not a?Linux Image\n");
    twin_destroy(s.twin);
}

static void a_vm_whose_vmm_dies_counts_as_failed_and_the_other_goes_on(void **state)
{
    struct system s = set_up();
    twin_kill(s.vmm[1]);
    assert_true(twin_await_log(s.twin, "VM rt has failed: its VMM has stopped", 10000));
    expect_not("drain0");
    vm_becomes(&s, 0, VM_OFF, "");
    expect_each("drain");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 1 VM rt has failed: its VMM has stopped");
    twin_destroy(s.twin);
}

static void at_loss_of_mains_the_vcpus_stop_before_the_drains_begin(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect("mains0");
    for (uint32_t i = 0; i < VMS; i++)
        for (uint32_t j = 1; j <= VCPUS; j++)
            assert_true(twin_is_suspended(s.vmm[i], j));
    assert_false(
        twin_is_suspended(s.vmm[0], 0)); /* the device thread may finish what is in flight */
    expect("mains1");
    expect_not("drain0");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 2 the mains were lost");
    twin_destroy(s.twin);
}

static void loss_of_mains_during_a_clean_end_hurries_the_rest(void **state)
{
    struct system s = set_up();
    vms_go_off(&s);
    expect_each("drain");
    raise("drained0");
    mains_are(&s, true);
    expect("mains1");
    expect_not("mains0"); /* it has nothing left to do */
    raise("drained1");
    machine_goes_off_with(&s, "notice: off 2 the mains were lost");
    twin_destroy(s.twin);
}

static void expect_running(struct system *s, bool running)
{
    for (int patience = 0; twin_is_suspended(s->vmm[0], 1) == running; patience++) {
        if (patience == 1000)
            fail_msg("a vCPU %s", running ? "still stands still" : "still runs");
        twin_wait(5);
    }
}

static void mains_that_come_back_during_the_drain_let_everything_go_on(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect_each("mains");
    raise("drained0");
    mains_are(&s, false);
    expect("back0"); /* also the one that has drained already */
    expect("back1");
    raise("drained1"); /* too late: it is no answer to a later loss */
    raise("resumed1");
    expect_running(&s, false); /* not before both have answered */
    raise("resumed0");
    expect_running(&s, true);
    expect_not("console-flush");
    mains_are(&s, true); /* and once more, for good */
    expect_each("mains");
    expect_running(&s, false);
    raise("drained0");
    expect_not("console-flush");
    raise("drained1");
    machine_goes_off_with(&s, "notice: off 2 the mains were lost");
    twin_destroy(s.twin);
}

static void mains_lost_again_before_all_have_returned_are_lost_after_that(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect_each("mains");
    mains_are(&s, false);
    expect_each("back");
    mains_are(&s, true);
    raise("resumed0");
    expect_not("mains0");
    raise("resumed1");
    expect_each("mains");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 2 the mains were lost");
    twin_destroy(s.twin);
}

static void the_mains_are_lost_while_any_source_says_so(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect("mains0");
    power_tell(s.power[1], quoll_handle("mains", QUOLL_OBJECT_CHANNEL), true);
    mains_are(&s, false);
    expect_not("back0");
    power_tell(s.power[1], quoll_handle("mains", QUOLL_OBJECT_CHANNEL), false);
    expect("back0");
    twin_destroy(s.twin);
}

static void a_dead_drain_does_not_keep_the_others_from_going_on(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect_each("mains");
    twin_kill(s.drain[0]);
    mains_are(&s, false);
    expect("back1");
    twin_kill(s.drain[1]);
    expect_running(&s, true);
    twin_destroy(s.twin);
}

static void with_time_to_stand_the_machine_waits_for_the_mains(void **state)
{
    struct system s = set_up_with(300000000, false);
    mains_are(&s, true);
    expect("mains0");
    raise_each("drained");
    assert_true(twin_await_log(s.twin, "the machine goes off in 300 ms", 10000));
    mains_are(&s, false);
    expect_each("back");
    raise_each("resumed");
    expect_running(&s, true);
    mains_are(&s, true);
    expect_each("mains");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 2 the mains were lost");
    twin_destroy(s.twin);
}

static void mains_back_during_a_clean_end_let_it_end_cleanly(void **state)
{
    struct system s = set_up();
    vms_go_off(&s);
    expect("drain0");
    mains_are(&s, true);
    expect("mains0");
    mains_are(&s, false);
    expect_not("back0");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 0 all VMs powered off\n");
    twin_destroy(s.twin);
}

static void the_vm_that_watches_the_mains_does_not_stand_still(void **state)
{
    struct system s = set_up_with(0, true);
    mains_are(&s, true);
    expect("mains0");
    assert_true(twin_is_suspended(s.vmm[0], 1));
    assert_false(twin_is_suspended(s.vmm[1], 1));
    twin_destroy(s.twin);
}

static void a_dead_drain_is_reported_loudly_and_not_waited_for(void **state)
{
    struct system s = set_up();
    twin_kill(s.drain[0]);
    assert_true(twin_await_log(
        s.twin, "rapilog0 has failed: writes that it has acknowledged may be lost", 10000));
    mains_are(&s, true);
    expect("mains1");
    raise("drained1");
    machine_goes_off_with(&s, "notice: off 1 rapilog0 has failed");
    twin_destroy(s.twin);
}

static void a_drain_that_dies_while_it_drains_does_not_hang_the_end(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect_each("mains");
    raise("drained1");
    expect_not("console-flush");
    twin_kill(s.drain[0]);
    machine_goes_off_with(&s, "notice: off 1 rapilog0 has failed");
    twin_destroy(s.twin);
}

static void an_answer_before_the_question_does_not_count(void **state)
{
    struct system s = set_up();
    raise_each("drained");
    twin_wait(10);
    vms_go_off(&s);
    expect("drain0");
    expect_not("console-flush");
    twin_destroy(s.twin);
}

static void a_console_that_does_not_answer_is_waited_for_only_so_long(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect("mains0");
    raise_each("drained");
    expect("console-flush");
    expect_machine_off(&s);
    twin_destroy(s.twin);
}

static void a_failed_component_makes_the_end_unclean(void **state)
{
    struct system s = set_up();
    raise("fault");
    vms_go_off(&s);
    expect("drain0");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 1 a component has failed");
    twin_destroy(s.twin);
}

/* ------------------------------------------------------------------------------------------------ restarts */

static void expect_life(struct twin_component *component, uint32_t thread, uint64_t life)
{
    for (int i = 0; i < 1000 && twin_life(component, thread) < life; i++)
        twin_wait(5);
    assert_int_equal(twin_life(component, thread), life);
}

static void expect_life_of_at_least(struct twin_component *component, uint64_t life)
{
    for (int i = 0; i < 1000 && twin_life(component, 0) < life; i++)
        twin_wait(5);
    assert_true(twin_life(component, 0) >= life);
}

static bool restarts_are_held; /* by the test: a restart that the supervisor asks for waits */

static void hold_restarts(bool held)
{
    __atomic_store_n(&restarts_are_held, held, __ATOMIC_SEQ_CST);
}

/* Around the call, by the linker. */
enum quoll_status __real_quoll_thread_restart(uint32_t thread, uint64_t life);
enum quoll_status __wrap_quoll_thread_restart(uint32_t thread, uint64_t life);

enum quoll_status __wrap_quoll_thread_restart(uint32_t thread, uint64_t life)
{
    while (__atomic_load_n(&restarts_are_held, __ATOMIC_SEQ_CST))
        usleep(1000);
    return __real_quoll_thread_restart(thread, life);
}

static void a_part_that_fails_begins_anew_with_all_its_threads(void **state)
{
    struct system s = set_up();
    for (uint64_t life = 1; life <= 3; life++) {
        raise("part1");
        for (uint32_t thread = 0; thread <= VCPUS; thread++)
            expect_life(s.vmm[0], thread, life);
    }
    assert_int_equal(twin_life(s.part[PART_DRIVER], 0), 0);
    expect_not("drain0"); /* the VM goes on */
    twin_destroy(s.twin);
}

static void a_part_that_fails_too_often_is_given_up(void **state)
{
    struct system s = set_up();
    for (uint64_t life = 1; life < 8; life++) {
        raise("part0");
        expect_life(s.part[PART_DRIVER], 0, life);
    }
    raise("part0");
    vms_go_off(&s);
    expect_each("drain");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 1 nvme.disk0 has failed");
    assert_int_equal(twin_life(s.part[PART_DRIVER], 0), 7);
    twin_destroy(s.twin);
}

static void a_drain_that_is_restarted_is_told_again_what_to_do(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect("mains0");
    raise("part2");
    expect("mains0");
    expect_life(s.drain[0], 0, 1);
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 2 the mains were lost");
    twin_destroy(s.twin);
}

static void a_vmm_that_fails_without_mains_begins_anew_when_they_are_back(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect("mains0");
    raise("part1");
    expect_not("drain0");
    assert_int_equal(twin_life(s.vmm[0], 0), 0);
    mains_are(&s, false);
    expect("back0");
    raise_each("resumed");
    expect_life(s.vmm[0], 0, 1);
    twin_destroy(s.twin);
}

static void without_drains_too_a_vmm_begins_anew_when_the_mains_are_back(void **state)
{
    without_drains = true;
    struct system s = set_up_with(10000000000, false);
    without_drains = false;
    mains_are(&s, true);
    assert_true(twin_await_log(s.twin, "the machine goes off in 10000 ms", 10000));
    raise("part1");
    twin_wait(30);
    assert_int_equal(twin_life(s.vmm[0], 0), 0);
    mains_are(&s, false);
    expect_life(s.vmm[0], 0, 1);
    twin_destroy(s.twin);
}

/* It answers, fails, and the mains are lost again, all before the supervisor looks. */
static void
a_drain_that_fails_after_its_answer_is_not_told_again_that_the_mains_are_back(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect_each("mains");
    mains_are(&s, false);
    expect_each("back");
    raise("resumed1");
    supervisor_stands_still(true);
    raise("resumed0");
    raise("part2");
    mains_are(&s, true);
    supervisor_stands_still(false);
    expect_each("mains");
    expect_life(s.drain[0], 0, 1);
    expect_not("back0");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 2 the mains were lost");
    twin_destroy(s.twin);
}

static void a_drain_that_fails_before_its_answer_is_waited_for_in_its_new_life(void **state)
{
    struct system s = set_up();
    mains_are(&s, true);
    expect_each("mains");
    mains_are(&s, false);
    expect_each("back");
    raise("resumed1");
    hold_restarts(true);
    raise("part2");
    expect("back0"); /* before it begins: it takes one `back`, and answers once */
    assert_int_equal(twin_life(s.drain[0], 0), 0);
    hold_restarts(false);
    expect_life(s.drain[0], 0, 1);
    expect_not("back0");
    expect_running(&s, false);
    raise("resumed0");
    expect_running(&s, true);
    twin_destroy(s.twin);
}

static void a_drain_is_not_killed_before_it_has_answered_that_it_goes_on(void **state)
{
    killed = PART_DRAIN;
    kills = 1000;
    struct system s = set_up();
    killed = PART_DRIVER;
    kills = 0;
    expect_life_of_at_least(s.drain[0], 2);
    mains_are(&s, true);
    expect_each("mains");
    mains_are(&s, false);
    expect_each("back");
    uint64_t life = twin_life(s.drain[0], 0);
    twin_wait(100);
    assert_int_equal(twin_life(s.drain[0], 0), life);
    raise_each("resumed");
    expect_running(&s, true);
    expect_life_of_at_least(s.drain[0], life + 1);
    twin_destroy(s.twin);
}

static void a_test_has_a_part_killed_as_often_as_it_says(void **state)
{
    kills = 20; /* more than a part may fail in that time */
    struct system s = set_up();
    kills = 0;
    expect_life(s.part[PART_DRIVER], 0, 20);
    twin_wait(60);
    assert_int_equal(twin_life(s.part[PART_DRIVER], 0), 20);
    assert_true(twin_logged(s.twin, "WARNING: nvme.disk0 will be killed 20 times"));
    twin_destroy(s.twin);
}

static void nonsense_in_a_status_page_changes_nothing(void **state)
{
    struct system s = set_up();
    memset(s.status[0], 0xff, sizeof *s.status[0]);
    raise("vm0");
    expect_not("drain0");
    __atomic_store_n(&s.status[0]->state, VM_FAILED, __ATOMIC_RELEASE); /* message without an end */
    raise("vm0");
    vm_becomes(&s, 1, VM_OFF, "");
    expect("drain0");
    raise_each("drained");
    machine_goes_off_with(&s, "notice: off 1 VM db has failed: ");
    twin_destroy(s.twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_all_vms_are_off_everything_is_drained_and_the_machine_goes_off),
        cmocka_unit_test(a_failed_vm_is_named_with_its_reason),
        cmocka_unit_test(a_vm_whose_vmm_dies_counts_as_failed_and_the_other_goes_on),
        cmocka_unit_test(at_loss_of_mains_the_vcpus_stop_before_the_drains_begin),
        cmocka_unit_test(loss_of_mains_during_a_clean_end_hurries_the_rest),
        cmocka_unit_test(mains_that_come_back_during_the_drain_let_everything_go_on),
        cmocka_unit_test(mains_lost_again_before_all_have_returned_are_lost_after_that),
        cmocka_unit_test(the_mains_are_lost_while_any_source_says_so),
        cmocka_unit_test(a_dead_drain_does_not_keep_the_others_from_going_on),
        cmocka_unit_test(with_time_to_stand_the_machine_waits_for_the_mains),
        cmocka_unit_test(mains_back_during_a_clean_end_let_it_end_cleanly),
        cmocka_unit_test(the_vm_that_watches_the_mains_does_not_stand_still),
        cmocka_unit_test(a_dead_drain_is_reported_loudly_and_not_waited_for),
        cmocka_unit_test(a_drain_that_dies_while_it_drains_does_not_hang_the_end),
        cmocka_unit_test(an_answer_before_the_question_does_not_count),
        cmocka_unit_test(a_console_that_does_not_answer_is_waited_for_only_so_long),
        cmocka_unit_test(a_failed_component_makes_the_end_unclean),
        cmocka_unit_test(a_part_that_fails_begins_anew_with_all_its_threads),
        cmocka_unit_test(a_part_that_fails_too_often_is_given_up),
        cmocka_unit_test(a_drain_that_is_restarted_is_told_again_what_to_do),
        cmocka_unit_test(a_vmm_that_fails_without_mains_begins_anew_when_they_are_back),
        cmocka_unit_test(without_drains_too_a_vmm_begins_anew_when_the_mains_are_back),
        cmocka_unit_test(
            a_drain_that_fails_after_its_answer_is_not_told_again_that_the_mains_are_back),
        cmocka_unit_test(a_drain_that_fails_before_its_answer_is_waited_for_in_its_new_life),
        cmocka_unit_test(a_drain_is_not_killed_before_it_has_answered_that_it_goes_on),
        cmocka_unit_test(a_test_has_a_part_killed_as_often_as_it_says),
        cmocka_unit_test(nonsense_in_a_status_page_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
