/* quoll run FILE: builds the system image and boots it in QEMU. */
#include "command.h"

#include "assemble.h"
#include "session.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#define MOST_EXTRA 64

enum option_key {
    OPTION_QMP = 256,
    OPTION_QEMU,
    OPTION_APPEND,
    OPTION_ICOUNT,
    OPTION_STREAMS,
    OPTION_DISK,
};

struct arguments {
    const char *path;
    struct session_options session;
    struct qemu_options qemu;
    char *extra[MOST_EXTRA + 1];
    size_t extra_count;
    char *disks[DESCRIPTION_MAX_DISKS]; /* NAME=FILE */
    size_t disk_count;
};

static const struct argp_option options[] = {
    {"quiet", 'q', NULL, 0, "do not show the log", 1},
    {"console", 'c', "VM", 0, "whose console is on standard input and output (default: the first)",
     1},
    {"timeout", 't', "SECONDS", 0, "end it after that time, with status 124", 1},
    {"log", 'l', "FILE", 0, "copy the log into FILE", 1},
    {"streams", OPTION_STREAMS, "FOLDER", 0, "copy each VM's output into FOLDER/VM.txt", 1},
    {"disk", OPTION_DISK, "NAME=FILE", 0, "attach FILE (or a nbd+unix: URI) as that disk", 2},
    {"append", OPTION_APPEND, "TEXT", 0, "the kernel's command line", 2},
    {"qmp", OPTION_QMP, "PATH", 0, "a socket for QEMU's machine protocol", 2},
    {"icount", OPTION_ICOUNT, "WORDS", 0, "QEMU's -icount, for repeatable runs", 2},
    {"qemu-arg", OPTION_QEMU, "WORD", 0, "a further word for QEMU's command line", 2},
    {0},
};

static void take_timeout(struct arguments *arguments, const char *text, struct argp_state *state)
{
    char *end;
    unsigned long seconds = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || seconds == 0 || seconds > 1000000)
        argp_error(state, "--timeout takes a number of seconds, not `%s`; for example 60", text);
    arguments->session.timeout = (unsigned)seconds;
}

static void take_extra(struct arguments *arguments, char *word, struct argp_state *state)
{
    if (arguments->extra_count == MOST_EXTRA)
        argp_error(state, "--qemu-arg can be given %d times", MOST_EXTRA);
    arguments->extra[arguments->extra_count++] = word;
}

static void take_disk(struct arguments *arguments, char *text, struct argp_state *state)
{
    if (strchr(text, '=') == NULL || arguments->disk_count == DESCRIPTION_MAX_DISKS)
        argp_error(state, "--disk takes NAME=FILE, not `%s`, once per disk", text);
    arguments->disks[arguments->disk_count++] = text;
}

static error_t take(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'q':
        arguments->session.quiet = true;
        return 0;
    case 'c':
        arguments->session.console = argument;
        return 0;
    case 't':
        take_timeout(arguments, argument, state);
        return 0;
    case 'l':
        arguments->session.log = argument;
        return 0;
    case OPTION_STREAMS:
        arguments->session.streams = argument;
        return 0;
    case OPTION_DISK:
        take_disk(arguments, argument, state);
        return 0;
    case OPTION_APPEND:
        arguments->qemu.append = argument;
        return 0;
    case OPTION_QMP:
        arguments->qemu.qmp = argument;
        return 0;
    case OPTION_ICOUNT:
        arguments->qemu.icount = argument;
        return 0;
    case OPTION_QEMU:
        take_extra(arguments, argument, state);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            return ARGP_ERR_UNKNOWN;
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL)
            argp_error(
                state,
                "which file? Give the path of a system description, such as examples/linux.yaml");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Names on the command line are names in the description. */
static bool find_disks(struct arguments *arguments, const struct description *description)
{
    for (size_t i = 0; i < arguments->disk_count; i++) {
        const char *text = arguments->disks[i], *file = strchr(text, '=') + 1;
        size_t length = (size_t)(file - text) - 1;
        uint32_t disk = 0;
        while (disk < description->disk_count &&
               (strlen(description->disks[disk].name) != length ||
                strncmp(description->disks[disk].name, text, length) != 0))
            disk++;
        if (disk == description->disk_count) {
            report_failure(description->report, "--disk %s: there is no disk `%.*s` in %s", text,
                           (int)length, text, arguments->path);
            return false;
        }
        arguments->qemu.disk_files[disk] = file;
    }
    return true;
}

static bool find_console(const struct arguments *arguments, const struct description *description)
{
    const char *names[QUOLL_MAX_VMS + 1] = {NULL};
    for (uint32_t i = 0; i < description->vm_count; i++)
        names[i] = description->vms[i].name;
    const char *wanted = arguments->session.console;
    for (uint32_t i = 0; wanted && names[i] != NULL; i++)
        if (strcmp(names[i], wanted) == 0)
            return true;
    if (wanted == NULL)
        return true;
    const char *near = nearest_word(wanted, names);
    report_failure(description->report, "--console %s: there is no such VM in %s%s%s", wanted,
                   arguments->path, near ? "; did you mean " : "", near ? near : "");
    return false;
}

static int run(struct arguments *arguments, const struct description *description)
{
    struct content image;
    struct qemu qemu;
    if (!find_disks(arguments, description) || !find_console(arguments, description) ||
        !assemble(description, &image))
        return EXIT_BAD;
    report_progress(description->report, "booting %s: %u core%s, %lu MiB, image of %lu MiB",
                    description->name, description->machine.cores,
                    description->machine.cores == 1 ? "" : "s",
                    (unsigned long)(description->machine.memory >> 20),
                    (unsigned long)((image.size >> 20) + 1));
    bool started = qemu_start(&qemu, description, &image, &arguments->qemu);
    content_free(&image);
    if (!started)
        return EXIT_BAD;
    int result = session_run(&qemu, description, &arguments->session);
    qemu_stop(&qemu);
    return result;
}

int command_run(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = take,
        .args_doc = "FILE",
        .doc = "Builds the system of a description and boots it in QEMU. The VM's console is on "
               "standard "
               "input and output, the log on standard error.\v"
               "Ends when all VMs have powered off. Exit status: 0 they did so cleanly, 1 "
               "something failed, 3 the mains "
               "were lost, 124 the time was up. On a terminal, Ctrl-A h lists keys."};
    struct arguments arguments = {0};
    struct report report = {.out = stderr};
    struct description description;
    arguments.qemu.extra = arguments.extra;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    report.quiet = arguments.session.quiet;
    int result = EXIT_BAD;
    if (description_load(&description, arguments.path, NULL, &report))
        result = run(&arguments, &description);
    description_free(&description);
    return result;
}
