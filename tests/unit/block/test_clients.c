/*
 * The clients of a disk driver: what each of them is told of a disk that may have lost what was in its cache, and how often a
 * device may be reset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../drivers/disk/clients.h"
#include <quoll/twin.h>
#include <stdlib.h>

#include "../../link.h"

enum { CLIENTS = 2 };

struct fixture {
    struct twin *twin;
    struct block_link *link[CLIENTS];
    struct block_client client[CLIENTS];
    struct disk_clients clients;
    uint64_t losses;
    uint32_t loop;
    uint64_t signal;
};

/* A FLUSH that the driver has taken. */
struct flush {
    uint32_t client;
    uint64_t id;
    uint64_t told;
};

static const struct block_geometry geometry = {
    .sectors = 1000,
    .abilities = BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE,
    .physical_block = 512,
    .max_sectors = 64,
};

/* The driver begins; only what it has counted is there from an earlier life. */
static void begin_driver(struct fixture *f)
{
    f->clients = (struct disk_clients){.count = CLIENTS, .losses = &f->losses};
    for (uint32_t i = 0; i < CLIENTS; i++)
        block_server_attach(&f->clients.server[i], f->link[i], f->loop, f->signal, NULL, 0);
    disk_clients_ready(&f->clients, &geometry, 64);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->twin = twin_create();
    struct twin_component *self = twin_adopt(f->twin, "test");
    twin_connect(self, "loop", self, 0, "loop");
    twin_start(f->twin);
    f->loop = quoll_handle("loop", QUOLL_OBJECT_CHANNEL);
    f->signal = quoll_receive("loop");
    for (uint32_t i = 0; i < CLIENTS; i++) {
        f->link[i] = twin_memory(f->twin, BLOCK_LINK_BYTES);
        block_client_attach(&f->client[i], f->link[i], f->loop, f->signal);
    }
    begin_driver(f);
    for (uint32_t i = 0; i < CLIENTS; i++)
        link_open(&f->clients.server[i], &f->client[i]);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    twin_destroy(f->twin);
    free(f);
    return 0;
}

static struct flush take_flush(struct fixture *f)
{
    struct flush flush;
    struct block_request request;
    assert_true(disk_clients_take(&f->clients, &flush.client, &request));
    assert_int_equal(request.operation, BLOCK_FLUSH);
    flush.id = request.id;
    flush.told = f->clients.server[flush.client].told;
    return flush;
}

/* A client asks for a FLUSH and the driver takes it. */
static struct flush begin_flush(struct fixture *f, uint32_t client)
{
    const struct block_request request = {.operation = BLOCK_FLUSH};
    assert_true(block_client_submit(&f->client[client], &request));
    block_client_publish(&f->client[client]);
    struct flush flush = take_flush(f);
    assert_int_equal(flush.client, client);
    return flush;
}

/* The disk answers; what the client hears. */
static enum block_status end_flush(struct fixture *f, const struct flush *flush,
                                   enum block_status status)
{
    struct block_completion completion;
    disk_clients_flushed(&f->clients, flush->client, flush->id, flush->told, status);
    disk_clients_publish(&f->clients);
    assert_true(block_client_take(&f->client[flush->client], &completion));
    return (enum block_status)completion.status;
}

static enum block_status flush_with(struct fixture *f, uint32_t client, enum block_status status)
{
    const struct flush flush = begin_flush(f, client);
    return end_flush(f, &flush, status);
}

static void a_flush_that_fails_is_told_to_every_client_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(flush_with(f, 0, BLOCK_OK), BLOCK_OK);
    assert_int_equal(flush_with(f, 0, BLOCK_IO_ERROR), BLOCK_IO_ERROR);
    assert_int_equal(flush_with(f, 0, BLOCK_OK), BLOCK_OK);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_IO_ERROR);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
    assert_int_equal(flush_with(f, 0, BLOCK_OK), BLOCK_OK);
}

static void a_flush_that_was_answered_before_the_failed_one_holds(void **state)
{
    struct fixture *f = *state;
    const struct flush first = begin_flush(f, 0), second = begin_flush(f, 1);
    assert_int_equal(end_flush(f, &second, BLOCK_OK), BLOCK_OK);
    assert_int_equal(end_flush(f, &first, BLOCK_IO_ERROR), BLOCK_IO_ERROR);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_IO_ERROR); /* of what came after it */
}

static void flushes_in_flight_at_a_failed_one_fail_whosever_they_are(void **state)
{
    struct fixture *f = *state;
    const struct flush failed = begin_flush(f, 0), own = begin_flush(f, 0);
    const struct flush other = begin_flush(f, 1), another = begin_flush(f, 1);
    assert_int_equal(end_flush(f, &failed, BLOCK_IO_ERROR), BLOCK_IO_ERROR);
    assert_int_equal(end_flush(f, &own, BLOCK_OK), BLOCK_IO_ERROR);
    assert_int_equal(end_flush(f, &other, BLOCK_OK), BLOCK_IO_ERROR);
    const struct flush later = begin_flush(f, 1); /* after its client has heard of it */
    assert_int_equal(end_flush(f, &later, BLOCK_OK), BLOCK_OK);
    assert_int_equal(end_flush(f, &another, BLOCK_OK), BLOCK_IO_ERROR);
}

static void a_loss_that_no_flush_has_shown_is_told_to_all(void **state)
{
    struct fixture *f = *state;
    f->losses++; /* the device was reset */
    for (uint32_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(flush_with(f, i, BLOCK_OK), BLOCK_IO_ERROR);
        assert_int_equal(flush_with(f, i, BLOCK_OK), BLOCK_OK);
    }
}

/* The error may have been among the answers that the client's former life did not take. */
static void a_client_that_begins_anew_is_told_again(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(flush_with(f, 1, BLOCK_IO_ERROR), BLOCK_IO_ERROR);
    block_client_attach(&f->client[1], f->link[1], f->loop, f->signal);
    link_open(&f->clients.server[1], &f->client[1]);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_IO_ERROR);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
}

static void a_driver_that_begins_anew_tells_what_it_had_not_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(flush_with(f, 0, BLOCK_IO_ERROR), BLOCK_IO_ERROR);
    begin_driver(f);
    for (uint32_t i = 0; i < CLIENTS; i++)
        link_open(&f->clients.server[i], &f->client[i]);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_IO_ERROR);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
}

static void a_disk_that_never_was_ready_is_not_tried_again(void **state)
{
    (void)state; /* without a driver; the first test, as this is remembered for good */
    assert_false(disk_try_again("no such device"));
}

static void a_disk_that_was_ready_is_tried_again_after_a_pause(void **state)
{
    struct fixture *f = *state;
    uint64_t before = quoll_now();
    assert_true(disk_try_again("it does not answer"));
    assert_true(quoll_now() - before >= quoll_ticks_from_ns(1000000000u));
    assert_true(twin_await_log(f->twin, "it does not answer; trying every", 1000));
}

static void resets_are_few_but_forgotten_after_an_hour(void **state)
{
    struct disk_resets resets = {0};
    uint64_t minute = quoll_ticks_from_ns(60000000000ull), now = 0;
    for (uint32_t i = 0; i < DISK_MOST_RESETS; i++)
        assert_true(disk_may_reset(&resets, now += minute));
    assert_false(disk_may_reset(&resets, now + 59 * minute));
    assert_true(disk_may_reset(&resets, now + 60 * minute));
    assert_int_equal(resets.count, 1);
    now += 60 * minute;
    for (uint32_t i = 1; i < DISK_MOST_RESETS; i++)
        assert_true(disk_may_reset(&resets, now += minute));
    assert_false(disk_may_reset(&resets, now + minute));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_never_was_ready_is_not_tried_again),
        TEST(a_disk_that_was_ready_is_tried_again_after_a_pause),
        TEST(a_flush_that_fails_is_told_to_every_client_once),
        TEST(a_flush_that_was_answered_before_the_failed_one_holds),
        TEST(flushes_in_flight_at_a_failed_one_fail_whosever_they_are),
        TEST(a_loss_that_no_flush_has_shown_is_told_to_all),
        TEST(a_client_that_begins_anew_is_told_again),
        TEST(a_driver_that_begins_anew_tells_what_it_had_not_told),
        TEST(resets_are_few_but_forgotten_after_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
