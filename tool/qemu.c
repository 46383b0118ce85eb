/* Starting and ending QEMU; see qemu.h. */
#include "qemu.h"

#include "command.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_ARGUMENTS 256
#define QEMU "qemu-system-aarch64"
/* Where QEMU finds what it inherits. */
#define IMAGE_DESCRIPTOR 3
#define CONTROL_DESCRIPTOR 4

struct arguments {
    char *words[MOST_ARGUMENTS + 1];
    size_t count;
};

static void add(struct arguments *arguments, char *word)
{
    if (arguments->count == MOST_ARGUMENTS) {
        fprintf(stderr, "quoll: QEMU can be given at most %d arguments; give it fewer\n",
                MOST_ARGUMENTS);
        exit(EXIT_USAGE);
    }
    arguments->words[arguments->count++] = word;
}

static void add_pair(struct arguments *arguments, const char *option, char *value)
{
    add(arguments, text_copy(option));
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

/* The devices are in the PCI slots from 1 on, so that their order on the bus is their number: NVMe, then virtio. */
static char *device_option(const struct disk *disk)
{
    if (disk->virtio)
        return text_print("virtio-blk-pci,disable-legacy=on,drive=%s,serial=%s,addr=%u", disk->name,
                          disk->name, disk->instance + DESCRIPTION_MAX_DISKS + 1);
    return text_print("nvme,drive=%s,serial=%s,addr=%u", disk->name, disk->name,
                      disk->instance + 1);
}

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
    char *path = told ? text_copy(told) : description_path(description, disk->file);
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
    add_pair(arguments, "-device", device_option(disk));
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
    add(arguments, text_copy(QEMU));
    add(arguments, text_copy("-nodefaults"));
    add(arguments, text_copy("-no-user-config"));
    add_pair(arguments, "-display", text_copy("none"));
    add_pair(arguments, "-machine", text_copy("virt,virtualization=on,gic-version=3"));
    add_pair(arguments, "-cpu",
             text_print("%s%s", machine->cpu,
                        strcmp(machine->cpu, "max") == 0 ? ",pauth-impdef=on" : ""));
    add_pair(arguments, "-smp", text_print("%u", machine->cores));
    add_pair(arguments, "-m", text_print("%lu", (unsigned long)(machine->memory >> 20)));
    add_pair(arguments, "-chardev", text_copy("stdio,id=uart,signal=off"));
    add_pair(arguments, "-serial", text_copy("chardev:uart"));
}

static bool add_all(struct arguments *arguments, const struct description *description,
                    const struct qemu_options *options)
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
    add_pair(arguments, "-initrd", text_print("/proc/self/fd/%d", IMAGE_DESCRIPTOR));
    add_pair(arguments, "-chardev", text_print("socket,id=control,fd=%d", CONTROL_DESCRIPTOR));
    add_pair(arguments, "-mon", text_copy("chardev=control,mode=control"));
    if (options->qmp)
        add_pair(arguments, "-qmp", text_print("unix:%s,server=on,wait=off", options->qmp));
    if (options->append)
        add_pair(arguments, "-append", text_copy(options->append));
    if (options->icount)
        add_pair(arguments, "-icount", text_copy(options->icount));
    for (uint32_t i = 0; i < description->disk_count; i++)
        if (disk_is_used(description, i) &&
            !add_disk(arguments, description, &description->disks[i], options->disk_files[i]))
            return false;
    for (char **extra = options->extra; extra && *extra; extra++)
        add(arguments, text_copy(*extra));
    return true;
}

/* ------------------------------------------------------------------------------------------------
 * The process
 */

/* The image as a file without a name; -1: there is no room for it, reported. */
static int image_file(const struct content *image, struct report *report)
{
    int file = memfd_create("system.img", MFD_CLOEXEC);
    size_t done = 0;
    while (file >= 0 && done < image->size) {
        ssize_t written = write(file, image->bytes + done, image->size - done);
        if (written <= 0) {
            close(file);
            file = -1;
        } else {
            done += (size_t)written;
        }
    }
    if (file < 0)
        report_failure(report, "no memory for a copy of the system image: %s; free some",
                       strerror(errno));
    return file;
}

static void close_if_open(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

/* What the child gets; both ends of its sockets. */
struct descriptors {
    int image, uart[2], control[2];
};

static bool open_descriptors(struct descriptors *descriptors, const struct content *image,
                             struct report *report)
{
    int type = SOCK_STREAM | SOCK_CLOEXEC;
    *descriptors = (struct descriptors){-1, {-1, -1}, {-1, -1}};
    if ((descriptors->image = image_file(image, report)) < 0)
        return false;
    if (socketpair(AF_UNIX, type, 0, descriptors->uart) == 0 &&
        socketpair(AF_UNIX, type, 0, descriptors->control) == 0)
        return true;
    report_failure(report, "no sockets for QEMU: %s; close other programs", strerror(errno));
    close(descriptors->image);
    close_if_open(descriptors->uart[0]);
    close_if_open(descriptors->uart[1]);
    return false;
}

/* In the child. Dies with the tool, whatever happens to that. */
static _Noreturn void become_qemu(const struct descriptors *descriptors, char **words)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    dup2(descriptors->uart[1], STDIN_FILENO);
    dup2(descriptors->uart[1], STDOUT_FILENO);
    /* The places below may be taken by the descriptors themselves. */
    int image = fcntl(descriptors->image, F_DUPFD_CLOEXEC, CONTROL_DESCRIPTOR + 1);
    int control = fcntl(descriptors->control[1], F_DUPFD_CLOEXEC, CONTROL_DESCRIPTOR + 1);
    dup2(image, IMAGE_DESCRIPTOR);
    dup2(control, CONTROL_DESCRIPTOR);
    execvp(words[0], words);
    fprintf(stderr, "quoll: `%s` cannot be run: %s; install qemu-system-arm\n", words[0],
            strerror(errno));
    _exit(127);
}

bool qemu_start(struct qemu *qemu, const struct description *description,
                const struct content *image, const struct qemu_options *options)
{
    struct arguments arguments = {.count = 0};
    struct descriptors descriptors;
    *qemu = (struct qemu){.uart = -1, .control = -1};
    bool good = add_all(&arguments, description, options) &&
                open_descriptors(&descriptors, image, description->report);
    if (good) {
        qemu->pid = fork();
        if (qemu->pid == 0)
            become_qemu(&descriptors, arguments.words);
        qemu->uart = descriptors.uart[0];
        qemu->control = descriptors.control[0];
        fcntl(qemu->uart, F_SETFL, O_NONBLOCK);
        close(descriptors.image);
        close(descriptors.uart[1]);
        close(descriptors.control[1]);
    }
    free_arguments(&arguments);
    return good;
}

bool qemu_ended(struct qemu *qemu, int *status)
{
    if (qemu->pid <= 0 || waitpid(qemu->pid, status, WNOHANG) != qemu->pid)
        return false;
    qemu->pid = 0;
    return true;
}

/* One command of QEMU's machine protocol; what it answers is of no interest. */
static void tell(const struct qemu *qemu, const char *command)
{
    char answer[4096];
    char *commands = text_print("{\"execute\":\"qmp_capabilities\"}{\"execute\":\"%s\"}", command);
    while (recv(qemu->control, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
    (void)!send(qemu->control, commands, strlen(commands), MSG_DONTWAIT | MSG_NOSIGNAL);
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
    close_if_open(qemu->uart);
    close_if_open(qemu->control);
    qemu->uart = qemu->control = -1;
}
