/* The streams on the UART are separated, however the bytes are cut, and nothing that a guest writes is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frames.h"

#include <stdio.h>
#include <string.h>

#define FRAME(text) "\033_Q" text "\033\\"

static char seen[4096]; /* "stream<text>" whenever the stream changes, "[notice]" */
static char last[QUOLL_NAME_SIZE];

static void see(const char *text, size_t length)
{
    size_t used = strlen(seen);
    snprintf(seen + used, sizeof seen - used, "%.*s", (int)length, text);
}

static void text(void *context, const char *stream, const char *bytes, size_t length)
{
    if (strcmp(last, stream) != 0) {
        snprintf(last, sizeof last, "%s", stream);
        see("|", 1);
        see(stream, strlen(stream));
        see(":", 1);
    }
    see(bytes, length);
}

static void notice(void *context, const char *words)
{
    see("[", 1);
    see(words, strlen(words));
    see("]", 1);
}

/* Whole, and byte by byte: the same must come out. */
static void expect(const char *input, const char *output)
{
    for (size_t piece = 1; piece <= strlen(input) + 1; piece += strlen(input)) {
        struct frames frames;
        frames_init(&frames, NULL, text, notice);
        seen[0] = last[0] = '\0';
        for (size_t i = 0; i < strlen(input); i += piece) {
            size_t left = strlen(input) - i;
            frames_feed(&frames, input + i, piece < left ? piece : left);
        }
        frames_end(&frames);
        assert_string_equal(seen, output);
    }
}

static void text_before_the_first_frame_is_the_log(void **state)
{
    expect("early\r\n", "|quoll:early\r\n");
}

static void frames_switch_streams(void **state)
{
    expect("a" FRAME("linux") "b" FRAME("quoll") "c" FRAME("linux") FRAME("two") "d",
           "|quoll:a|linux:b|quoll:c|two:d");
}

static void notices_are_not_output(void **state)
{
    expect("a" FRAME("!off 0 all VMs powered off") "b", "|quoll:a[off 0 all VMs powered off]b");
}

static void what_only_begins_like_a_frame_is_text(void **state)
{
    expect("\033[1mbold\033_x\033_?y\033", "|quoll:\033[1mbold\033_x\033_?y\033");
    expect("\033_Qlin\nux", "|quoll:\033_Qlin\nux");
    expect("\033\033\033x", "|quoll:\033\033\033x");
}

static void every_escape_begins_anew(void **state)
{
    expect("a\033" FRAME("linux") "b", "|quoll:a\033|linux:b");
    expect("\033_Qhalf" FRAME("linux") "b", "|quoll:\033_Qhalf|linux:b");
    expect("\033_Qhalf\033[0m", "|quoll:\033_Qhalf\033[0m");
}

static void a_frame_without_end_is_text_in_the_end(void **state)
{
    char long_text[FRAMES_LONGEST + 100] = "\033_Q", expected[sizeof long_text + 16];
    memset(long_text + 3, 'x', sizeof long_text - 4);
    snprintf(expected, sizeof expected, "|quoll:%s", long_text);
    expect(long_text, expected);
    expect("\033_Qlinux", "|quoll:\033_Qlinux");
}

static void the_first_frame_is_noticed(void **state)
{
    struct frames frames;
    frames_init(&frames, NULL, text, notice);
    frames_feed(&frames, "early", 5);
    assert_false(frames.framed);
    frames_feed(&frames, FRAME("quoll"), strlen(FRAME("quoll")));
    assert_true(frames.framed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_before_the_first_frame_is_the_log),
        cmocka_unit_test(frames_switch_streams),
        cmocka_unit_test(notices_are_not_output),
        cmocka_unit_test(what_only_begins_like_a_frame_is_text),
        cmocka_unit_test(every_escape_begins_anew),
        cmocka_unit_test(a_frame_without_end_is_text_in_the_end),
        cmocka_unit_test(the_first_frame_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
