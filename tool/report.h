/*
 * What the tool tells its user: mistakes in a file, warnings, progress. Everything goes to one stream
 * (standard error; a buffer in unit tests), one line each, and mistakes are counted so that a
 * command can go on, show all of them, and still refuse at the end.
 */
#ifndef TOOL_REPORT_H
#define TOOL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct report {
    FILE *out;
    unsigned errors, warnings;
    bool quiet; /* no progress lines */
};

/* Where in a file: line and column count from 1; line 0: the file as a whole. */
struct place {
    const char *file;
    size_t line, column;
};

/* "file:line:column: what is wrong; what to write instead" */
void report_error(struct report *report, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_warning(struct report *report, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "quoll: ..." for mistakes that are in no file */
void report_failure(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One line per step of long work. */
void report_progress(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
