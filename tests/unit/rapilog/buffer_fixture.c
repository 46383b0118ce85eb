/* See buffer_fixture.h. */
#include "buffer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    buffer_init(&f->buffer, f->slot, SLOTS, f->bucket, BUCKETS, f->data);
    buffer_bound(&f->buffer, SLOTS, LARGE, 1000, 5000);
    return f;
}

uint32_t put(struct fixture *f, uint32_t volume, uint64_t sector, uint32_t count, bool promise)
{
    uint8_t bytes[SECTORS * BUFFER_SECTOR];
    uint64_t stamp = ++f->stamp;
    for (size_t at = 0; at < (size_t)count * BUFFER_SECTOR; at += sizeof(stamp))
        memcpy(bytes + at, &stamp, sizeof(stamp));
    return buffer_write(&f->buffer, volume, buffer_write_number(&f->buffer, volume), sector, count,
                        bytes, promise);
}

uint64_t look(struct fixture *f, uint32_t volume, uint64_t sector)
{
    uint64_t words[BUFFER_SECTOR / sizeof(uint64_t)];
    bool held;
    assert_int_equal(buffer_read(&f->buffer, volume, sector, 1, (uint8_t *)words, &held), 1);
    if (!held)
        return 0;
    assert_true(words[0] == words[BUFFER_SECTOR / sizeof(uint64_t) - 1]);
    return words[0];
}
