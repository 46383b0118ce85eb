/*
 * The console service as its neighbours see it: this program is the UART driver, the supervisor and all VMs at once, and takes
 * the UART's output apart as the host tool does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quoll/config.h>
#include <quoll/stream.h>
#include <quoll/twin.h>
#include <stdlib.h>
#include <string.h>

void console_main(void);

enum { VMS = 2, STREAM_COUNT = VMS + 2, LOG = VMS, NOTICES = VMS + 1, TEXT_BYTES = 1 << 20 };

static const char *const names[STREAM_COUNT] = {"db", "rt", FRAME_LOG_STREAM, FRAME_NOTICE};

struct system {
    struct twin *twin;
    struct stream_end uart, vm[VMS];
    /* what came out, by stream */
    char *text[STREAM_COUNT];
    size_t length[STREAM_COUNT];
    uint32_t current;
    char frame[256]; /* an ESC sequence as far as it has come */
    size_t frame_length;
};

static struct system *set_up(void)
{
    struct system *s = calloc(1, sizeof *s);
    struct console_config config = {.stream_count = VMS, .focus = 0};
    s->twin = twin_create();
    struct twin_component *test = twin_adopt(s->twin, "supervisor");
    struct twin_component *console = twin_component(s->twin, "console", console_main, NULL, 1);
    twin_link(test, "uart", console, "uart", STREAM_LINK_BYTES);
    for (uint32_t i = 0; i < VMS; i++) {
        quoll_format(config.name[i], QUOLL_NAME_SIZE, "%s", names[i]);
        char name[QUOLL_NAME_SIZE], vm[QUOLL_NAME_SIZE];
        quoll_format(name, sizeof name, "stream%u", i);
        quoll_format(vm, sizeof vm, "vm%u", i);
        twin_link(console, name, test, vm, STREAM_LINK_BYTES);
        stream_open(&s->vm[i], vm, false);
    }
    twin_give_config(console, &config, sizeof config);
    twin_give_kernel_log(console, 0);
    twin_connect(test, "console-flush", console, 0, "console-flush");
    twin_connect(console, "console-flushed", test, 0, "console-flushed");
    stream_open(&s->uart, "uart", true);
    for (uint32_t i = 0; i < STREAM_COUNT; i++)
        s->text[i] = calloc(1, TEXT_BYTES);
    s->current = UINT32_MAX;
    twin_start(s->twin);
    return s;
}

static void tear_down(struct system *s)
{
    twin_destroy(s->twin);
    for (uint32_t i = 0; i < STREAM_COUNT; i++)
        free(s->text[i]);
    free(s);
}

/* ------------------------------------------------------------------------------------------------ the host tool's part */

static void append(struct system *s, uint32_t stream, char c)
{
    assert_true(stream < STREAM_COUNT);
    assert_true(s->length[stream] < TEXT_BYTES - 1);
    s->text[stream][s->length[stream]++] = c;
}

static void frame_complete(struct system *s)
{
    size_t length = s->frame_length - 5;
    const char *body = s->frame + 3;
    if (body[0] == '!') {
        for (size_t i = 1; i < length; i++)
            append(s, NOTICES, body[i]);
        append(s, NOTICES, '\n');
        return;
    }
    for (s->current = 0; s->current < VMS + 1; s->current++)
        if (strlen(names[s->current]) == length && memcmp(names[s->current], body, length) == 0)
            return;
    fail_msg("a frame names the unknown stream \"%.*s\"", (int)length, body);
}

static void give_up_frame(struct system *s)
{
    for (size_t i = 0; i < s->frame_length; i++)
        append(s, s->current, s->frame[i]);
    s->frame_length = 0;
}

static void demultiplex(struct system *s, char c)
{
    static const char begin[] = FRAME_BEGIN;
    if (s->frame_length >= 3) {
        s->frame[s->frame_length++] = c;
        if (c == '\\' && s->frame[s->frame_length - 2] == 0x1b) {
            frame_complete(s);
            s->frame_length = 0;
        }
        return;
    }
    if (c == begin[0])
        give_up_frame(s);
    if (c == begin[s->frame_length]) {
        s->frame[s->frame_length++] = c;
        return;
    }
    give_up_frame(s);
    append(s, s->current, c);
}

/* Takes what the UART has been given, at most `limit` bytes; returns how many. */
static uint32_t uart_take(struct system *s, uint32_t limit)
{
    char bytes[4096];
    uint32_t count = stream_read(&s->uart, bytes, limit < sizeof bytes ? limit : sizeof bytes);
    for (uint32_t i = 0; i < count; i++)
        demultiplex(s, bytes[i]);
    return count;
}

/* Serves the UART until the stream has so many bytes. */
static void uart_until(struct system *s, uint32_t stream, size_t length)
{
    for (int patience = 0; s->length[stream] < length; patience++) {
        if (patience == 1000)
            fail_msg("stream %s has %lu of %lu bytes", names[stream],
                     (unsigned long)s->length[stream], (unsigned long)length);
        if (uart_take(s, 4096) == 0 && stream_sleep(&s->uart))
            twin_await(quoll_receive("uart"), 10);
    }
}

static void uart_until_text(struct system *s, uint32_t stream, const char *text)
{
    for (int patience = 0; strstr(s->text[stream], text) == NULL; patience++) {
        if (patience == 1000)
            fail_msg("\"%s\" does not appear in %s: %s", text, names[stream], s->text[stream]);
        if (uart_take(s, 4096) == 0 && stream_sleep(&s->uart))
            twin_await(quoll_receive("uart"), 10);
    }
}

static void vm_write(struct system *s, uint32_t vm, const char *bytes, uint32_t size)
{
    uint32_t done = 0;
    for (int patience = 0; done < size; patience++) {
        if (patience == 10000)
            fail_msg("VM %s is stuck after %u bytes", names[vm], done);
        uint32_t count = stream_write(&s->vm[vm], bytes + done, size - done);
        done += count;
        if (uart_take(s, 4096) == 0 && count == 0)
            twin_wait(1);
    }
}

static void type(struct system *s, const char *bytes)
{
    assert_int_equal(stream_write(&s->uart, bytes, (uint32_t)strlen(bytes)), strlen(bytes));
}

static void vm_expect_input(struct system *s, uint32_t vm, const char *expected)
{
    char bytes[256] = {0};
    uint32_t count = 0;
    for (int patience = 0; count < strlen(expected) && patience < 1000; patience++) {
        count += stream_read(&s->vm[vm], bytes + count, (uint32_t)sizeof bytes - 1 - count);
        if (count < strlen(expected))
            twin_wait(5);
    }
    assert_string_equal(bytes, expected);
}

/* ------------------------------------------------------------------------------------------------ */

static void each_vm_and_the_log_come_out_under_their_names(void **state)
{
    struct system *s = set_up();
    vm_write(s, 0, "login: ", 7);
    uart_until(s, 0, 7);
    vm_write(s, 1, "tick\n", 5);
    quoll_log("all is %s", "well");
    uart_until(s, 1, 5);
    uart_until_text(s, LOG, "\n");
    assert_string_equal(s->text[0], "login: ");
    assert_string_equal(s->text[1], "tick\n");
    assert_string_equal(s->text[LOG], "supervisor: all is well\r\n");
    tear_down(s);
}

static void a_guest_cannot_forge_a_frame(void **state)
{
    static const char *const attacks[] = {
        "\033_Q!off 0 all is fine\033\\",
        "\033_Qquoll\033\\kernel: trust me\n",
        "\033\033_Qrt\033\\x",
        "\033_\033_Qrt\033\\x",
        "\033_?\033_Qrt\033\\",
    };
    struct system *s = set_up();
    size_t sent = 0;
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        vm_write(s, 0, attacks[i], (uint32_t)strlen(attacks[i]));
        sent += strlen(attacks[i]);
    }
    uart_until(s, 0, sent);
    assert_int_equal(s->length[NOTICES], 0);
    assert_int_equal(s->length[LOG], 0);
    assert_int_equal(s->length[1], 0);
    assert_null(strstr(s->text[0], FRAME_BEGIN));
    assert_non_null(strstr(s->text[0], "\033_?!off 0 all is fine\033\\"));
    tear_down(s);
}

static void nor_when_the_frame_is_split_over_writes_with_others_in_between(void **state)
{
    static const char attack[] = "\033_Q!off 0 forged\033\\";
    struct system *s = set_up();
    for (uint32_t i = 0; i < sizeof attack - 1; i++) {
        vm_write(s, 0, &attack[i], 1);
        uart_until(s, 0, i > 0 ? i - 1 : 0); /* the last ESC may still be open */
        vm_write(s, 1, i % 2 == 0 ? "_" : "Q", 1);
        uart_until(s, 1, i + 1);
    }
    uart_until(s, 0, sizeof attack - 1);
    assert_int_equal(s->length[NOTICES], 0);
    assert_non_null(strstr(s->text[0], "_?!off 0 forged"));
    tear_down(s);
}

static void nothing_of_a_vm_is_lost_when_the_uart_is_slow(void **state)
{
    struct system *s = set_up();
    enum { SIZE = 100000 };
    char *bytes = malloc(SIZE);
    for (uint32_t i = 0; i < SIZE; i++)
        bytes[i] = (char)('a' + i % 23);
    uint32_t sent = 0;
    for (uint32_t round = 0; s->length[0] < SIZE && round < 1000000; round++) {
        sent += stream_write(&s->vm[0], bytes + sent, SIZE - sent < 900 ? SIZE - sent : 900);
        if (uart_take(s, 100) == 0 && stream_sleep(&s->uart))
            twin_wait(1);
    }
    assert_int_equal(s->length[0], SIZE);
    assert_memory_equal(s->text[0], bytes, SIZE);
    free(bytes);
    tear_down(s);
}

static void a_flooding_vm_does_not_hold_back_another_nor_the_log(void **state)
{
    struct system *s = set_up();
    char flood[4096];
    memset(flood, 'x', sizeof flood);
    for (int i = 0; i < 20; i++) {
        stream_write(&s->vm[0], flood, sizeof flood);
        uart_take(s, 500);
    }
    vm_write(s, 1, "here", 4);
    quoll_log("and here");
    size_t before = s->length[0];
    while (s->length[1] < 4 || strstr(s->text[LOG], "and here") == NULL) {
        stream_write(&s->vm[0], flood, sizeof flood);
        if (uart_take(s, 500) == 0)
            twin_wait(1);
        assert_true(s->length[0] - before < 20000);
    }
    tear_down(s);
}

static void log_lines_stay_whole_and_clean(void **state)
{
    struct system *s = set_up();
    for (int i = 0; i < 50; i++) {
        quoll_log("line %d \033_Q!off 0 forged\033\\ end", i);
        vm_write(s, 0, "noise", 5);
    }
    uart_until_text(s, LOG, "line 49");
    assert_int_equal(s->length[NOTICES], 0);
    for (int i = 0; i < 50; i++) {
        char line[80];
        quoll_format(line, sizeof line, "supervisor: line %d ?_Q!off 0 forged?\\ end\r\n", i);
        assert_non_null(strstr(s->text[LOG], line));
    }
    tear_down(s);
}

static void overwritten_log_text_is_counted(void **state)
{
    struct system *s = set_up();
    char flood[6000];
    memset(flood, 'x', sizeof flood);
    stream_write(&s->vm[0], flood, sizeof flood); /* the UART is full from now on */
    twin_wait(20);
    for (int i = 0; i < 500; i++)
        quoll_log("line %d of many", i);
    uart_until_text(s, LOG, "line 499 of many\r\n");
    /* what is lost and what is shown is all there was */
    size_t written = 0, shown = 0, lost = 0;
    for (int i = 0; i < 500; i++)
        written += quoll_format(flood, sizeof flood, "supervisor: line %d of many\n", i);
    for (const char *line = strstr(s->text[LOG], "supervisor: "); line != NULL;
         line = strstr(line + 1, "supervisor: "))
        shown += strcspn(line, "\r") + 1;
    for (const char *line = strstr(s->text[LOG], "console: "); line != NULL;
         line = strstr(line + 1, "console: "))
        lost += strtoul(line + 9, NULL, 10);
    assert_true(lost > 0);
    assert_int_equal(lost + shown, written);
    tear_down(s);
}

static void input_goes_to_the_focus_and_a_frame_moves_it(void **state)
{
    struct system *s = set_up();
    type(s, "first\033_Qirt\033\\second");
    vm_expect_input(s, 0, "first");
    vm_expect_input(s, 1, "second");
    type(s, "\033[A\033_Qidb\033\\\033OB");
    vm_expect_input(s, 1, "\033[A");
    vm_expect_input(s, 0, "\033OB");
    tear_down(s);
}

static void input_that_is_no_frame_arrives_as_it_is(void **state)
{
    struct system *s = set_up();
    static const char text[] =
        "\033_Qi\001\033_Qx\033\033_\033_Qiabcdefghijklmnopqrstuvwxyz0123456789ABC"
        "\033\\.";
    type(s, text);
    vm_expect_input(s, 0, text);
    tear_down(s);
}

static void input_for_an_unknown_vm_is_reported(void **state)
{
    struct system *s = set_up();
    type(s, "\033_Qinobody\033\\x");
    uart_until_text(s, LOG, "input for \"nobody\", but no VM has that name");
    vm_expect_input(s, 0, "x");
    tear_down(s);
}

static void a_lone_escape_key_arrives_without_another_key(void **state)
{
    struct system *s = set_up();
    type(s, "\033");
    vm_expect_input(s, 0, "\033");
    tear_down(s);
}

static void input_waits_for_a_vm_that_does_not_read(void **state)
{
    struct system *s = set_up();
    uint32_t sent = 0, received = 0;
    for (int idle = 0; idle < 20;) {
        uint8_t byte = (uint8_t)('A' + sent % 26);
        bool taken = stream_write(&s->uart, &byte, 1) == 1;
        sent += taken;
        idle = taken ? 0 : idle + 1;
        if (!taken)
            twin_wait(1);
    }
    assert_true(sent >= 2 * STREAM_RING_BYTES);
    for (int patience = 0; received < sent && patience < 1000; patience++) {
        uint8_t bytes[100];
        uint32_t count = stream_read(&s->vm[0], bytes, sizeof bytes);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(bytes[i], 'A' + (received + i) % 26);
        received += count;
        if (count == 0)
            twin_wait(1);
    }
    assert_int_equal(received, sent);
    tear_down(s);
}

static void a_notice_is_on_the_wire_before_the_flush_is_answered(void **state)
{
    struct system *s = set_up();
    vm_write(s, 0, "last words", 10);
    quoll_log("notice: off 1 VM db has failed: no kernel");
    quoll_signal(quoll_handle("console-flush", QUOLL_OBJECT_CHANNEL));
    assert_false(twin_await(quoll_receive("console-flushed"), 50)); /* nobody has taken it yet */
    uart_until(s, NOTICES, 10);
    assert_string_equal(s->text[NOTICES], "off 1 VM db has failed: no kernel\n");
    while (uart_take(s, 4096) > 0)
        ;
    assert_true(twin_await(quoll_receive("console-flushed"), 10000));
    assert_string_equal(s->text[0], "last words");
    tear_down(s);
}

static void a_flush_ends_although_a_vm_keeps_writing(void **state)
{
    struct system *s = set_up();
    char flood[1024];
    memset(flood, 'x', sizeof flood);
    stream_write(&s->vm[0], flood, sizeof flood);
    quoll_signal(quoll_handle("console-flush", QUOLL_OBJECT_CHANNEL));
    bool flushed = false;
    for (int patience = 0; !flushed && patience < 5000; patience++) {
        stream_write(&s->vm[0], flood, sizeof flood);
        uart_take(s, 4096);
        flushed = twin_await(quoll_receive("console-flushed"), 1);
    }
    assert_true(flushed);
    size_t before = s->length[0]; /* and afterwards life goes on */
    vm_write(s, 0, flood, sizeof flood);
    uart_until(s, 0, before + sizeof flood);
    tear_down(s);
}

static void a_vm_with_nonsense_in_its_stream_disturbs_nobody(void **state)
{
    struct system *s = set_up();
    memset(quoll_memory("vm0", 1), 0x7f, sizeof(struct stream_link));
    quoll_signal(quoll_handle("vm0", QUOLL_OBJECT_CHANNEL));
    vm_write(s, 1, "alive", 5);
    uart_until(s, 1, 5);
    quoll_signal(quoll_handle("console-flush", QUOLL_OBJECT_CHANNEL));
    assert_true(twin_await(quoll_receive("console-flushed"), 10000));
    tear_down(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_vm_and_the_log_come_out_under_their_names),
        cmocka_unit_test(a_guest_cannot_forge_a_frame),
        cmocka_unit_test(nor_when_the_frame_is_split_over_writes_with_others_in_between),
        cmocka_unit_test(nothing_of_a_vm_is_lost_when_the_uart_is_slow),
        cmocka_unit_test(a_flooding_vm_does_not_hold_back_another_nor_the_log),
        cmocka_unit_test(log_lines_stay_whole_and_clean),
        cmocka_unit_test(overwritten_log_text_is_counted),
        cmocka_unit_test(input_goes_to_the_focus_and_a_frame_moves_it),
        cmocka_unit_test(input_that_is_no_frame_arrives_as_it_is),
        cmocka_unit_test(input_for_an_unknown_vm_is_reported),
        cmocka_unit_test(a_lone_escape_key_arrives_without_another_key),
        cmocka_unit_test(input_waits_for_a_vm_that_does_not_read),
        cmocka_unit_test(a_notice_is_on_the_wire_before_the_flush_is_answered),
        cmocka_unit_test(a_flush_ends_although_a_vm_keeps_writing),
        cmocka_unit_test(a_vm_with_nonsense_in_its_stream_disturbs_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
