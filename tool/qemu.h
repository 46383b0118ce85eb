/*
 * A QEMU process: started with what a description asks for, ended for sure.
 *
 * It inherits all it needs: the system image as a file without a name, its UART and its control connection as sockets.
 * So nothing is left behind, however the tool ends, and QEMU ends with it.
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
    pid_t pid;   /* 0: not running */
    int uart;    /* what is written comes out of the UART, and the other way round */
    int control; /* QEMU's machine protocol */
};

/* Reports why when it fails; nothing is left behind then. */
bool qemu_start(struct qemu *qemu, const struct description *description,
                const struct content *image, const struct qemu_options *options);
/* Has it ended? Then *status is as from waitpid. */
bool qemu_ended(struct qemu *qemu, int *status);
/* Ends it if it still runs. */
void qemu_stop(struct qemu *qemu);
/* Presses the power key: the loss of mains, on boards that have it so. */
void qemu_power_key(const struct qemu *qemu);

#endif
