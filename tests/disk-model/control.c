/* The control socket. See control.h. One connection at a time: there is one rig. */
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_ROOM 512

struct control {
    int listener;
    struct disk *disk;
};

static bool number_after(const char *line, const char *word, double low, double high,
                         double *number)
{
    size_t length = strlen(word);
    if (strncmp(line, word, length) != 0 || line[length] != ' ')
        return false;
    char *end;
    *number = strtod(line + length + 1, &end);
    return end != line + length + 1 && *end == 0 && *number >= low && *number <= high;
}

static void obey(struct disk *disk, const char *line, char *answer)
{
    double number;
    strcpy(answer, "ok");
    if (strcmp(line, "cut") == 0)
        disk_cut(disk);
    else if (number_after(line, "cut-after", 1, 1e15, &number))
        disk_cut_after(disk, (uint64_t)number);
    else if (strcmp(line, "on") == 0)
        disk_restore(disk);
    else if (strcmp(line, "stats") == 0)
        disk_describe(disk, answer + strlen(strcat(answer, " ")), ANSWER_ROOM - 4);
    else if (number_after(line, "dilation", 0.001, 1e6, &number))
        disk_set_dilation(disk, number);
    else if (number_after(line, "survive", 0, 100, &number))
        disk_set_survive(disk, (unsigned)number);
    else if (number_after(line, "errors", 0, 100, &number))
        disk_set_errors(disk, (unsigned)number);
    else if (number_after(line, "bad", 0, 1e15, &number))
        disk_set_bad(disk, (uint64_t)number);
    else if (strcmp(line, "bad last") == 0)
        disk_set_bad(disk, disk_last_sector(disk));
    else if (strcmp(line, "bad none") == 0)
        disk_set_bad(disk, DISK_NO_SECTOR);
    else
        strcpy(answer, "error: use cut, cut-after N, on, stats, dilation N, survive PERCENT, "
                       "errors PERCENT or "
                       "bad SECTOR");
}

static void serve_connection(struct disk *disk, int connection)
{
    FILE *stream = fdopen(connection, "r+");
    char line[128], answer[ANSWER_ROOM];
    if (!stream) {
        close(connection);
        return;
    }
    while (fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\r\n")] = 0;
        obey(disk, line, answer);
        if (fprintf(stream, "%s\n", answer) < 0 || fflush(stream) != 0)
            break;
    }
    fclose(stream);
}

static void *serve(void *argument)
{
    struct control *control = argument;
    for (;;) {
        int connection = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection >= 0)
            serve_connection(control->disk, connection);
    }
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    unlink(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return -1;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 4) < 0) {
        int error = errno;
        close(listener);
        errno = error;
        return -1;
    }
    return listener;
}

int control_start(const char *path, struct disk *disk)
{
    static struct control control;
    pthread_t thread;
    control.disk = disk;
    control.listener = listen_at(path);
    if (control.listener < 0)
        return errno;
    return pthread_create(&thread, NULL, serve, &control);
}
