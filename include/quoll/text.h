/*
 * Text formatting for logs and messages, of kernel, components and host tool: the small part of printf that they need.
 *
 * Conversions: %s %c %d %u %x %p %%, with the sizes l, ll and z, '-', zero padding, a width, and for %s a precision.
 * Anything unknown is copied as it stands. Pure: writes only to the buffer it is given; callable anywhere.
 */
#ifndef QUOLL_TEXT_H
#define QUOLL_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/* Write at most size bytes with the terminating zero, cut off what does not fit, and return the length of what was
 * written, without the zero. */
size_t text_format_list(char *buffer, size_t size, const char *format, va_list arguments);
size_t text_format(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
