/* RapiLog as a component (service_rig.h), with disks that fail or cannot be used and clients that misbehave. */
#include "service_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- Disk errors ---- */

static void refused_data_is_kept_and_new_writes_fail_until_the_disk_recovers(void **state)
{
    struct system *s = system_started();
    TURN(refuse, true);
    expect(s, write_bytes(s, 80, 8, 1), BLOCK_OK);
    assert_true(twin_await_log(s->twin, "refuses to write 1 blocks from sector 80", SOON));
    expect_gauge(s, &s->gauges->state, RAPILOG_FAILING);
    expect(s, write_bytes(s, 160, 8, 2), BLOCK_IO_ERROR);
    expect(s, ask(s, BLOCK_FLUSH, 0, 0, 0), BLOCK_IO_ERROR);
    expect_read(s, 80, 8, 1);
    TURN(refuse, false);
    assert_true(twin_await_log(s->twin, "takes writes again", SOON));
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(80, 8, 1);
    expect(s, write_bytes(s, 160, 8, 3), BLOCK_OK);
    system_end(s);
}

static void mains_lost_with_a_failing_disk_drains_when_the_disk_recovers(void **state)
{
    struct system *s = system_started();
    TURN(refuse, true);
    expect(s, write_bytes(s, 0, 8, 4), BLOCK_OK);
    expect_gauge(s, &s->gauges->state, RAPILOG_FAILING);
    quoll_signal(quoll_handle("mains", QUOLL_OBJECT_CHANNEL));
    assert_false(twin_await(quoll_receive("drained"), 50));
    TURN(refuse, false);
    assert_true(twin_await(quoll_receive("drained"), SOON));
    expect_durable(0, 8, 4);
    system_end(s);
}

static void a_disk_that_goes_away_leaves_acknowledged_data_readable(void **state)
{
    struct system *s = system_started();
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 8, 4), BLOCK_OK);
    uint64_t read = ask(s, BLOCK_READ, 100, 8, CLIENT_BYTES / 2);
    TURN(gone, true);
    assert_true(twin_await_log(s->twin, "is gone: unplugged", SOON));
    expect(s, read, BLOCK_GONE);
    expect(s, write_bytes(s, 8, 8, 5), BLOCK_IO_ERROR);
    expect_read(s, 0, 8, 4);
    system_end(s);
}

/* After a restart a link that is not open yet may still have requests of the former life below it. */
static void no_volume_is_measured_before_every_link_is_open(void **state)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    uint64_t signals = 0;
    disk.late = true;
    for (uint32_t i = 0; i < DISKS; i++)
        block_client_find(&s->client[i], i);
    twin_start(s->twin);
    for (uint32_t waited = 0; KNOB(looks) < 20 && waited < SOON; waited++)
        twin_wait(1);
    assert_true(KNOB(looks) >= 20);
    assert_int_equal(KNOB(requests), 0);
    TURN(late, false);
    for (uint32_t i = 0; i < DISKS; i++)
        assert_int_equal(block_client_wait(&s->client[i], &signals), BLOCK_LINK_READY);
    assert_true(KNOB(requests) > 0);
    system_end(s);
}

static void a_disk_that_cannot_flush_is_refused(void **state)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    uint64_t signals = 0;
    disk.abilities = 0;
    block_client_find(&s->client[0], 0);
    twin_start(s->twin);
    assert_int_equal(block_client_wait(&s->client[0], &signals), BLOCK_LINK_FAILED);
    assert_non_null(strstr(s->client[0].reason, "cannot flush"));
    system_end(s);
}

/* What may be in the dump area then cannot be put in place; the machine goes off all the same. */
static void a_clean_drain_does_not_wait_for_disks_that_cannot_be_used(void **state)
{
    struct rapilog_config config = usual_config();
    config.client_count = DISKS - 1;
    config.has_dump = 1;
    struct system *s = system_new(&config);
    uint64_t signals = 0;
    disk.abilities = 0;
    block_client_find(&s->client[0], 0);
    twin_start(s->twin);
    assert_int_equal(block_client_wait(&s->client[0], &signals), BLOCK_LINK_FAILED);
    signal_and_await_drained(s, "drain");
    system_end(s);
}

static void a_disk_without_a_volatile_cache_is_never_flushed(void **state)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    disk.abilities = BLOCK_CAN_FLUSH;
    system_start(s);
    for (uint32_t i = 0; i < 20; i++)
        expect(s, write_bytes(s, i * 8, 8, (uint8_t)(i + 1)), BLOCK_OK);
    expect(s, ask(s, BLOCK_FLUSH, 0, 0, 0), BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect(s, write_bytes(s, 200, 8, 0x55), BLOCK_OK);
    signal_and_await_drained(s, "mains");
    assert_int_equal(KNOB(flushes), 0);
    assert_int_equal(disk.content[0][19 * 8 * BLOCK_SECTOR], 20);
    assert_int_equal(disk.content[0][200 * BLOCK_SECTOR], 0x55);
    system_end(s);
}

/* ---- Clients that misbehave ---- */

static void malformed_requests_are_answered_with_an_error(void **state)
{
    struct system *s = system_started();
    expect(s, ask(s, BLOCK_WRITE, SECTORS - 1, 2, 0), BLOCK_OUT_OF_RANGE);
    expect(s, ask(s, BLOCK_WRITE, UINT64_MAX, 2, 0), BLOCK_OUT_OF_RANGE);
    expect(s, ask(s, BLOCK_WRITE, 0, 0, 0), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_WRITE, 0, UINT32_MAX, 0), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_READ, 0, 8, CLIENT_BYTES - 512), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_READ, 0, 8, UINT64_MAX - 511), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_READ, 0, 8, 3), BLOCK_BAD_REQUEST);
    expect(s, ask(s, (enum block_operation)77, 0, 8, 0), BLOCK_BAD_REQUEST);
    struct block_request request = {.id = s->next_id, .count = 8, .operation = BLOCK_READ};
    request.buffer = DIRTY_BUFFER; /* RapiLog's own memory */
    assert_true(block_client_submit(&s->client[0], &request));
    block_client_publish(&s->client[0]);
    expect(s, s->next_id++, BLOCK_BAD_REQUEST);
    expect(s, write_bytes(s, 0, 8, 1), BLOCK_OK);
    system_end(s);
}

static void a_client_that_ruins_its_link_disturbs_no_other(void **state)
{
    struct system *s = system_started();
    uint32_t random = 1;
    for (uint32_t round = 0; round < 200; round++) {
        uint8_t *bytes = (uint8_t *)s->link[1];
        for (uint32_t i = 0; i < 64; i++) {
            random = random * 1664525u + 1013904223u;
            bytes[(random >> 8) % sizeof(struct block_link)] = (uint8_t)random;
        }
        quoll_signal(quoll_handle("disk1", QUOLL_OBJECT_CHANNEL));
        if (round % 20 == 0) {
            expect(s, write_bytes(s, round, 8, (uint8_t)round), BLOCK_OK);
            expect_read(s, round, 8, (uint8_t)round);
        }
    }
    signal_and_await_drained(s, "drain");
    system_end(s);
}

/* More in flight than any table holds, none of it taken by an impatient client. */
static void a_flood_of_requests_is_served(void **state)
{
    struct system *s = system_started();
    TURN(delay_us, 100);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 120; i++) {
        memset(s->memory + i * 4096, (int)i, 4096);
        last = ask(s, i % 3 == 2 ? BLOCK_READ : BLOCK_WRITE, i * 8, 8, i * 4096);
    }
    for (uint64_t id = 0; id <= last; id++)
        expect(s, id, BLOCK_OK);
    TURN(delay_us, 0);
    signal_and_await_drained(s, "mains");
    for (uint32_t i = 0; i < 120; i++)
        expect_durable(i * 8, 8, i % 3 == 2 ? 0 : (uint8_t)i);
    system_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_data_is_kept_and_new_writes_fail_until_the_disk_recovers),
        cmocka_unit_test(mains_lost_with_a_failing_disk_drains_when_the_disk_recovers),
        cmocka_unit_test(a_disk_that_goes_away_leaves_acknowledged_data_readable),
        cmocka_unit_test(no_volume_is_measured_before_every_link_is_open),
        cmocka_unit_test(a_disk_that_cannot_flush_is_refused),
        cmocka_unit_test(a_clean_drain_does_not_wait_for_disks_that_cannot_be_used),
        cmocka_unit_test(a_disk_without_a_volatile_cache_is_never_flushed),
        cmocka_unit_test(malformed_requests_are_answered_with_an_error),
        cmocka_unit_test(a_client_that_ruins_its_link_disturbs_no_other),
        cmocka_unit_test(a_flood_of_requests_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
