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
    struct block_mark mark;
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
        block_server_attach(&f->clients.server[i], f->link[i], f->loop, f->signal, NULL, 1);
    disk_clients_ready(&f->clients, &geometry, 64);
}

/* A driver that has not begun. */
static int adopt(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->twin = twin_create();
    (void)twin_adopt(f->twin, "test");
    twin_start(f->twin);
    *state = f;
    return 0;
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

static uint64_t begin(struct fixture *f, uint32_t client, const struct block_request *request)
{
    uint32_t number;
    struct block_request taken;
    assert_true(block_client_submit(&f->client[client], request));
    block_client_publish(&f->client[client]);
    assert_true(disk_clients_take(&f->clients, &number, &taken));
    assert_int_equal(number, client);
    assert_int_equal(taken.operation, request->operation);
    return taken.id;
}

static struct flush begin_flush(struct fixture *f, uint32_t client)
{
    const struct block_request request = {.operation = BLOCK_FLUSH};
    uint64_t id = begin(f, client, &request);
    return (struct flush){client, id, block_server_mark(&f->clients.server[client])};
}

static uint64_t begin_write(struct fixture *f, uint32_t client)
{
    const struct block_request request = {.operation = BLOCK_WRITE, .count = 1};
    return begin(f, client, &request);
}

static void end_write(struct fixture *f, uint32_t client, uint64_t id)
{
    struct block_completion completion;
    disk_clients_complete(&f->clients, client, id, BLOCK_OK);
    disk_clients_publish(&f->clients);
    assert_true(block_client_take(&f->client[client], &completion));
}

static void write_something(struct fixture *f, uint32_t client)
{
    end_write(f, client, begin_write(f, client));
}

/* The disk answers; what the client hears. */
static enum block_status end_flush(struct fixture *f, const struct flush *flush,
                                   enum block_status status)
{
    struct block_completion completion;
    disk_clients_flushed(&f->clients, flush->client, flush->id, flush->mark, status);
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
    write_something(f, 1);
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

/* What it had written was safe, or it has written nothing. */
static void who_has_nothing_in_the_cache_is_not_told(void **state)
{
    struct fixture *f = *state;
    write_something(f, 1);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
    f->losses++;
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
    f->losses++;
    write_something(f, 1); /* after the loss */
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
    write_something(f, 1);
    f->losses++;
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_IO_ERROR);
}

/* It may have reached the cache after the disk had emptied it. */
static void a_write_in_flight_at_a_flush_is_not_made_safe_by_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
    uint64_t write = begin_write(f, 1);
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_OK);
    end_write(f, 1, write);
    f->losses++;
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_IO_ERROR);
}

static void a_flush_that_fails_makes_nothing_safe(void **state)
{
    struct fixture *f = *state;
    write_something(f, 1);
    assert_int_equal(flush_with(f, 1, BLOCK_IO_ERROR), BLOCK_IO_ERROR);
    f->losses++;
    assert_int_equal(flush_with(f, 1, BLOCK_OK), BLOCK_IO_ERROR);
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

/* ---- Any order of events ---- */

enum { MOST_WRITES = 64, MOST_FLUSHES = 4 };

/* A write whose client cannot be sure of it yet. */
struct written {
    uint64_t id;
    uint32_t client;
    uint32_t done; /* when, in steps; 0: in flight */
    bool lost;
};

struct history {
    struct fixture *f;
    struct written write[MOST_WRITES];
    struct {
        struct flush flush;
        uint32_t begun;
    } flush[MOST_FLUSHES];
    uint32_t writes, flushes;
    uint32_t now;
    uint32_t told, kept; /* FLUSHes with an error, and without one that covered something */
};

static uint32_t any(uint32_t below)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static void lose_some(struct history *h)
{
    for (uint32_t i = 0; i < h->writes; i++)
        if (h->write[i].done != 0 && any(2) == 0)
            h->write[i].lost = true;
}

/* Of those that were done before `since`: the client's own are relied on, or given up; the others are safe or go on. */
static void forget_writes(struct history *h, uint32_t client, uint32_t since, bool everyones)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < h->writes; i++) {
        const struct written *write = &h->write[i];
        bool covered = write->done != 0 && write->done < since;
        if (covered && (write->client == client || (everyones && !write->lost)))
            continue;
        h->write[left++] = *write;
    }
    h->writes = left;
}

static void end_any_flush(struct history *h)
{
    uint32_t which = any(h->flushes);
    const struct flush flush = h->flush[which].flush;
    uint32_t begun = h->flush[which].begun;
    h->flush[which] = h->flush[--h->flushes];
    bool fails = any(4) == 0;
    if (fails)
        lose_some(h);
    enum block_status status = end_flush(h->f, &flush, fails ? BLOCK_IO_ERROR : BLOCK_OK);
    if (status != BLOCK_OK) {
        h->told++;
        forget_writes(h, flush.client, h->now, false);
    }
    for (uint32_t i = 0; i < h->writes && status == BLOCK_OK; i++) {
        const struct written *write = &h->write[i];
        if (write->client != flush.client || write->done == 0 || write->done >= begun)
            continue;
        assert_false(write->lost);
        h->kept++;
    }
    if (!fails)
        forget_writes(h, status == BLOCK_OK ? flush.client : CLIENTS, begun, true);
}

static void end_any_write(struct history *h)
{
    for (uint32_t i = 0; i < h->writes; i++) {
        struct written *write = &h->write[i];
        if (write->done != 0 || any(2) == 0)
            continue;
        end_write(h->f, write->client, write->id);
        write->done = h->now;
        return;
    }
}

static void step(struct history *h)
{
    uint32_t client = any(CLIENTS), what = any(40);
    h->now++;
    if (what < 12 && h->writes < MOST_WRITES)
        h->write[h->writes++] = (struct written){.id = begin_write(h->f, client), .client = client};
    else if (what < 26)
        end_any_write(h);
    else if (what < 32 && h->flushes < MOST_FLUSHES) {
        h->flush[h->flushes].flush = begin_flush(h->f, client);
        h->flush[h->flushes++].begun = h->now;
    } else if (what < 39 && h->flushes > 0)
        end_any_flush(h);
    else if (what == 39) { /* a reset of the device */
        h->f->losses++;
        lose_some(h);
    }
}

static void a_good_flush_never_covers_what_was_lost(void **state)
{
    struct history h = {.f = *state};
    for (uint32_t i = 0; i < 200000; i++)
        step(&h);
    assert_true(h.told > 1000);
    assert_true(h.kept > 1000);
}

/* What outlives the driver: it has been of use before. */
static uint64_t *surviving_losses(void)
{
    static const struct disk_config config = {.client_count = 0};
    static struct disk_clients clients;
    disk_clients_find(&clients, &config);
    return clients.losses;
}

static const uint8_t one_serial[DISK_SERIAL_BYTES] = "S1", other_serial[DISK_SERIAL_BYTES] = "S2";

/* The first test, as what happens afterwards is remembered for good. */
static void a_disk_that_never_was_ready_is_not_tried_again(void **state)
{
    (void)state; /* without a driver */
    uint64_t *losses = surviving_losses();
    assert_false(disk_try_again("no such device"));
    disk_had_failed();
    assert_int_equal(*losses, 0);
    assert_true(disk_is_the_same(one_serial));
    assert_true(disk_is_the_same(other_serial)); /* until it is ready it may be any */
}

static void a_disk_with_another_serial_number_is_another_disk(void **state)
{
    (void)state;
    assert_false(disk_is_the_same(one_serial));
    assert_true(disk_is_the_same(other_serial));
}

static void a_disk_that_had_failed_when_its_driver_began_may_have_lost_its_cache(void **state)
{
    (void)state;
    uint64_t *losses = surviving_losses(), before = *losses;
    disk_had_failed();
    assert_int_equal(*losses, before + 1);
}

static void a_disk_that_was_ready_is_tried_again_after_a_pause(void **state)
{
    struct fixture *f = *state;
    uint64_t before = quoll_now(), *losses = surviving_losses(), lost = *losses;
    assert_true(disk_try_again("it does not answer"));
    assert_int_equal(*losses, lost + 1);
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
        cmocka_unit_test_setup_teardown(a_disk_that_never_was_ready_is_not_tried_again, adopt,
                                        tear_down),
        TEST(a_disk_that_was_ready_is_tried_again_after_a_pause),
        TEST(a_disk_with_another_serial_number_is_another_disk),
        TEST(a_disk_that_had_failed_when_its_driver_began_may_have_lost_its_cache),
        TEST(a_flush_that_fails_is_told_to_every_client_once),
        TEST(a_flush_that_was_answered_before_the_failed_one_holds),
        TEST(flushes_in_flight_at_a_failed_one_fail_whosever_they_are),
        TEST(a_loss_that_no_flush_has_shown_is_told_to_all),
        TEST(who_has_nothing_in_the_cache_is_not_told),
        TEST(a_write_in_flight_at_a_flush_is_not_made_safe_by_it),
        TEST(a_flush_that_fails_makes_nothing_safe),
        TEST(a_good_flush_never_covers_what_was_lost),
        TEST(a_client_that_begins_anew_is_told_again),
        TEST(a_driver_that_begins_anew_tells_what_it_had_not_told),
        TEST(resets_are_few_but_forgotten_after_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
