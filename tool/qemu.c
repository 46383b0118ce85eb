/* Starting and ending QEMU; see qemu.h. */
#include "qemu.h"

#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_ARGUMENTS 256
#define QEMU "qemu-system-aarch64"

struct arguments {
    char *words[MOST_ARGUMENTS + 1];
    size_t count;
};

static void add(struct arguments *arguments, char *word)
{
    if (arguments->count < MOST_ARGUMENTS)
        arguments->words[arguments->count++] = word;
}

static void add_pair(struct arguments *arguments, const char *option, char *value)
{
    add(arguments, strdup(option));
    add(arguments, value);
}

static void free_arguments(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++)
        free(arguments->words[i]);
}

/* ------------------------------------------------------------------------------------------------
 * The command line
 */

/* QEMU's option syntax wants commas doubled. */
static char *double_commas(const char *text)
{
    char *doubled = malloc(strlen(text) * 2 + 1), *out = doubled;
    if (doubled == NULL)
        abort();
    for (; *text; text++) {
        if (*text == ',')
            *out++ = ',';
        *out++ = *text;
    }
    *out = '\0';
    return doubled;
}

static bool is_uri(const char *path)
{
    return strstr(path, "://") != NULL || strncmp(path, "nbd:", 4) == 0;
}

/* The controllers are in the PCI slots from 1 on, so that their order on the bus is their number. */
static bool add_disk(struct arguments *arguments, const struct description *description,
                     const struct disk *disk, const char *told)
{
    if (told == NULL && disk->file == NULL) {
        node_error(disk->node,
                   "disk `%s` has no `file`, so there is nothing to attach; write file: PATH, or "
                   "give --disk %s=PATH",
                   disk->name, disk->name);
        return false;
    }
    char *path = told ? strdup(told) : description_path(description, disk->file);
    if (!is_uri(path) && access(path, R_OK | W_OK) != 0) {
        node_error(disk->node,
                   "the disk's file `%s` cannot be used: %s; make it first, or correct the path",
                   path, strerror(errno));
        free(path);
        return false;
    }
    char *file = double_commas(path);
    add_pair(
        arguments, "-drive",
        text_print("if=none,id=%s,format=raw,cache=%s,file=%s", disk->name, disk->cache, file));
    add_pair(arguments, "-device",
             text_print("nvme,drive=%s,serial=%s,addr=%u", disk->name, disk->name, disk->nvme + 1));
    free(file);
    free(path);
    return true;
}

static bool disk_is_used(const struct description *description, uint32_t disk)
{
    for (uint32_t i = 0; i < description->vm_count; i++)
        for (uint32_t j = 0; j < description->vms[i].volume_count; j++)
            if (description->vms[i].volumes[j].disk == disk)
                return true;
    for (uint32_t i = 0; i < description->component_count; i++)
        for (uint32_t j = 0; j < description->components[i].volume_count; j++)
            if (description->components[i].volumes[j].disk == disk)
                return true;
    return false;
}

static void add_machine(struct arguments *arguments, const struct machine *machine)
{
    add(arguments, strdup(QEMU));
    add(arguments, strdup("-nodefaults"));
    add(arguments, strdup("-no-user-config"));
    add_pair(arguments, "-display", strdup("none"));
    add_pair(arguments, "-machine", strdup("virt,virtualization=on,gic-version=3"));
    add_pair(arguments, "-cpu",
             text_print("%s%s", machine->cpu,
                        strcmp(machine->cpu, "max") == 0 ? ",pauth-impdef=on" : ""));
    add_pair(arguments, "-smp", text_print("%u", machine->cores));
    add_pair(arguments, "-m", text_print("%lu", (unsigned long)(machine->memory >> 20)));
    add_pair(arguments, "-chardev", strdup("stdio,id=uart,signal=off"));
    add_pair(arguments, "-serial", strdup("chardev:uart"));
}

static bool add_all(struct arguments *arguments, const struct qemu *qemu,
                    const struct description *description, const struct qemu_options *options)
{
    char *kernel = paths_find_built("quoll.Image");
    if (kernel == NULL) {
        report_failure(description->report,
                       "there is no kernel `quoll.Image` in %s; build it with ./quoll",
                       paths_target());
        return false;
    }
    add_machine(arguments, &description->machine);
    add_pair(arguments, "-kernel", kernel);
    add_pair(arguments, "-initrd", text_print("%s/system.img", qemu->folder));
    add_pair(arguments, "-qmp", text_print("unix:%s/qmp,server=on,wait=off", qemu->folder));
    if (options->qmp)
        add_pair(arguments, "-qmp", text_print("unix:%s,server=on,wait=off", options->qmp));
    if (options->append)
        add_pair(arguments, "-append", strdup(options->append));
    if (options->icount)
        add_pair(arguments, "-icount", strdup(options->icount));
    for (uint32_t i = 0; i < description->disk_count; i++)
        if (disk_is_used(description, i) &&
            !add_disk(arguments, description, &description->disks[i], options->disk_files[i]))
            return false;
    for (char **extra = options->extra; extra && *extra; extra++)
        add(arguments, strdup(*extra));
    return true;
}

/* ------------------------------------------------------------------------------------------------
 * The process
 */

static bool write_image(const struct qemu *qemu, const struct content *image)
{
    char *path = text_print("%s/system.img", qemu->folder);
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(image->bytes, 1, image->size, file) == image->size;
    if (file != NULL && fclose(file) != 0)
        good = false;
    free(path);
    return good;
}

static bool make_folder(struct qemu *qemu, const struct content *image, struct report *report)
{
    const char *place = getenv("TMPDIR");
    char *folder = text_print("%s/quoll-XXXXXX", place ? place : "/tmp");
    if (mkdtemp(folder) == NULL) {
        report_failure(
            report, "no temporary folder can be made in %s: %s; set TMPDIR to one that is writable",
            place ? place : "/tmp", strerror(errno));
        free(folder);
        return false;
    }
    qemu->folder = folder;
    if (write_image(qemu, image))
        return true;
    report_failure(report, "the system image cannot be written to %s: %s; make room, or set TMPDIR",
                   folder, strerror(errno));
    return false;
}

static void remove_folder(struct qemu *qemu)
{
    static const char *const files[] = {"system.img", "qmp"};
    for (size_t i = 0; qemu->folder && i < sizeof files / sizeof files[0]; i++) {
        char *path = text_print("%s/%s", qemu->folder, files[i]);
        unlink(path);
        free(path);
    }
    if (qemu->folder)
        rmdir(qemu->folder);
    free(qemu->folder);
    qemu->folder = NULL;
}

/* In the child. Dies with the tool, whatever happens to that. */
static _Noreturn void become_qemu(int uart, char **words)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    dup2(uart, STDIN_FILENO);
    dup2(uart, STDOUT_FILENO);
    execvp(words[0], words);
    fprintf(stderr, "quoll: `%s` cannot be run: %s; install qemu-system-arm\n", words[0],
            strerror(errno));
    _exit(127);
}

bool qemu_start(struct qemu *qemu, const struct description *description,
                const struct content *image, const struct qemu_options *options)
{
    struct arguments arguments = {.count = 0};
    int ends[2];
    *qemu = (struct qemu){.uart = -1};
    bool good = make_folder(qemu, image, description->report) &&
                add_all(&arguments, qemu, description, options);
    if (good && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        report_failure(description->report, "no socket for QEMU's UART: %s", strerror(errno));
        good = false;
    }
    if (good) {
        qemu->pid = fork();
        if (qemu->pid == 0)
            become_qemu(ends[1], arguments.words);
        close(ends[1]);
        qemu->uart = ends[0];
        fcntl(qemu->uart, F_SETFL, O_NONBLOCK);
    }
    free_arguments(&arguments);
    if (!good)
        remove_folder(qemu);
    return good;
}

bool qemu_ended(struct qemu *qemu, int *status)
{
    if (qemu->pid <= 0 || waitpid(qemu->pid, status, WNOHANG) != qemu->pid)
        return false;
    qemu->pid = 0;
    return true;
}

/* One command of QEMU's machine protocol. */
static void tell(const struct qemu *qemu, const char *command)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[1024];
    char *commands = text_print("{\"execute\":\"qmp_capabilities\"}{\"execute\":\"%s\"}", command);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 1};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/qmp", qemu->folder);
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0 &&
        read(client, answer, sizeof answer) > 0 && write(client, commands, strlen(commands)) > 0)
        (void)!read(client, answer, sizeof answer); /* so that it has been taken */
    close(client);
    free(commands);
}

void qemu_power_key(const struct qemu *qemu)
{
    tell(qemu, "system_powerdown");
}

/* QEMU gets two seconds to end by itself. */
static void end_process(struct qemu *qemu)
{
    static const struct timespec moment = {.tv_nsec = 20000000};
    int status;
    tell(qemu, "quit");
    for (int i = 0; i < 100; i++) {
        if (qemu_ended(qemu, &status))
            return;
        nanosleep(&moment, NULL);
    }
    kill(qemu->pid, SIGKILL);
    waitpid(qemu->pid, &status, 0);
    qemu->pid = 0;
}

void qemu_stop(struct qemu *qemu)
{
    if (qemu->pid > 0)
        end_process(qemu);
    if (qemu->uart >= 0)
        close(qemu->uart);
    qemu->uart = -1;
    remove_folder(qemu);
}
