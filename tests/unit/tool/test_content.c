/* Files are read whole; gzip'ed ones are unpacked, damaged ones refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "content.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define SIZE 300000u

static const struct place place = {"x.yaml", 3, 4};
static char *messages;
static size_t length;

static struct report begin(void)
{
    return (struct report){.out = open_memstream(&messages, &length)};
}

static void end(struct report *report, const char *expected)
{
    fclose(report->out);
    assert_non_null(strstr(messages, expected));
    free(messages);
}

/* Half of it compresses well. */
static struct content sample(void)
{
    struct content content = {calloc(1, SIZE), SIZE};
    for (size_t i = 0; i < SIZE / 2; i++)
        content.bytes[i] = (uint8_t)(i * i >> 3);
    return content;
}

static struct content packed(const struct content *plain)
{
    struct content out = {malloc(plain->size + 1000), 0};
    z_stream stream = {.next_in = plain->bytes,
                       .avail_in = (uInt)plain->size,
                       .next_out = out.bytes,
                       .avail_out = (uInt)plain->size + 1000};
    deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.size = stream.total_out;
    deflateEnd(&stream);
    return out;
}

static void gzip_is_unpacked(void **state)
{
    struct report report = begin();
    struct content plain = sample(), content = packed(&plain);
    assert_true(content_unpack(&content, "k", &report, place));
    assert_int_equal(content.size, SIZE);
    assert_memory_equal(content.bytes, plain.bytes, SIZE);
    content_free(&content);
    content_free(&plain);
    end(&report, "");
}

static void other_files_stay_as_they_are(void **state)
{
    struct report report = begin();
    struct content content = sample();
    assert_true(content_unpack(&content, "k", &report, place));
    assert_int_equal(content.size, SIZE);
    content_free(&content);
    end(&report, "");
}

static void damaged_gzip_is_refused(void **state)
{
    struct content plain = sample();
    for (size_t cut = 2; cut < 2000; cut += 97) {
        struct report report = begin();
        struct content content = packed(&plain);
        content.size = cut < content.size ? cut : content.size - 1;
        assert_false(content_unpack(&content, "k", &report, place));
        content_free(&content);
        end(&report, "x.yaml:3:4: `k` is a damaged gzip file; make or download it again");
    }
    content_free(&plain);
}

static void a_missing_file_is_told_with_its_remedy(void **state)
{
    struct report report = begin();
    struct content content;
    assert_false(content_read(&content, "/no/such", &report, place, "the kernel", "make it"));
    end(&report,
        "x.yaml:3:4: the kernel `/no/such` cannot be read: No such file or directory; make it");
    report = begin();
    assert_false(content_read(&content, "/tmp", &report, place, "the kernel", "make it"));
    end(&report, "the kernel `/tmp` cannot be read: Is a directory; make it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_unpacked),
        cmocka_unit_test(other_files_stay_as_they_are),
        cmocka_unit_test(damaged_gzip_is_refused),
        cmocka_unit_test(a_missing_file_is_told_with_its_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
