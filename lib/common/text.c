/* See quoll/text.h. */
#include <quoll/text.h>
#include <stdbool.h>
#include <stdint.h>

struct output {
    char *buffer;
    size_t size, length; /* size without the terminating zero */
};

struct conversion {
    bool left, zeros, wide;
    int width, precision; /* precision -1: none */
};

static void put(struct output *output, char c)
{
    if (output->length < output->size)
        output->buffer[output->length++] = c;
}

static void put_padding(struct output *output, int count, char c)
{
    while (count-- > 0)
        put(output, c);
}

static void put_field(struct output *output, const struct conversion *conversion, const char *text,
                      int length)
{
    if (!conversion->left)
        put_padding(output, conversion->width - length, ' ');
    for (int i = 0; i < length; i++)
        put(output, text[i]);
    if (conversion->left)
        put_padding(output, conversion->width - length, ' ');
}

static void put_text(struct output *output, const struct conversion *conversion, const char *text)
{
    int length = 0;
    if (text == NULL)
        text = "(null)";
    while (text[length] != 0 && length != conversion->precision)
        length++;
    put_field(output, conversion, text, length);
}

static void put_number(struct output *output, const struct conversion *conversion, uint64_t value,
                       unsigned base, bool negative)
{
    char digits[24];
    char *first = digits + sizeof digits;
    do {
        *--first = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    int length = (int)(digits + sizeof digits - first) + (negative ? 1 : 0);
    if (conversion->zeros && !conversion->left) {
        struct conversion rest = {.precision = -1};
        if (negative)
            put(output, '-');
        put_padding(output, conversion->width - length, '0');
        put_field(output, &rest, first, length - (negative ? 1 : 0));
        return;
    }
    if (negative)
        *--first = '-';
    put_field(output, conversion, first, length);
}

/* A decimal number in the format; at most 999, more is nobody's wish. */
static const char *parse_number(const char *format, int *number)
{
    *number = 0;
    for (; *format >= '0' && *format <= '9'; format++)
        if (*number < 100)
            *number = *number * 10 + (*format - '0');
    return format;
}

static const char *parse_flags(const char *format, struct conversion *conversion)
{
    for (;; format++) {
        if (*format == '-')
            conversion->left = true;
        else if (*format == '0')
            conversion->zeros = true;
        else
            return format;
    }
}

static void put_signed(struct output *output, const struct conversion *conversion, int64_t value)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    put_number(output, conversion, magnitude, 10, value < 0);
}

struct arguments {
    va_list list;
};

static int64_t next_signed(struct arguments *arguments, bool wide)
{
    return wide ? va_arg(arguments->list, long) : va_arg(arguments->list, int);
}

static uint64_t next_unsigned(struct arguments *arguments, bool wide)
{
    return wide ? va_arg(arguments->list, unsigned long) : va_arg(arguments->list, unsigned);
}

/* One conversion; `format` points behind the '%'. Returns what follows it. */
static const char *convert(struct output *output, const char *format, struct arguments *arguments)
{
    struct conversion conversion = {.precision = -1};
    char c;
    format = parse_flags(format, &conversion);
    format = parse_number(format, &conversion.width);
    if (format[0] == '.' && format[1] == '*') {
        conversion.precision = va_arg(arguments->list, int);
        format += 2;
    } else if (format[0] == '.') {
        format = parse_number(format + 1, &conversion.precision);
    }
    for (; *format == 'l' || *format == 'z'; format++)
        conversion.wide = true;
    switch (*format) {
    case 's':
        put_text(output, &conversion, va_arg(arguments->list, const char *));
        break;
    case 'c':
        c = (char)va_arg(arguments->list, int);
        put_field(output, &conversion, &c, 1);
        break;
    case 'd':
        put_signed(output, &conversion, next_signed(arguments, conversion.wide));
        break;
    case 'u':
        put_number(output, &conversion, next_unsigned(arguments, conversion.wide), 10, false);
        break;
    case 'x':
        put_number(output, &conversion, next_unsigned(arguments, conversion.wide), 16, false);
        break;
    case 'p':
        put(output, '0');
        put(output, 'x');
        put_number(output, &conversion, (uintptr_t)va_arg(arguments->list, void *), 16, false);
        break;
    case 0:
        return format;
    default:
        put(output, *format);
    }
    return format + 1;
}

size_t text_format_list(char *buffer, size_t size, const char *format, va_list list)
{
    struct output output = {buffer, size > 0 ? size - 1 : 0, 0};
    struct arguments arguments;
    va_copy(arguments.list, list);
    while (*format != 0) {
        if (*format == '%')
            format = convert(&output, format + 1, &arguments);
        else
            put(&output, *format++);
    }
    va_end(arguments.list);
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
