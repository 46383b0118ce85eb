/* The driver of an interrupt line that is asserted while the mains are lost; the test is the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quoll/power.h>
#include <quoll/twin.h>

void powerline_main(void);

struct system {
    struct twin *twin;
    struct twin_irq *irq;
    struct power_source *power;
};

static struct system set_up(void)
{
    struct system s = {.twin = twin_create()};
    struct twin_component *test = twin_adopt(s.twin, "test");
    struct twin_component *line = twin_component(s.twin, "powerline", powerline_main, NULL, 1);
    s.power = twin_memory(s.twin, sizeof *s.power);
    twin_give_memory(line, "power", s.power, sizeof *s.power);
    s.irq = twin_give_irq(line, 0, "interrupt");
    twin_connect(line, "mains", test, 0, "mains");
    return s;
}

static void await_state(struct system *s, bool lost)
{
    assert_true(twin_await(quoll_receive("mains"), 10000));
    assert_int_equal(power_is_lost(s->power), lost);
}

/* As the interrupt controller does with an asserted line: it arrives again after every acknowledgement. */
static void stay_asserted(struct system *s, uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t acks = twin_irq_acks(s->irq);
        for (int patience = 0; twin_irq_acks(s->irq) == acks; patience++) {
            assert_true(patience < 1000);
            assert_false(twin_await(quoll_receive("mains"), 5));
        }
        twin_irq_raise(s->irq);
    }
}

static void the_mains_are_lost_as_long_as_the_line_is_asserted(void **state)
{
    struct system s = set_up();
    twin_start(s.twin);
    for (int times = 0; times < 2; times++) {
        twin_irq_raise(s.irq);
        await_state(&s, true);
        stay_asserted(&s, 5);
        assert_true(power_is_lost(s.power));
        await_state(&s, false); /* it was let go */
    }
    twin_destroy(s.twin);
}

static void a_restarted_driver_looks_whether_the_mains_are_still_lost(void **state)
{
    struct system s = set_up();
    s.power->lost = 1;
    twin_start(s.twin);
    await_state(&s, false);
    twin_destroy(s.twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mains_are_lost_as_long_as_the_line_is_asserted),
        cmocka_unit_test(a_restarted_driver_looks_whether_the_mains_are_still_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
