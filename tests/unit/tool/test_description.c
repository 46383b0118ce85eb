/* Every mistake in a system description is told with its place, what is wrong and what to write instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "description.h"

#include <stdlib.h>
#include <string.h>

/* A VM without mistakes; tests put theirs around or into it. */
#define VM "vms:\n  a:\n    kernel: k\n"

struct loaded {
    struct report report;
    struct description description;
    bool good;
    char *messages;
    size_t size;
};

static struct loaded *load(const char *text)
{
    struct loaded *loaded = calloc(1, sizeof *loaded);
    loaded->report.out = open_memstream(&loaded->messages, &loaded->size);
    loaded->good = description_load(&loaded->description, "x.yaml", text, &loaded->report);
    fclose(loaded->report.out);
    return loaded;
}

static void unload(struct loaded *loaded)
{
    description_free(&loaded->description);
    free(loaded->messages);
    free(loaded);
}

/* The text is refused with exactly this message, or more than it when `others` follow. */
static void expect(const char *text, const char *message)
{
    struct loaded *loaded = load(text);
    if (loaded->good || strstr(loaded->messages, message) == NULL)
        fail_msg("for:\n%s\nexpected: %s\ngot: %s", text, message,
                 loaded->good ? "no mistake" : loaded->messages);
    unload(loaded);
}

static void expect_only(const char *text, const char *message)
{
    struct loaded *loaded = load(text);
    if (loaded->good || strcmp(loaded->messages, message) != 0)
        fail_msg("for:\n%s\nexpected: %s\ngot: %s", text, message,
                 loaded->good ? "no mistake" : loaded->messages);
    unload(loaded);
}

static void expect_good(const char *text, const char *warning)
{
    struct loaded *loaded = load(text);
    if (!loaded->good || strstr(loaded->messages, warning) == NULL)
        fail_msg("for:\n%s\nexpected: good, with '%s'\ngot: %s", text, warning, loaded->messages);
    unload(loaded);
}

static void a_short_description_gets_sensible_defaults(void **state)
{
    struct loaded *loaded = load(VM);
    assert_true(loaded->good);
    const struct description *description = &loaded->description;
    assert_int_equal(description->machine.cores, 4);
    assert_int_equal(description->machine.memory, 2ULL << 30);
    assert_string_equal(description->machine.cpu, "cortex-a72");
    assert_int_equal(description->vm_count, 1);
    assert_int_equal(description->vms[0].memory, 512ULL << 20);
    assert_int_equal(description->vms[0].vcpu_count, 1);
    assert_int_equal(description->vms[0].vcpu_core[0], 1);
    assert_string_equal(description->vms[0].command_line, "console=hvc0");
    assert_string_equal(loaded->messages, "");
    unload(loaded);
}

static void vcpus_are_spread_over_the_cores_that_have_no_services(void **state)
{
    struct loaded *loaded = load("vms:\n  a: {kernel: k, vcpus: 2}\n  b: {kernel: k, vcpus: 4}\n"
                                 "  c: {kernel: k, vcpus: [2, 2]}\n");
    assert_true(loaded->good);
    const struct vm *vms = loaded->description.vms;
    assert_int_equal(vms[0].vcpu_core[0], 1);
    assert_int_equal(vms[0].vcpu_core[1], 2);
    assert_int_equal(vms[1].vcpu_core[0], 3);
    assert_int_equal(vms[1].vcpu_core[3], 0);
    assert_int_equal(vms[2].vcpu_core[1], 2);
    unload(loaded);
    loaded = load("machine: {cores: 1}\n" VM);
    assert_int_equal(loaded->description.vms[0].vcpu_core[0], 0);
    unload(loaded);
}

static void budgets_are_shares_or_times(void **state)
{
    struct loaded *loaded =
        load("vms:\n  a: {kernel: k, budget: 20 %}\n"
             "  b: {kernel: k, budget: {time: 2 ms, period: 8 ms}, priority: 7}\n");
    assert_true(loaded->good);
    assert_int_equal(loaded->description.vms[0].vcpus.budget, 2000);
    assert_int_equal(loaded->description.vms[0].vcpus.period, 10000);
    assert_int_equal(loaded->description.vms[1].vcpus.budget, 2000);
    assert_int_equal(loaded->description.vms[1].vcpus.period, 8000);
    assert_int_equal(loaded->description.vms[1].vcpus.priority, 7);
    unload(loaded);
}

static void broken_yaml_is_located(void **state)
{
    expect("vms:\n  a: {kernel: k\n", "x.yaml:3:1: while parsing a flow mapping: did not find "
                                      "expected ',' or '}'; this is not YAML");
    expect("", "x.yaml:1:1: the file is empty; write at least `vms:`");
    expect("- a\n", "x.yaml:1:1: a system description is a map of `key: value` lines");
    expect("system: x\n", "x.yaml:1:1: the system has nothing to run; write `vms:`");
    expect("vms: 3\n", "x.yaml:1:6: `vms` is a map of `key: value` lines");
}

static void a_missing_file_is_named(void **state)
{
    struct report report;
    struct description description;
    char *messages;
    size_t size;
    report = (struct report){.out = open_memstream(&messages, &size)};
    assert_false(description_load(&description, "/no/such.yaml", NULL, &report));
    fclose(report.out);
    assert_non_null(
        strstr(messages, "/no/such.yaml: cannot be opened: No such file or directory; give "));
    free(messages);
    description_free(&description);
}

static void unknown_keys_get_the_nearest_known_one(void **state)
{
    expect_only("vms:\n  a:\n    kernel: k\n    memroy: 1 GiB\n",
                "x.yaml:4:5: a VM has no key `memroy`; did you mean `memory`?\n");
    expect("machine: {core: 2}\n" VM,
           "x.yaml:1:11: `machine` has no key `core`; did you mean `cores`?");
    expect("zzz: 1\n" VM, "x.yaml:1:1: a system has no key `zzz`; it can have: system, machine,");
    expect("services: {nvmee: {core: 1}}\n" VM,
           "x.yaml:1:12: `services` has no key `nvmee`; did you mean `nvme`?");
    expect("machine: {cpu: cortex-a27}\n" VM,
           "x.yaml:1:16: `cpu` cannot be `cortex-a27`; write one of: cortex-a72,");
    expect("machine: {board: rpi}\n" VM,
           "x.yaml:1:18: `board` cannot be `rpi`; write one of: qemu-virt");
    expect("power_fail: ups\n" VM, "x.yaml:1:13: `power_fail` cannot be `ups`; write ");
}

static void things_written_twice_are_found(void **state)
{
    expect("vms:\n  a: {kernel: k}\n  a: {kernel: k}\n",
           "x.yaml:3:3: `vms` has `a` twice, first on line 2; remove or rename one");
    expect("vms:\n  a:\n    kernel: k\n    kernel: l\n",
           "x.yaml:4:5: a VM has `kernel` twice, first on line 3; remove or rename one");
    expect("disks: {d: {nvme: 1}, e: {nvme: 1}}\n" VM,
           "x.yaml:1:23: disks `d` and `e` are both NVMe controller 1; give each `nvme:` a number "
           "of its own");
    expect("disks: {d: {virtio: 0}, f: {nvme: 0}, e: {virtio: 0}}\n" VM,
           "x.yaml:1:39: disks `d` and `e` are both virtio disk 0; give each `virtio:` a number "
           "of its own");
    expect("disks: {d: {virtio: 0, nvme: 0}}\n" VM,
           "x.yaml:1:30: disk `d` cannot be both `nvme` and `virtio`; remove one");
}

static void values_of_the_wrong_kind_are_refused(void **state)
{
    expect("vms:\n  a:\n    kernel: k\n    memory: 512\n",
           "x.yaml:4:13: a VM's `memory` is a size, not `512`; write a whole number with a unit, "
           "such as 512 MiB");
    expect("vms:\n  a:\n    kernel: k\n    memory: 1 MiB\n",
           "x.yaml:4:13: a VM's memory is a multiple of 2 MiB, from 16 MiB");
    expect("vms:\n  a:\n    kernel: k\n    paged: 2 GiB\n",
           "x.yaml:4:12: a VM's paged range is a multiple of 4 KiB, at most 1 GiB");
    expect("vms:\n  a:\n    kernel: k\n    vcpus: two\n",
           "x.yaml:4:12: `vcpus` is a number from 1 to 16, not `two`; write for example 1");
    expect("vms:\n  a:\n    kernel: k\n    priority: 300\n",
           "x.yaml:4:15: `priority` is a number from 0 to 255, not `300`");
    expect("vms:\n  a:\n    kernel: [k]\n", "x.yaml:3:13: `kernel` is one word or a quoted text");
    expect("vms:\n  a:\n    kernel: k\n    budget: lots\n",
           "x.yaml:4:13: `budget` is a share of a core, not `lots`; write 1 % to 100 %");
    expect("vms:\n  a:\n    kernel: k\n    budget: {period: 10 ms}\n",
           "x.yaml:4:13: the budget has no `time`; write {time: 2 ms,");
    expect("vms:\n  a:\n    kernel: k\n    budget: {time: 20 ms, period: 10 ms}\n",
           "x.yaml:4:13: a budget of 20000 us in a period of 10000 us cannot be");
    expect("vms:\n  a:\n    kernel: k\n    disks: root\n",
           "x.yaml:4:12: a VM's `disks` is a list; begin each line with `- `");
    expect("vms:\n  a b: {kernel: k}\n",
           "x.yaml:2:3: `a b` cannot be the name of a VM; use letters, digits");
    expect("vms:\n  quoll: {kernel: k}\n",
           "x.yaml:2:3: the log is called `quoll`; use another name for the VM");
    expect("vms:\n  a:\n", "x.yaml:2:3: the VM is empty; write its `kernel:`");
    expect("vms:\n  a: {memory: 64 MiB}\n",
           "x.yaml:2:3: VM `a` has no kernel; write `kernel: PATH`");
}

static void more_than_the_machine_has_is_refused(void **state)
{
    expect("machine: {cores: 2}\nvms:\n  a: {kernel: k, vcpus: 3}\n",
           "x.yaml:3:25: 3 vCPUs need as many cores, but the machine has 2; write at most 2");
    expect("machine: {cores: 2}\nvms:\n  a: {kernel: k, vcpus: [0, 2]}\n",
           "x.yaml:3:29: core 2 does not exist; the machine has 2, so write 0 to 1");
    expect("services: {console: {core: 4}}\n" VM, "x.yaml:1:28: core 4 does not exist");
    expect("machine: {memory: 1 GiB}\nvms:\n  a: {kernel: k, memory: 512 MiB}\n  b: {kernel: k, "
           "memory: 600 MiB}\n",
           "x.yaml:4:3: the system needs 1144 MiB (32 MiB of it for Quoll), but the machine has "
           "1024 MiB; give");
    expect("vms:\n  a: {kernel: k, vcpus: [1], budget: 60 %}\n  b: {kernel: k, vcpus: [1], budget: "
           "50 %}\n",
           "x.yaml:3:3: the budgets on core 1 add up to 110 %, more than the core has; lower some, "
           "or use another core");
    expect("machine: {memory: 1 MiB}\n" VM,
           "x.yaml:1:19: the machine's memory must be 128 MiB to 255 GiB");
}

#define DISK "disks: {disk0: {file: f}}\n"

static void disks_and_labels_are_checked(void **state)
{
    expect(DISK VM "    disks: [{disk: disk1, label: root}]\n",
           "x.yaml:5:20: there is no disk `disk1` in `disks`; did you mean `disk0`?");
    expect(VM "    disks: [{disk: disk1, label: root}]\n",
           "x.yaml:4:20: there is no disk `disk1`; declare it at the top: disks: {disk1: {file: "
           "disk.img}}");
    expect(DISK VM "    disks: [{label: root}]\n",
           "x.yaml:5:13: it is not said which disk this is; write {disk: NAME, label: LABEL}");
    expect(
        DISK "vms:\n  a:\n    kernel: k\n    disks: [{disk: disk0, label: r}]\n"
             "  b:\n    kernel: k\n    disks: [{disk: disk0, label: r}]\n",
        "x.yaml:8:13: label r of disk `disk0` is already used on line 5; two users would corrupt "
        "it: use another label");
    expect(
        DISK VM "    disks: [{disk: disk0, label: r}, {disk: disk0}]\n",
        "x.yaml:5:38: disk `disk0` is used as a whole and by label (line 5); give both a `label`");
}

static void rapilog_is_checked(void **state)
{
    expect(DISK VM "    disks: [{disk: disk0, label: w, filter: rapilog}]\n",
           "x.yaml:5:12: a disk has `filter: rapilog`, but the hold-up time is not given; write "
           "rapilog: {hold_up: 16 ms}");
    expect(DISK VM "    disks: [{disk: disk0, filter: {rapilog: {memory: 8 MiB}}}]\n",
           "x.yaml:5:45: RapiLog needs `hold_up`, the time that the power supply lasts");
    expect(DISK VM "    rapilog: {hold_up: 16 ms}\n    disks: [{disk: disk0}]\n",
           "no disk uses this RapiLog; write `filter: rapilog`");
    expect(DISK VM "    disks: [{disk: disk0, label: w, filter: rapidlog}]\n",
           "x.yaml:5:45: there is no filter `rapidlog`; write rapilog");
    expect(DISK VM "    rapilog: {hold_up: 16 ms, reserve: 16 ms}\n    disks: [{disk: disk0, "
                   "filter: rapilog}]\n",
           "x.yaml:5:40: the reserve leaves nothing of the hold-up time to drain; write less than "
           "`hold_up`");
    expect(DISK VM "    rapilog: {hold_up: 16 ms, report: 10 ms}\n    disks: [{disk: disk0, "
                   "filter: rapilog}]\n",
           "x.yaml:5:39: a line in the log more often than every second would hide other messages; "
           "write for "
           "example report: 10 s");
    expect(DISK VM
           "    disks:\n    - {disk: disk0, label: a, filter: {rapilog: {hold_up: 16 ms}}}\n"
           "    - {disk: disk0, label: b, filter: {rapilog: {hold_up: 16 ms}}}\n",
           "x.yaml:7:49: RapiLog is configured twice, first on line 6");
    expect_good(DISK VM
                "    rapilog: {hold_up: 16 ms}\n    disks: [{disk: disk0, filter: rapilog}]\n",
                "x.yaml:5:14: warning: no power-fail signal is configured, so RapiLog acknowledges "
                "only what is on the disk; "
                "write power_fail: powerkey");
    expect_good(
        "power_fail: powerkey\n" DISK VM "    rapilog: {hold_up: 16 ms, unsafe_no_drain: true}\n"
        "    disks: [{disk: disk0, filter: rapilog}]\n",
        "x.yaml:6:14: warning: unsafe_no_drain is for tests: acknowledged data WILL BE LOST");
}

#define TWO_VMS "vms: {db: {kernel: k}, ups: {kernel: k}}\n"

static void the_sources_of_the_mains_signal_are_checked(void **state)
{
    expect_good("power_fail: {powerkey: true, interrupt: 'acme,monitor', vm: ups, off_after: 2 "
                "s}\n" TWO_VMS,
                "");
    expect_good("power_fail: {gpio: {line: 5, active: low}}\n" TWO_VMS, "");
    expect_good("power_fail: {interrupt: {compatible: monitor, instance: 1, number: 2}}\n" TWO_VMS,
                "");
    expect("power_fail: key\n" TWO_VMS, "x.yaml:1:13: `power_fail` cannot be `key`; write none, "
                                        "powerkey, or what signals the loss of mains");
    expect("power_fail: {vm: up}\n" TWO_VMS,
           "x.yaml:1:18: there is no VM `up` to tell of the mains; did you mean `ups`?");
    expect("power_fail: {gpio: {active: low}}\n" TWO_VMS, "which line? Write for example gpio");
    expect("power_fail: {gpio: {line: 8, active: low}}\n" TWO_VMS, "`line`");
    expect("power_fail: {gpio: {line: 1, active: 1}}\n" TWO_VMS,
           "write the level that the line has while the mains are lost");
    expect("power_fail: {powerkey: true, gpio: {line: 1, active: low}}\n" TWO_VMS,
           "`powerkey` is a line of the same GPIO controller; write one of the two");
    expect("power_fail: {interrupt: ''}\n" TWO_VMS, "named by its `compatible` of 1 to 47");
    expect_good("power_fail: {vm: a}\n" DISK VM
                "    rapilog: {hold_up: 16 ms}\n    disks: [{disk: disk0, filter: rapilog}]\n",
                "x.yaml:1:18: warning: VM `a` writes through RapiLog, so it stands still when");
}

#define FILTERED "    disks: [{disk: disk0, label: w, filter: rapilog}]\n"

static void the_modes_of_rapilog_are_checked(void **state)
{
    expect_good("power_fail: powerkey\n" DISK VM
                "    rapilog: {mode: held ordered, hold_up: 16 ms, dump: spare}\n" FILTERED,
                "");
    expect_good(DISK VM "    rapilog: {mode: through}\n" FILTERED, "");
    expect(DISK VM "    rapilog: {mode: ordered, hold_up: 16 ms}\n" FILTERED,
           "x.yaml:5:21: RapiLog has no mode `ordered`; write through (acknowledged when on the "
           "disk), held (");
    expect(DISK VM "    rapilog: {mode: held ordered, hold_up: 16 ms}\n" FILTERED,
           "x.yaml:5:14: `held ordered` needs a dump area, a GPT partition of its own");
    expect(DISK VM "    rapilog: {hold_up: 16 ms, dump: spare, survives_reset: true}\n" FILTERED,
           "x.yaml:5:60: in mode `held` a dump area and `survives_reset` cannot be told apart "
           "after a reset");
    expect(DISK VM "    rapilog: {mode: through, dump: spare}\n" FILTERED,
           "x.yaml:5:36: mode `through` holds nothing back, so it has no use for a dump area");
    expect(DISK VM "    rapilog: {hold_up: 16 ms, dump: w}\n" FILTERED,
           "x.yaml:5:37: label w of disk `disk0` is already used on line 6; two users would "
           "corrupt it");
    expect(
        "disks: {disk0: {file: a.img}, disk1: {file: b.img}}\n" VM
        "    rapilog: {mode: held ordered, hold_up: 16 ms, dump: spare}\n"
        "    disks:\n    - {disk: disk0, label: a, filter: rapilog}\n"
        "    - {disk: disk1, label: b, filter: rapilog}\n",
        "x.yaml:5:57: the volumes are on the disks `disk0` and `disk1`, so it must be said where "
        "the dump area is; write dump: {disk: disk0, label: spare}");
}

static void components_are_checked(void **state)
{
    expect("components:\n  a: {channels: {ping: b}}\n",
           "x.yaml:2:24: there is no component `b` to signal");
    expect("components:\n  a: {channels: {ping: {to: a, thread: 1}}}\n",
           "x.yaml:2:24: component `a` has no thread 1; write 0 to 0");
    expect("components:\n  nvme: {elf: x}\n",
           "x.yaml:2:3: `nvme` is the name of one of Quoll's own services; use another name");
    expect("shared_memory: {pool: 4 KiB}\ncomponents:\n  a: {memory: {m: {shared: pol}}}\n",
           "x.yaml:3:19: there is no shared memory `pol`; did you mean `pool`?");
    expect("components:\n  a: {controls: [b]}\n",
           "x.yaml:2:3: there is no component `b` to control");
    expect("components:\n  a:\n", "x.yaml:2:3: the component is empty; write `elf: PATH`");
    expect("components:\n  a: {devices: {d: {instance: 0}}}\n",
           "x.yaml:2:20: a device is found by its `compatible` string");
}

static void all_mistakes_are_told_at_once(void **state)
{
    struct loaded *loaded =
        load("machine: {cores: 99}\nvms:\n  a:\n    kernell: k\n    vcpus: many\n");
    assert_false(loaded->good);
    assert_int_equal(loaded->report.errors, 4);
    unload(loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_description_gets_sensible_defaults),
        cmocka_unit_test(vcpus_are_spread_over_the_cores_that_have_no_services),
        cmocka_unit_test(budgets_are_shares_or_times),
        cmocka_unit_test(broken_yaml_is_located),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(unknown_keys_get_the_nearest_known_one),
        cmocka_unit_test(things_written_twice_are_found),
        cmocka_unit_test(values_of_the_wrong_kind_are_refused),
        cmocka_unit_test(more_than_the_machine_has_is_refused),
        cmocka_unit_test(disks_and_labels_are_checked),
        cmocka_unit_test(rapilog_is_checked),
        cmocka_unit_test(the_sources_of_the_mains_signal_are_checked),
        cmocka_unit_test(the_modes_of_rapilog_are_checked),
        cmocka_unit_test(components_are_checked),
        cmocka_unit_test(all_mistakes_are_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
