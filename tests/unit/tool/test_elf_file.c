/* Component ELF files: good ones give whole-page segments, anything else a message and nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "elf_file.h"
#include "elf_sample.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/quoll-test-XXXXXX";

static int set_up(void **state)
{
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    char path[512];
    snprintf(path, sizeof path, "%s/x.elf", folder);
    unlink(path);
    return rmdir(folder);
}

/* NULL expected: it is good. */
static void expect(const struct elf_sample *sample, size_t size, struct elf_file *elf,
                   const char *expected)
{
    char *messages, path[512];
    size_t length;
    struct report report = {.out = open_memstream(&messages, &length)};
    elf_sample_write(sample, size, folder, "x.elf");
    snprintf(path, sizeof path, "%s/x.elf", folder);
    bool good = elf_file_load(elf, path, &report, (struct place){"x.yaml", 1, 2});
    fclose(report.out);
    if (good != (expected == NULL) || (expected && strstr(messages, expected) == NULL))
        fail_msg("expected %s, got: %s", expected ? expected : "good", messages);
    free(messages);
}

static void refused(const struct elf_sample *sample, size_t size, const char *expected)
{
    struct elf_file elf;
    expect(sample, size, &elf, expected);
    elf_file_free(&elf);
}

static void segments_become_whole_pages(void **state)
{
    struct elf_sample sample;
    struct elf_file elf;
    elf_sample_make(&sample);
    expect(&sample, sizeof sample, &elf, NULL);
    assert_int_equal(elf.segment_count, 3);
    assert_int_equal(elf.entry, 0x400000);
    assert_int_equal(elf.segments[0].rights, QUOLL_READ | QUOLL_EXECUTE);
    assert_int_equal(elf.segments[1].rights, QUOLL_READ);
    assert_int_equal(elf.segments[2].rights, QUOLL_READ | QUOLL_WRITE);
    assert_int_equal(elf.segments[2].size, 0x3000);
    assert_int_equal(elf.segments[2].bytes.size, 0x100);
    assert_int_equal(elf.segments[2].bytes.bytes[0xff], 0x5a);
    elf_file_free(&elf);
}

static void a_segment_that_starts_within_a_page_is_widened(void **state)
{
    struct elf_sample sample;
    struct elf_file elf;
    elf_sample_make(&sample);
    sample.program[2].p_vaddr += 0x10;
    sample.program[2].p_offset += 0x10;
    expect(&sample, sizeof sample, &elf, NULL);
    assert_int_equal(elf.segments[2].address, 0x402000);
    assert_int_equal(elf.segments[2].size, 0x4000);
    assert_int_equal(elf.segments[2].bytes.bytes[0xf], 0);
    assert_int_equal(elf.segments[2].bytes.bytes[0x10], 0x5a);
    elf_file_free(&elf);
}

static void damaged_files_are_refused(void **state)
{
    struct elf_sample sample;
    elf_sample_make(&sample);
    refused(&sample, 20, "is no ELF file");
    refused(&sample, 0x1080, "is cut short");
    refused(&sample, sizeof(Elf64_Ehdr) + 10, "is cut short");
    sample.header.e_ident[0] = 'x';
    refused(&sample, sizeof sample, "is no ELF file");
    elf_sample_make(&sample);
    sample.header.e_machine = EM_X86_64;
    refused(&sample, sizeof sample, "is for another machine than AArch64");
    elf_sample_make(&sample);
    sample.header.e_type = ET_DYN;
    refused(&sample, sizeof sample, "is not a static executable");
    elf_sample_make(&sample);
    sample.program[0].p_offset = UINT64_MAX;
    refused(&sample, sizeof sample, "is cut short");
}

static void unsafe_segments_are_refused(void **state)
{
    struct elf_sample sample;
    elf_sample_make(&sample);
    sample.program[0].p_flags |= PF_W;
    refused(&sample, sizeof sample, "has a segment that is writable and executable");
    elf_sample_make(&sample);
    sample.program[1].p_vaddr = 0x400800;
    refused(&sample, sizeof sample, "has segments that share a page");
    elf_sample_make(&sample);
    sample.program[1].p_vaddr = UINT64_MAX - 0x80;
    refused(&sample, sizeof sample, "has a segment outside 0x400000..0x10000000");
    elf_sample_make(&sample);
    sample.program[1].p_filesz = 0x200;
    refused(&sample, sizeof sample, "has a segment with more bytes than memory");
    elf_sample_make(&sample);
    sample.header.e_entry = 0x402000;
    refused(&sample, sizeof sample, "does not start in its code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_become_whole_pages),
        cmocka_unit_test(a_segment_that_starts_within_a_page_is_widened),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(unsafe_segments_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
