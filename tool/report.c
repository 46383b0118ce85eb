/* Messages; see report.h. */
#include "report.h"

#include <stdarg.h>

static void put_place(struct report *report, struct place place)
{
    if (place.line > 0)
        fprintf(report->out, "%s:%zu:%zu: ", place.file, place.line, place.column);
    else
        fprintf(report->out, "%s: ", place.file);
}

void report_error(struct report *report, struct place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put_place(report, place);
    vfprintf(report->out, format, arguments);
    fputc('\n', report->out);
    va_end(arguments);
    report->errors++;
}

void report_warning(struct report *report, struct place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put_place(report, place);
    fputs("warning: ", report->out);
    vfprintf(report->out, format, arguments);
    fputc('\n', report->out);
    va_end(arguments);
    report->warnings++;
}

void report_failure(struct report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("quoll: ", report->out);
    vfprintf(report->out, format, arguments);
    fputc('\n', report->out);
    va_end(arguments);
    report->errors++;
}

void report_progress(struct report *report, const char *format, ...)
{
    if (report->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    fputs("quoll: ", report->out);
    vfprintf(report->out, format, arguments);
    fputc('\n', report->out);
    va_end(arguments);
    fflush(report->out);
}
