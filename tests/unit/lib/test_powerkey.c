/* The power key's driver on a PL061 whose registers are plain memory: the test sets the lines and reads what was configured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quoll/config.h>
#include <quoll/power.h>
#include <quoll/twin.h>

void powerkey_main(void);

enum {
    DIR = 0x400,
    SENSE = 0x404,
    BOTH = 0x408,
    EVENT = 0x40c,
    ENABLE = 0x410,
    RAW = 0x414,
    CLEAR = 0x41c
};
enum { LINE = 3, DATA_OF_LINE = (1 << LINE) << 2 };

struct system {
    struct twin *twin;
    struct twin_component *key;
    struct twin_irq *irq;
    uint8_t *registers;
    struct power_source *power;
};

static uint32_t *at(struct system *s, uint32_t offset)
{
    return (uint32_t *)(void *)(s->registers + offset);
}

static struct system set_up_kind(uint32_t line, enum powerkey_kind kind)
{
    struct system s = {.twin = twin_create()};
    struct powerkey_config config = {.line = line, .kind = kind};
    struct twin_component *test = twin_adopt(s.twin, "test");
    s.key = twin_component(s.twin, "powerkey", powerkey_main, NULL, 1);
    s.registers = twin_memory(s.twin, 0x1000);
    twin_give_memory(s.key, "registers", s.registers, 0x1000);
    s.power = twin_memory(s.twin, sizeof *s.power);
    twin_give_memory(s.key, "power", s.power, sizeof *s.power);
    twin_give_config(s.key, &config, sizeof config);
    s.irq = twin_give_irq(s.key, 0, "interrupt");
    twin_connect(s.key, "mains", test, 0, "mains");
    twin_fault_channel(s.key, test, 0, "fault");
    return s;
}

static struct system set_up(uint32_t line)
{
    return set_up_kind(line, POWERKEY_KEY);
}

static void wait_for_acks(struct system *s, uint32_t count)
{
    for (int patience = 0; twin_irq_acks(s->irq) < count; patience++) {
        assert_true(patience < 1000);
        twin_wait(5);
    }
}

/* The line changes, with or without an edge that the controller has seen. */
static void line_becomes(struct system *s, bool high, bool edge)
{
    uint32_t acks = twin_irq_acks(s->irq);
    *at(s, DATA_OF_LINE) = high ? 1 << LINE : 0;
    *at(s, RAW) = edge ? 1 << LINE : 0;
    twin_irq_raise(s->irq);
    wait_for_acks(s, acks + 1);
    *at(s, RAW) = 0;
}

static void await_start(void)
{
    assert_true(twin_await(quoll_receive("mains"), 10000));
}

static void each_rising_edge_of_a_key_turns_the_state(void **state)
{
    struct system s = set_up(LINE);
    *at(&s, DIR) = *at(&s, SENSE) = *at(&s, BOTH) = 0xff; /* what the firmware left */
    twin_start(s.twin);
    await_start();
    assert_false(power_is_lost(s.power));
    line_becomes(&s, false, true);
    assert_true(power_is_lost(s.power));
    assert_int_equal(*at(&s, CLEAR), 1 << LINE);
    assert_int_equal(*at(&s, ENABLE), 1 << LINE);
    assert_int_equal(*at(&s, EVENT), 1 << LINE);
    assert_int_equal(*at(&s, DIR), 0xff & ~(1 << LINE)); /* the other lines are as they were */
    assert_int_equal(*at(&s, SENSE), 0xff & ~(1 << LINE));
    assert_int_equal(*at(&s, BOTH), 0xff & ~(1 << LINE));
    *at(&s, RAW) = 1 << LINE;
    twin_irq_raise(s.irq);
    assert_true(twin_await(quoll_receive("mains"), 10000));
    assert_false(power_is_lost(s.power));
    twin_destroy(s.twin);
}

static void another_line_raises_nothing(void **state)
{
    struct system s = set_up(LINE);
    twin_start(s.twin);
    await_start();
    *at(&s, RAW) = 1 << 5;
    twin_irq_raise(s.irq);
    wait_for_acks(&s, 1);
    assert_false(twin_await(quoll_receive("mains"), 20));
    twin_destroy(s.twin);
}

static void mains_that_are_lost_already_at_the_start_are_noticed(void **state)
{
    struct system s = set_up(LINE);
    *at(&s, DATA_OF_LINE) = 1 << LINE;
    twin_start(s.twin);
    await_start();
    assert_true(power_is_lost(s.power));
    twin_destroy(s.twin);
}

static void the_level_of_a_line_is_what_counts(void **state)
{
    static const enum powerkey_kind kinds[] = {POWERKEY_HIGH, POWERKEY_LOW};
    for (size_t i = 0; i < 2; i++) {
        struct system s = set_up_kind(LINE, kinds[i]);
        bool active = kinds[i] == POWERKEY_HIGH;
        *at(&s, DATA_OF_LINE) = active ? 0 : 1 << LINE;
        twin_start(s.twin);
        await_start();
        assert_false(power_is_lost(s.power));
        assert_int_equal(*at(&s, BOTH), 1 << LINE);
        line_becomes(&s, active, true);
        assert_true(power_is_lost(s.power));
        line_becomes(&s, active, true); /* it has bounced */
        assert_true(power_is_lost(s.power));
        line_becomes(&s, !active, true);
        assert_false(power_is_lost(s.power));
        twin_destroy(s.twin);
    }
}

static void a_line_that_does_not_exist_is_refused(void **state)
{
    struct system s = set_up(8);
    twin_expect_failure(s.key);
    twin_start(s.twin);
    assert_true(twin_await(quoll_receive("fault"), 10000));
    assert_string_equal(twin_failure(s.key), "GPIO line 8 does not exist: lines are 0 to 7");
    twin_destroy(s.twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rising_edge_of_a_key_turns_the_state),
        cmocka_unit_test(another_line_raises_nothing),
        cmocka_unit_test(mains_that_are_lost_already_at_the_start_are_noticed),
        cmocka_unit_test(the_level_of_a_line_is_what_counts),
        cmocka_unit_test(a_line_that_does_not_exist_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
