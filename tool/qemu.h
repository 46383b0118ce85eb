/*
 * A QEMU process: started with what a description asks for, ended for sure.
 *
 * Everything it needs on disk lies in one private folder, which qemu_stop removes. Its UART is a socket: one end is
 * the process's standard input and output, the other `uart`.
 */
#ifndef TOOL_QEMU_H
#define TOOL_QEMU_H

#include "content.h"
#include "description.h"

#include <sys/types.h>

struct qemu_options {
    const char *append;                            /* the kernel's command line, or NULL */
    const char *qmp;                               /* path of a further QMP socket, or NULL */
    const char *icount;                            /* QEMU's words after -icount, or NULL */
    char **extra;                                  /* further arguments, NULL-terminated, or NULL */
    const char *disk_files[DESCRIPTION_MAX_DISKS]; /* instead of the description's, or NULL */
};

struct qemu {
    pid_t pid; /* 0: not running */
    int uart;
    char *folder; /* private */
};

/* Reports why when it fails; nothing is left behind then. */
bool qemu_start(struct qemu *qemu, const struct description *description,
                const struct content *image, const struct qemu_options *options);
/* Has it ended? Then *status is as from waitpid. */
bool qemu_ended(struct qemu *qemu, int *status);
/* Ends it if it still runs, and cleans up. */
void qemu_stop(struct qemu *qemu);
/* Presses the power key: the loss of mains, on boards that have it so. */
void qemu_power_key(const struct qemu *qemu);

#endif
