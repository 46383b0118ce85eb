/*
 * Log lines of a component: formatted here, given to the kernel log by quoll_debug_put, which prefixes each line with
 * the component's name. A line is put together in one buffer on the caller's stack, so lines of different threads do not mix.
 */
#include <lib/runtime.h>
#include <quoll/text.h>

#define LINE_BYTES 512

static void log_line(char *line, const char *format, va_list arguments)
{
    size_t length = text_format_list(line, LINE_BYTES - 1, format, arguments);
    line[length] = '\n';
    quoll_debug_put(line, length + 1);
    line[length] = 0;
}

void quoll_log(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    log_line(line, format, arguments);
    va_end(arguments);
}

void quoll_fail(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    log_line(line, format, arguments);
    va_end(arguments);
    runtime_stop(line);
}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = text_format_list(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}
