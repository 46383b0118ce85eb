/* Text formatting for the kernel; see text.h. */
#include "text.h"
#include <stdbool.h>
#include <stdint.h>

struct output {
    char *buffer;
    size_t size, length;
};

/* One conversion, as parsed from the format. */
struct conversion {
    size_t width;
    bool zeros, left, is_long;
    char kind;
};

static void put(struct output *output, char c)
{
    if (output->length + 1 < output->size)
        output->buffer[output->length++] = c;
}

static void put_repeated(struct output *output, char c, size_t count)
{
    while (count-- > 0)
        put(output, c);
}

static void put_string(struct output *output, const char *string, const struct conversion *how)
{
    if (string == NULL)
        string = "(null)";
    size_t length = 0;
    while (string[length] != 0)
        length++;
    size_t padding = how->width > length ? how->width - length : 0;
    if (!how->left)
        put_repeated(output, ' ', padding);
    for (size_t i = 0; i < length; i++)
        put(output, string[i]);
    if (how->left)
        put_repeated(output, ' ', padding);
}

static void put_number(struct output *output, uint64_t value, unsigned base, bool negative,
                       const struct conversion *how)
{
    char digits[24];
    size_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    size_t length = count + (negative ? 1 : 0);
    size_t padding = how->width > length ? how->width - length : 0;
    if (!how->zeros && !how->left)
        put_repeated(output, ' ', padding);
    if (negative)
        put(output, '-');
    if (how->zeros && !how->left)
        put_repeated(output, '0', padding);
    while (count > 0)
        put(output, digits[--count]);
    if (how->left)
        put_repeated(output, ' ', padding);
}

static const char *parse(const char *format, struct conversion *how)
{
    *how = (struct conversion){0};
    for (; *format == '0' || *format == '-'; format++) {
        how->zeros |= *format == '0';
        how->left |= *format == '-';
    }
    for (; *format >= '0' && *format <= '9' && how->width < 1000; format++)
        how->width = how->width * 10 + (size_t)(*format - '0');
    for (; *format == 'l' || *format == 'z'; format++)
        how->is_long = true;
    how->kind = *format;
    return *format == 0 ? format : format + 1;
}

size_t text_format_list(char *buffer, size_t size, const char *format, va_list arguments)
{
    struct output output = {buffer, size, 0};
    while (*format != 0) {
        if (*format != '%') {
            put(&output, *format++);
            continue;
        }
        struct conversion how;
        format = parse(format + 1, &how);
        switch (how.kind) {
        case 's':
            put_string(&output, va_arg(arguments, const char *), &how);
            break;
        case 'c':
            put(&output, (char)va_arg(arguments, int));
            break;
        case 'd': {
            int64_t value = how.is_long ? va_arg(arguments, long) : va_arg(arguments, int);
            uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
            put_number(&output, magnitude, 10, value < 0, &how);
            break;
        }
        case 'u':
        case 'x': {
            uint64_t value =
                how.is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned);
            put_number(&output, value, how.kind == 'x' ? 16 : 10, false, &how);
            break;
        }
        case 'p':
            put(&output, '0');
            put(&output, 'x');
            put_number(&output, (uintptr_t)va_arg(arguments, void *), 16, false, &how);
            break;
        default: /* "%%", or what this printf does not know: shown as it is */
            put(&output, how.kind == 0 ? '%' : how.kind);
            break;
        }
    }
    if (size > 0)
        buffer[output.length] = 0;
    return output.length;
}

size_t text_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = text_format_list(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}
