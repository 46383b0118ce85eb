/* quoll: the host tool. Finds the sub-command and hands over to it. */
#include "command.h"

#include "document.h"
#include "paths.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define SCRIPT(name, text, program, summary) {text, summary, command_##name},
    SCRIPTS(SCRIPT)
#undef SCRIPT
#define COMMAND(name, text, summary) {text, summary, command_##name},
        COMMANDS(COMMAND)
#undef COMMAND
};

static const char *const command_names[] = {
#define SCRIPT(name, text, program, summary) text,
    SCRIPTS(SCRIPT)
#undef SCRIPT
#define COMMAND(name, text, summary) text,
        COMMANDS(COMMAND)
#undef COMMAND
            NULL};

static void print_help(FILE *out)
{
    fputs("Usage: quoll COMMAND [ARGUMENTS]\n\n"
          "Quoll is a small type-1 hypervisor and trusted services for virtual machines.\n\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  quoll %-8s  %s\n", commands[i].name, commands[i].summary);
    fputs("\n`quoll COMMAND --help` tells more. Start with: quoll run examples/linux.yaml\n", out);
}

static int unknown_command(const char *name)
{
    const char *near = nearest_word(name, command_names);
    fprintf(stderr, "quoll: there is no command `%s`; ", name);
    if (near)
        fprintf(stderr, "did you mean `quoll %s`?\n", near);
    else
        fputs("`quoll --help` lists them\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = "quoll " QUOLL_VERSION;
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts(argp_program_version);
        return EXIT_GOOD;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            argv[1] = text_print("quoll %s", commands[i].name);
            return commands[i].run(argc - 1, argv + 1);
        }
    return unknown_command(argv[1]);
}
