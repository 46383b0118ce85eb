/*
 * A running machine and its user: what comes from the UART goes to standard output and error, what the user types to the VM
 * in focus, until the machine ends, the time is up, or the user has had enough.
 *
 * Input is kept back until the console service has shown itself (its first frame): a UART without
 * a driver would lose it. From then on every hop passes on only what the next one takes.
 */
#ifndef TOOL_SESSION_H
#define TOOL_SESSION_H

#include "qemu.h"

struct session_options {
    const char *console; /* the VM in focus at first; NULL: the first one */
    const char *log;     /* file that gets a copy of the log, or NULL */
    const char *streams; /* folder that gets a copy of each VM's output, or NULL */
    unsigned timeout;    /* s; 0: none */
    bool quiet;          /* no log on standard error */
};

/* Returns the tool's exit status, after telling on standard error why when it is not 0. The
 * caller stops `qemu` afterwards. */
int session_run(struct qemu *qemu, const struct description *description,
                const struct session_options *options);

#endif
