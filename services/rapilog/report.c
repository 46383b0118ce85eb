/*
 * The gauges as lines in the log, for whoever looks after the database: one every setup.report_ns, of what has happened since
 * the last one; none for a time in which nothing has. docs/rapilog.md tells how to read them.
 */
#include "engine.h"

#include <quoll/quoll.h>

#define KIB UINT64_C(1024)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

static const char *name_of(uint64_t state)
{
    static const char *const names[RAPILOG_DRAINED + 1] = {
        [RAPILOG_STARTING] = "starting", [RAPILOG_HELD] = "held",
        [RAPILOG_THROUGH] = "through",   [RAPILOG_FAILING] = "failing",
        [RAPILOG_DRAINING] = "draining", [RAPILOG_MAINS] = "mains lost",
        [RAPILOG_DRAINED] = "drained",
    };
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

/* Of something that has grown by `amount` in so many ns. */
static unsigned long per_second(uint64_t amount, uint64_t ns)
{
    return (unsigned long)(amount * MS / (ns / US + 1));
}

static void tell(const struct engine *engine, uint64_t ns)
{
    const struct rapilog_gauges *gauges = &engine->gauges;
    const struct engine_report *last = &engine->report;
    quoll_log(
        "%s: %lu writes/s, %lu KiB/s acknowledged, %lu KiB/s drained; %lu KiB dirty of %lu to %lu, "
        "at most %lu so far; to drain them takes %lu ms",
        name_of(gauges->state), per_second(gauges->acknowledged_writes - last->writes, ns),
        per_second((gauges->acknowledged_bytes - last->bytes) / KIB, ns),
        per_second((gauges->drained_bytes - last->drained) / KIB, ns),
        (unsigned long)(gauges->dirty_bytes / KIB), (unsigned long)(gauges->bound_scattered / KIB),
        (unsigned long)(gauges->bound_bytes / KIB), (unsigned long)(gauges->dirty_high / KIB),
        (unsigned long)(gauges->drain_ns / MS));
    if (gauges->waits != 0 || gauges->write_errors != 0 || gauges->read_errors != 0)
        quoll_log("since the start %lu writes have waited for room, the disk has refused %lu "
                  "writes and %lu reads, "
                  "%lu requests were answered with an error",
                  (unsigned long)gauges->waits, (unsigned long)gauges->write_errors,
                  (unsigned long)gauges->read_errors, (unsigned long)gauges->failed_requests);
}

uint64_t report_step(struct engine *engine, uint64_t now)
{
    const struct rapilog_gauges *gauges = &engine->gauges;
    struct engine_report *last = &engine->report;
    if (engine->setup.report_ns == 0)
        return ENGINE_NEVER;
    if (now < last->next)
        return last->next;
    bool any = gauges->acknowledged_writes != last->writes ||
               gauges->drained_bytes != last->drained || gauges->dirty_bytes != 0;
    if (last->next != 0 && any)
        tell(engine, now - last->at);
    *last = (struct engine_report){
        .at = now,
        .next = now + engine->setup.report_ns,
        .writes = gauges->acknowledged_writes,
        .bytes = gauges->acknowledged_bytes,
        .drained = gauges->drained_bytes,
    };
    return last->next;
}
