/* The commands that hand over to a program of their own in the tree: quoll demo, test, bench, assure,
 * torture. */
#include "command.h"

#include "paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int hand_over(const char *program, char **argv)
{
    argv[0] = text_print("%s/%s", paths_root(), program);
    execv(argv[0], argv);
    fprintf(stderr, "quoll: `%s` cannot be run: %s; is the tree complete?\n", argv[0],
            strerror(errno));
    return EXIT_BAD;
}

#define SCRIPT(name, text, program, summary)                                                       \
    int command_##name(int argc, char **argv)                                                      \
    {                                                                                              \
        (void)argc;                                                                                \
        return hand_over(program, argv);                                                           \
    }
SCRIPTS(SCRIPT)
#undef SCRIPT
