/*
 * EVA: the validator of the system image on any image. First the header and the tables' places, on bytes that may be
 * anything; then the records, in tables of any contents and length up to their limits, where check_tables() has found them.
 */
#include "../../kernel/image.c"

#include <__fc_builtin.h>

#define SIZE 4096
static uint64_t bytes[SIZE / 8];
static char reason[128];
static struct image_header header;
#define TABLE(name, limit) static struct image_##name some_##name##s[limit];
IMAGE_TABLES(TABLE)
#undef TABLE

size_t text_format(char *buffer, size_t size, const char *format, ...)
{
    buffer[size - 1] = 0;
    return 0;
}

static void on_bytes(void)
{
    struct image image;
    Frama_C_make_unknown((char *)bytes, sizeof(bytes));
    uint64_t size = Frama_C_unsigned_long_interval(0, sizeof(bytes));
    struct checker checker = {&image, reason, sizeof(reason)};
    if (!check_header(&checker, bytes, size))
        return;
    image = (struct image){.header = (const struct image_header *)bytes};
    (void)check_tables(&checker);
}

static void on_records(void)
{
    struct image image = {.header = &header};
    struct checker checker = {&image, reason, sizeof(reason)};
    Frama_C_make_unknown((char *)&header, sizeof(header));
    image.size = Frama_C_unsigned_long_interval(0, UINT64_MAX);
#define TABLE(name, limit)                                                                         \
    Frama_C_make_unknown((char *)some_##name##s, sizeof(some_##name##s));                          \
    image.name##s = some_##name##s;                                                                \
    image.name##_count = Frama_C_unsigned_int_interval(0, limit);
    IMAGE_TABLES(TABLE)
#undef TABLE
    if (check_names(&checker))
        (void)check_records(&checker);
}

int main(void)
{
    if (Frama_C_nondet(0, 1))
        on_bytes();
    else
        on_records();
    return 0;
}
