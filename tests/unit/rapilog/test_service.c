/* RapiLog as a component (service_rig.h): when it acknowledges, and what it does when the mains are lost or it is asked to drain. */
#include "service_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- Acknowledgement ---- */

static void a_write_is_acknowledged_while_the_disk_stands_still(void **state)
{
    struct system *s = system_started();
    TURN(hold, true);
    expect(s, write_bytes(s, 8, 16, 0x11), BLOCK_OK);
    expect(s, write_bytes(s, 8, 8, 0x22), BLOCK_OK);
    expect(s, ask(s, BLOCK_FLUSH, 0, 0, 0), BLOCK_OK);
    memset(s->memory, 0x77, DISK_BYTES / 2); /* the guest's memory is its own again */
    expect_read(s, 8, 8, 0x22);
    expect_read(s, 16, 8, 0x11);
    expect_durable(8, 16, 0);
    TURN(hold, false);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(8, 8, 0x22);
    expect_durable(16, 8, 0x11);
    system_end(s);
}

static void a_read_joins_buffer_and_disk(void **state)
{
    struct system *s = system_started();
    expect(s, write_bytes(s, 0, 24, 0x33), BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    TURN(delay_us, 30000);
    expect(s, write_bytes(s, 9, 3, 0x44), BLOCK_OK);
    uint64_t offset = CLIENT_BYTES / 2;
    expect(s, ask(s, BLOCK_READ, 0, 24, offset), BLOCK_OK);
    for (uint32_t sector = 0; sector < 24; sector++)
        assert_int_equal(s->memory[offset + sector * BLOCK_SECTOR],
                         sector >= 9 && sector < 12 ? 0x44 : 0x33);
    system_end(s);
}

static void a_full_buffer_makes_writes_wait_but_refuses_none(void **state)
{
    struct rapilog_config config = usual_config();
    config.dirty_limit = 4 * 4096;
    struct system *s = system_new(&config);
    system_start(s);
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 24, 1), BLOCK_OK);
    uint64_t second = write_bytes(s, 24, 24, 2);
    uint64_t third = write_bytes(s, 48, 8, 3);
    expect_silence(s, second);
    expect_silence(s, third);
    expect_read(s, 0, 24, 1); /* reads go on */
    TURN(hold, false);
    expect(s, second, BLOCK_OK);
    expect(s, third, BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(24, 24, 2);
    expect_durable(48, 8, 3);
    assert_int_equal(s->gauges->dirty_high, 4 * 4096);
    assert_true(s->gauges->waits >= 1);
    system_end(s);
}

static void without_hold_up_a_write_is_acknowledged_when_it_is_on_the_disk(void **state)
{
    struct rapilog_config config = usual_config();
    config.hold_up_ns = 0;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "no power-fail signal (hold_up 0)", SOON));
    TURN(hold, true);
    uint64_t id = write_bytes(s, 0, 8, 5);
    expect_silence(s, id);
    TURN(hold, false);
    expect(s, id, BLOCK_OK);
    expect_durable(0, 8, 5);
    assert_int_equal(s->gauges->state, RAPILOG_THROUGH);
    assert_int_equal(s->gauges->reason, RAPILOG_REASON_NO_HOLD_UP);
    system_end(s);
}

static void a_hold_up_that_is_too_short_is_told_and_not_relied_on(void **state)
{
    struct rapilog_config config = usual_config();
    config.hold_up_ns = 20000000;
    config.reserve_ns = 20000000;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "too short", SOON));
    TURN(hold, true);
    expect_silence(s, write_bytes(s, 0, 8, 5));
    system_end(s);
}

static void the_bound_is_logged_with_its_parts_and_shrinks_with_a_slow_disk(void **state)
{
    struct rapilog_config config = usual_config();
    config.hold_up_ns = 2 * SECOND;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "(measured)", SOON));
    assert_true(twin_await_log(
        s->twin, "= ((hold-up 2000000 us - reserve 0 us) / 1 RapiLog at that disk - 2 FLUSHes",
        SOON));
    expect_gauge(s, &s->gauges->state, RAPILOG_HELD);
    TURN(delay_us, 400000);
    expect(s, write_bytes(s, 0, 8, 1), BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    assert_true(s->gauges->flush_ns + s->gauges->scattered_ns > SECOND / 4);
    system_end(s);
}

/* ---- Loss of mains, drain ---- */

static void loss_of_mains_drains_and_flushes_before_drained_is_signalled(void **state)
{
    struct system *s = system_started();
    TURN(delay_us, 3000);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 40; i++)
        last = write_bytes(s, i * 16, 8, (uint8_t)(i + 1));
    expect(s, last, BLOCK_OK);
    signal_and_await_drained(s, "mains");
    for (uint32_t i = 0; i < 40; i++)
        expect_durable(i * 16, 8, (uint8_t)(i + 1));
    expect_silence(s, write_bytes(s, 0, 8, 0xaa)); /* nothing is promised any more */
    assert_true(twin_logged(s->twin, "everything acknowledged is on the disk"));
    system_end(s);
}

static void mains_that_come_back_are_as_if_nothing_had_happened(void **state)
{
    struct system *s = system_started();
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 8, 1), BLOCK_OK);
    uint64_t read = ask(s, BLOCK_READ, 100, 8, CLIENT_BYTES / 2);
    quoll_signal(quoll_handle("mains", QUOLL_OBJECT_CHANNEL));
    expect_gauge(s, &s->gauges->state, RAPILOG_MAINS);
    uint64_t write = write_bytes(s, 8, 8, 2);
    expect_silence(s, write);
    quoll_signal(quoll_handle("mains-back", QUOLL_OBJECT_CHANNEL));
    assert_true(twin_await(quoll_receive("resumed"), SOON));
    expect(s, write, BLOCK_OK); /* held again: the disk still stands still */
    expect_gauge(s, &s->gauges->state, RAPILOG_HELD);
    TURN(hold, false);
    expect(s, read, BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(0, 8, 1);
    expect_durable(8, 8, 2);
    expect(s, write_bytes(s, 16, 8, 3), BLOCK_OK);
    signal_and_await_drained(s, "mains"); /* and they can be lost again */
    expect_durable(16, 8, 3);
    system_end(s);
}

static void an_idle_system_is_drained_at_once(void **state)
{
    struct system *s = system_started();
    signal_and_await_drained(s, "mains");
    system_end(s);
}

static void a_clean_drain_goes_on_serving_from_the_disk(void **state)
{
    struct system *s = system_started();
    TURN(delay_us, 3000);
    expect(s, write_bytes(s, 0, 64, 9), BLOCK_OK);
    signal_and_await_drained(s, "drain");
    expect_durable(0, 64, 9);
    TURN(hold, true);
    uint64_t id = write_bytes(s, 0, 8, 10);
    expect_silence(s, id);
    TURN(hold, false);
    expect(s, id, BLOCK_OK);
    expect_durable(0, 8, 10);
    system_end(s);
}

static void the_unsafe_switch_loses_data_and_says_so(void **state)
{
    struct rapilog_config config = usual_config();
    config.unsafe_no_drain = 1;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "WARNING: unsafe_no_drain", SOON));
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 8, 6), BLOCK_OK);
    expect(s, write_bytes(s, 0, 8, 7), BLOCK_OK);
    signal_and_await_drained(s, "mains");
    TURN(hold, false);
    (void)twin_wait(20);
    assert_int_not_equal(disk.durable[0][0], 7);
    assert_true(twin_logged(s->twin, "NOT drained"));
    system_end(s);
}

/* ---- Gauges ---- */

static void the_gauges_are_told_in_the_log_when_asked_for(void **state)
{
    struct rapilog_config config = usual_config();
    config.report_ns = SECOND / 20;
    struct system *s = system_new(&config);
    system_start(s);
    TURN(hold, true);
    expect(s, write_bytes(s, 8, 16, 0x11), BLOCK_OK);
    assert_true(twin_await_log(s->twin, "held: ", SOON));
    assert_true(twin_await_log(s->twin, "drained; 8 KiB dirty of ", SOON));
    assert_true(twin_await_log(
        s->twin, "held: 0 writes/s, 0 KiB/s acknowledged, 0 KiB/s drained; 8 KiB dirty", SOON));
    TURN(hold, false);
    system_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_acknowledged_while_the_disk_stands_still),
        cmocka_unit_test(a_read_joins_buffer_and_disk),
        cmocka_unit_test(a_full_buffer_makes_writes_wait_but_refuses_none),
        cmocka_unit_test(without_hold_up_a_write_is_acknowledged_when_it_is_on_the_disk),
        cmocka_unit_test(a_hold_up_that_is_too_short_is_told_and_not_relied_on),
        cmocka_unit_test(the_bound_is_logged_with_its_parts_and_shrinks_with_a_slow_disk),
        cmocka_unit_test(loss_of_mains_drains_and_flushes_before_drained_is_signalled),
        cmocka_unit_test(mains_that_come_back_are_as_if_nothing_had_happened),
        cmocka_unit_test(an_idle_system_is_drained_at_once),
        cmocka_unit_test(the_gauges_are_told_in_the_log_when_asked_for),
        cmocka_unit_test(a_clean_drain_goes_on_serving_from_the_disk),
        cmocka_unit_test(the_unsafe_switch_loses_data_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
