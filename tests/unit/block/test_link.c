/* Both ends of a block link: what passes, what is refused and with which answer, and peers that write whatever they like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quoll/block_io.h>
#include <quoll/twin.h>
#include <stdlib.h>
#include <string.h>

#include "../../link.h"

enum { BUFFER = 5, BUFFER_BYTES = 65536, SECTORS = 1000 };

struct fixture {
    struct twin *twin;
    struct block_link *link;
    struct block_buffers buffers;
    struct block_server server;
    struct block_client client;
};

static const struct block_geometry disk = {
    .sectors = SECTORS,
    .abilities = BLOCK_CAN_FLUSH,
    .physical_block = 512,
    .max_sectors = 64,
    .name = "a disk",
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->twin = twin_create();
    struct twin_component *self = twin_adopt(f->twin, "test");
    twin_connect(self, "loop", self, 0, "loop");
    twin_start(f->twin);
    f->link = twin_memory(f->twin, BLOCK_LINK_BYTES);
    f->buffers.buffer[BUFFER].size = BUFFER_BYTES;
    uint32_t loop = quoll_handle("loop", QUOLL_OBJECT_CHANNEL);
    uint64_t signal = quoll_receive("loop");
    block_server_attach(&f->server, f->link, loop, signal, &f->buffers, 1u << BUFFER);
    block_client_attach(&f->client, f->link, loop, signal);
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

static struct fixture *ready(void **state, const struct block_geometry *geometry)
{
    struct fixture *f = *state;
    block_server_ready(&f->server, geometry);
    link_open(&f->server, &f->client);
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_READY);
    return f;
}

static struct block_request sound(void)
{
    return (struct block_request){
        .id = 77, .sector = 10, .count = 8, .operation = BLOCK_WRITE, .buffer = BUFFER};
}

/* What the client is told about one request; -1: the server would carry it out. */
static int answer_to(struct fixture *f, struct block_request request)
{
    struct block_request taken;
    struct block_completion completion;
    assert_true(block_client_submit(&f->client, &request));
    block_client_publish(&f->client);
    if (block_server_take(&f->server, &taken)) {
        uint64_t id = taken.id;
        taken.id = request.id; /* the link has ids of its own */
        assert_memory_equal(&taken, &request, sizeof(request));
        taken.id = id;
        block_server_complete(&f->server, taken.id, BLOCK_OK);
        block_server_publish(&f->server);
        assert_true(block_client_take(&f->client, &completion));
        assert_int_equal(completion.status, BLOCK_OK);
        return -1;
    }
    block_server_publish(&f->server);
    assert_true(block_client_take(&f->client, &completion));
    assert_int_equal(completion.id, request.id);
    return (int)completion.status;
}

static void the_geometry_reaches_the_client(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_STARTING);
    block_server_ready(&f->server, &disk);
    assert_true(twin_await(f->client.signal, 1000));
    link_open(&f->server, &f->client);
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_READY);
    assert_memory_equal(&f->client.geometry, &disk, sizeof(disk));
}

static void a_sound_request_and_its_answer_pass(void **state)
{
    struct fixture *f = ready(state, &disk);
    assert_int_equal(answer_to(f, sound()), -1);
}

static void a_flush_passes(void **state)
{
    struct fixture *f = ready(state, &disk);
    assert_int_equal(answer_to(f, (struct block_request){.operation = BLOCK_FLUSH}), -1);
}

static void what_is_wrong_with_a_request_is_answered(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_request r;
#define REFUSED(change, status)                                                                    \
    do {                                                                                           \
        r = sound();                                                                               \
        change;                                                                                    \
        assert_int_equal(answer_to(f, r), status);                                                 \
    } while (0)
    REFUSED(r.sector = SECTORS, BLOCK_OUT_OF_RANGE);
    REFUSED(r.sector = SECTORS - 7, BLOCK_OUT_OF_RANGE);
    REFUSED(r.sector = UINT64_MAX - 3, BLOCK_OUT_OF_RANGE);
    REFUSED(r.sector = UINT64_MAX, BLOCK_OUT_OF_RANGE);
    REFUSED(r.count = 0, BLOCK_BAD_REQUEST);
    REFUSED(r.count = 65, BLOCK_BAD_REQUEST);
    REFUSED(r.count = UINT32_MAX, BLOCK_BAD_REQUEST);
    REFUSED(r.operation = 0, BLOCK_BAD_REQUEST);
    REFUSED(r.operation = 4, BLOCK_BAD_REQUEST);
    REFUSED(r.flags = 2, BLOCK_BAD_REQUEST);
    REFUSED((r.operation = BLOCK_READ, r.flags = BLOCK_FUA), BLOCK_BAD_REQUEST);
    REFUSED(r.operation = BLOCK_FLUSH, BLOCK_BAD_REQUEST); /* with a count */
    REFUSED(r.buffer = BUFFER - 1, BLOCK_BAD_REQUEST);
    REFUSED(r.buffer = CONFIG_MAX_BUFFERS, BLOCK_BAD_REQUEST);
    REFUSED(r.buffer = UINT32_MAX, BLOCK_BAD_REQUEST);
    REFUSED(r.offset = 256, BLOCK_BAD_REQUEST);
    REFUSED(r.offset = BUFFER_BYTES, BLOCK_BAD_REQUEST);
    REFUSED(r.offset = BUFFER_BYTES - 7 * 512, BLOCK_BAD_REQUEST);
    REFUSED(r.offset = UINT64_MAX - 511, BLOCK_BAD_REQUEST);
#undef REFUSED
    assert_int_equal(f->server.refused, 19);
    assert_int_equal(f->server.outstanding, 0);
}

static void the_last_sector_and_the_last_byte_of_the_buffer_can_be_used(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_request r = sound();
    r.sector = SECTORS - r.count;
    r.offset = BUFFER_BYTES - r.count * 512;
    assert_int_equal(answer_to(f, r), -1);
}

static void an_allowed_buffer_that_is_not_there_is_refused(void **state)
{
    struct fixture *f = ready(state, &disk);
    f->server.allowed_buffers |= 1u << 9;
    struct block_request r = sound();
    r.buffer = 9;
    assert_int_equal(answer_to(f, r), BLOCK_BAD_REQUEST);
}

static void a_read_only_disk_is_only_read(void **state)
{
    struct block_geometry geometry = disk;
    geometry.abilities |= BLOCK_IS_READ_ONLY;
    struct fixture *f = ready(state, &geometry);
    struct block_request r = sound();
    assert_int_equal(answer_to(f, r), BLOCK_READ_ONLY);
    r.operation = BLOCK_READ;
    assert_int_equal(answer_to(f, r), -1);
}

static void a_disk_that_cannot_flush_does_not_pretend(void **state)
{
    struct block_geometry geometry = disk;
    geometry.abilities = 0;
    struct fixture *f = ready(state, &geometry);
    struct block_request r = sound();
    r.flags = BLOCK_FUA;
    assert_int_equal(answer_to(f, r), BLOCK_BAD_REQUEST);
    assert_int_equal(answer_to(f, (struct block_request){.operation = BLOCK_FLUSH}),
                     BLOCK_BAD_REQUEST);
}

static void a_disk_of_large_blocks_takes_whole_ones(void **state)
{
    struct block_geometry geometry = disk;
    geometry.abilities |= BLOCK_WHOLE_BLOCKS;
    geometry.physical_block = 4096;
    struct fixture *f = ready(state, &geometry);
    struct block_request r = sound();
    assert_int_equal(answer_to(f, r), BLOCK_BAD_REQUEST); /* sector 10 */
    r.sector = 16;
    assert_int_equal(answer_to(f, r), -1);
    r.count = 4;
    assert_int_equal(answer_to(f, r), BLOCK_BAD_REQUEST);
}

static void a_failed_disk_answers_that_it_is_gone(void **state)
{
    struct fixture *f = ready(state, &disk);
    block_server_failed(&f->server, "the head fell off");
    assert_int_equal(answer_to(f, sound()), BLOCK_GONE); /* the client has not looked yet */
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_FAILED);
    assert_string_equal(f->client.reason, "the head fell off");
    struct block_request r = sound();
    assert_false(block_client_submit(&f->client, &r));
}

static void a_reason_that_is_too_long_is_cut(void **state)
{
    struct fixture *f = *state;
    char reason[200];
    memset(reason, 'x', sizeof(reason));
    reason[199] = '\0';
    block_server_failed(&f->server, reason);
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_FAILED);
    assert_int_equal(strlen(f->client.reason), sizeof(f->client.reason) - 1);
}

static void a_client_has_as_many_requests_in_flight_as_the_ring_holds(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_request r = sound(), taken;
    struct block_completion completion;
    for (uint32_t i = 0; i < BLOCK_RING_ENTRIES; i++)
        assert_true(block_client_submit(&f->client, &r));
    assert_false(block_client_submit(&f->client, &r));
    block_client_publish(&f->client);
    assert_true(block_server_take(&f->server, &taken));
    assert_false(block_client_submit(&f->client, &r)); /* taken is not answered */
    block_server_complete(&f->server, taken.id, BLOCK_OK);
    block_server_publish(&f->server);
    assert_true(block_client_take(&f->client, &completion));
    assert_true(block_client_submit(&f->client, &r));
}

/* A client that never takes its answers gets no service, and the server neither spins nor loses count. */
static void a_client_that_takes_no_answers_stops_only_itself(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_request r = sound();
    r.operation = 0; /* answered by take() itself */
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < BLOCK_RING_ENTRIES; i++)
            quoll_ring_put(&f->client.requests, &r);
        quoll_ring_publish(&f->client.requests);
        struct block_request taken;
        assert_false(block_server_take(&f->server, &taken));
        block_server_publish(&f->server);
    }
    assert_int_equal(f->server.refused, BLOCK_RING_ENTRIES);
    assert_true(block_server_sleep(&f->server));
}

static void a_sleeping_server_is_woken_once(void **state)
{
    struct fixture *f = ready(state, &disk);
    twin_wait(0);
    assert_true(block_server_sleep(&f->server));
    struct block_request r = sound();
    block_client_submit(&f->client, &r);
    block_client_publish(&f->client);
    assert_true(twin_await(f->server.signal, 1000));
    block_client_submit(&f->client, &r);
    block_client_publish(&f->client);
    assert_int_equal(twin_wait(20), 0); /* it is awake: no second signal */
    assert_false(block_server_sleep(&f->server));
}

static void nonsense_from_a_server_is_a_failed_disk(void **state)
{
    static const struct block_geometry nonsense[] = {
        {.sectors = 8, .physical_block = 0, .max_sectors = 8},
        {.sectors = 8, .physical_block = 513, .max_sectors = 8},
        {.sectors = 8, .physical_block = 256, .max_sectors = 8},
        {.sectors = 8, .physical_block = 512, .max_sectors = 0},
        {.sectors = UINT64_MAX, .physical_block = 512, .max_sectors = 8},
        {.sectors = 8,
         .physical_block = 1u << 31,
         .max_sectors = 8,
         .abilities = BLOCK_WHOLE_BLOCKS},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        block_client_attach(&f->client, f->link, f->client.channel, f->client.signal);
        block_server_ready(&f->server, &nonsense[i]);
        link_open(&f->server, &f->client);
        assert_int_equal(block_client_state(&f->client), BLOCK_LINK_FAILED);
    }
}

static void a_transfer_larger_than_the_protocol_allows_is_never_promised(void **state)
{
    struct block_geometry geometry = disk;
    geometry.max_sectors = UINT32_MAX;
    struct fixture *f = ready(state, &geometry);
    assert_int_equal(f->client.geometry.max_sectors, BLOCK_MAX_SECTORS);
}

static void an_impossible_status_is_an_error(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_completion completion = {.id = 0, .status = 0x12345678};
    struct block_request request = sound();
    assert_true(block_client_submit(&f->client, &request));
    quoll_ring_put(&f->server.completions, &completion);
    quoll_ring_publish(&f->server.completions);
    assert_true(block_client_take(&f->client, &completion));
    assert_int_equal(completion.status, BLOCK_IO_ERROR);
    assert_int_equal(f->client.in_flight, 0);
}

static void an_answer_to_nothing_is_not_taken(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_request request = sound();
    assert_true(block_client_submit(&f->client, &request));
    static const uint64_t ids[] = {1, 127, 128, UINT64_MAX};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct block_completion completion = {.id = ids[i]};
        quoll_ring_put(&f->server.completions, &completion);
        quoll_ring_publish(&f->server.completions);
        assert_false(block_client_take(&f->client, &completion));
    }
    assert_int_equal(f->client.in_flight, 1);
}

static uint32_t random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* The whole link is scribbled over between any two steps; whatever the server takes is sound. */
static void a_client_that_scribbles_gets_only_sound_requests_through(void **state)
{
    struct fixture *f = ready(state, &disk);
    uint32_t seed = 1, taken_count = 0;
    for (uint32_t round = 0; round < 200000; round++) {
        uint32_t *words = (uint32_t *)(void *)f->link;
        for (int i = 0; i < 8; i++)
            words[random_next(&seed) % (sizeof(*f->link) / 4)] =
                random_next(&seed) % 3 == 0 ? random_next(&seed) : random_next(&seed) % 70;
        struct block_request good = sound(), taken;
        f->link->request[f->server.requests.mine % BLOCK_RING_ENTRIES] = good;
        if (round % 2 == 0)
            f->link->requests.produced = f->server.requests.mine + 1;
        f->link->completions.consumed = f->server.completions.mine - random_next(&seed) % 140;
        if (block_server_take(&f->server, &taken)) {
            assert_int_equal(block_server_check(&f->server, &taken), BLOCK_OK);
            block_server_complete(&f->server, taken.id, BLOCK_OK);
            taken_count++;
        }
        block_server_publish(&f->server);
        assert_true(f->server.outstanding == 0);
    }
    assert_true(taken_count > 1000);
}

/* ---- Restarts ---- */

static void a_server_that_came_back_is_asked_again(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_request request = sound(), taken;
    struct block_completion completion;
    assert_true(block_client_submit(&f->client, &request));
    block_client_publish(&f->client);
    assert_true(block_server_take(&f->server, &taken));
    block_server_attach(&f->server, f->link, f->client.channel, f->client.signal, &f->buffers,
                        1u << BUFFER);
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_READY);
    assert_false(block_client_take(&f->client, &completion));
    request.id = 78;
    assert_true(block_client_submit(&f->client, &request)); /* while nobody is there */
    block_server_ready(&f->server, &disk);
    link_open(&f->server, &f->client);
    for (uint64_t id = 77; id <= 78; id++) {
        assert_true(block_server_take(&f->server, &taken));
        block_server_complete(&f->server, taken.id, BLOCK_OK);
        block_server_publish(&f->server);
        assert_true(block_client_take(&f->client, &completion));
        assert_int_equal(completion.id, id);
    }
    assert_false(block_server_take(&f->server, &taken));
    assert_int_equal(f->client.in_flight, 0);
}

static void a_server_that_comes_back_with_another_disk_is_refused(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_geometry smaller = disk;
    smaller.sectors--;
    block_server_attach(&f->server, f->link, f->client.channel, f->client.signal, &f->buffers,
                        1u << BUFFER);
    block_server_ready(&f->server, &smaller);
    link_open(&f->server, &f->client);
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_FAILED);
}

static void a_client_that_began_anew_waits_for_what_its_former_life_asked(void **state)
{
    struct fixture *f = ready(state, &disk);
    struct block_request request = sound(), taken, other;
    struct block_completion completion;
    assert_true(block_client_submit(&f->client, &request));
    block_client_publish(&f->client);
    assert_true(block_server_take(&f->server, &taken));
    block_client_attach(&f->client, f->link, f->client.channel, f->client.signal);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(block_client_state(&f->client), BLOCK_LINK_STARTING);
        assert_false(block_server_take(&f->server, &other));
        assert_true(block_server_sleep(&f->server));
    }
    block_server_complete(&f->server, taken.id, BLOCK_OK); /* the disk is done with the buffer */
    block_server_publish(&f->server);
    assert_false(block_server_sleep(&f->server));
    link_open(&f->server, &f->client);
    assert_int_equal(block_client_state(&f->client), BLOCK_LINK_READY);
    assert_false(block_client_take(&f->client, &completion));
    assert_int_equal(answer_to(f, sound()), -1);
}

/* One schedule of steps of both sides, either of which may begin anew between any two. */
struct schedule {
    struct fixture *f;
    uint32_t seed, life;
    uint64_t next; /* request of this life */
    uint64_t answered;
    struct {
        uint64_t id;
        uint64_t life;
    } held[BLOCK_RING_ENTRIES];
    uint32_t held_count;
};

static void schedule_take(struct schedule *s)
{
    struct block_request request;
    if (!block_server_take(&s->f->server, &request))
        return;
    for (uint32_t i = 0; i < s->held_count; i++)
        assert_int_equal(s->held[i].life, request.sector); /* nothing of a former life */
    s->held[s->held_count].id = request.id;
    s->held[s->held_count++].life = request.sector;
}

static void schedule_complete(struct schedule *s)
{
    if (s->held_count == 0)
        return;
    uint32_t which = random_next(&s->seed) % s->held_count;
    block_server_complete(&s->f->server, s->held[which].id, BLOCK_OK);
    s->held[which] = s->held[--s->held_count];
    block_server_publish(&s->f->server);
}

static void schedule_submit(struct schedule *s)
{
    struct block_request request = sound();
    request.id = (uint64_t)s->life << 32 | s->next;
    request.sector = s->life;
    if (block_client_submit(&s->f->client, &request))
        s->next++;
}

/* Each request is answered once: in any order, so their sum tells. */
static void schedule_answers(struct schedule *s)
{
    struct block_completion completion;
    while (block_client_take(&s->f->client, &completion)) {
        assert_int_equal(completion.id >> 32, s->life);
        assert_int_equal(completion.status, BLOCK_OK);
        s->answered += (uint32_t)completion.id + 1;
    }
}

static void schedule_step(struct schedule *s, uint32_t kind)
{
    struct fixture *f = s->f;
    switch (kind) {
    case 0:
        block_server_attach(&f->server, f->link, f->client.channel, f->client.signal, &f->buffers,
                            1u << BUFFER);
        s->held_count = 0; /* as a driver's reset does */
        break;
    case 1:
        block_client_attach(&f->client, f->link, f->client.channel, f->client.signal);
        s->life++;
        s->next = s->answered = 0;
        break;
    case 2:
        if (f->server.state == BLOCK_LINK_STARTING)
            block_server_ready(&f->server, &disk);
        break;
    case 3:
    case 4:
        schedule_submit(s);
        break;
    case 5:
        block_client_publish(&f->client);
        break;
    case 6:
        (void)block_client_state(&f->client);
        break;
    case 7:
        schedule_answers(s);
        break;
    case 8:
    case 9:
        schedule_take(s);
        break;
    default:
        schedule_complete(s);
        break;
    }
}

static void whatever_is_restarted_when_each_request_is_answered_once(void **state)
{
    struct fixture *f = ready(state, &disk);
    for (uint32_t seed = 1; seed <= 4000; seed++) {
        struct schedule s = {.f = f, .seed = seed * 2654435761u, .life = 1};
        block_client_attach(&f->client, f->link, f->client.channel, f->client.signal);
        while (f->server.outstanding > 0) /* of the schedule before */
            block_server_complete(&f->server, 0, BLOCK_OK);
        for (uint32_t step = 0; step < 150; step++) {
            uint32_t kind = random_next(&s.seed) % 12;
            if (kind < 2 && random_next(&s.seed) % 8 != 0)
                kind = 7;
            schedule_step(&s, kind);
        }
        for (uint32_t turn = 0; turn < 2000; turn++)
            schedule_step(&s, 2 + turn % 10 + (turn % 10 == 1 || turn % 10 == 2 ? 3 : 0));
        assert_int_equal(f->client.in_flight, 0);
        assert_int_equal(s.answered, s.next * (s.next + 1) / 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_geometry_reaches_the_client),
        TEST(a_sound_request_and_its_answer_pass),
        TEST(a_flush_passes),
        TEST(what_is_wrong_with_a_request_is_answered),
        TEST(the_last_sector_and_the_last_byte_of_the_buffer_can_be_used),
        TEST(an_allowed_buffer_that_is_not_there_is_refused),
        TEST(a_read_only_disk_is_only_read),
        TEST(a_disk_that_cannot_flush_does_not_pretend),
        TEST(a_disk_of_large_blocks_takes_whole_ones),
        TEST(a_failed_disk_answers_that_it_is_gone),
        TEST(a_reason_that_is_too_long_is_cut),
        TEST(a_client_has_as_many_requests_in_flight_as_the_ring_holds),
        TEST(a_client_that_takes_no_answers_stops_only_itself),
        TEST(a_sleeping_server_is_woken_once),
        TEST(nonsense_from_a_server_is_a_failed_disk),
        TEST(a_transfer_larger_than_the_protocol_allows_is_never_promised),
        TEST(an_impossible_status_is_an_error),
        TEST(an_answer_to_nothing_is_not_taken),
        TEST(a_client_that_scribbles_gets_only_sound_requests_through),
        TEST(a_server_that_came_back_is_asked_again),
        TEST(a_server_that_comes_back_with_another_disk_is_refused),
        TEST(a_client_that_began_anew_waits_for_what_its_former_life_asked),
        TEST(whatever_is_restarted_when_each_request_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
