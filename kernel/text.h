/*
 * Text formatting for the kernel: a small printf.
 *
 * Knows %s %c %d %u %x %lu %ld %lx %p and %%, with width and zero padding. Pure: writes only to the
 * buffer it is given, allocates nothing, callable anywhere.
 */
#ifndef KERNEL_TEXT_H
#define KERNEL_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/* Both write at most size bytes with the terminating zero (size >= 1), cut off what does not fit, and
 * return the length of what was written, without the zero. */
size_t text_format_list(char *buffer, size_t size, const char *format, va_list arguments);
size_t text_format(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
