/* quoll test: hands over to tests/run, which runs everything and counts. */
#include "command.h"

#include "paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int command_test(int argc, char **argv)
{
    (void)argc;
    argv[0] = text_print("%s/tests/run", paths_root());
    execv(argv[0], argv);
    fprintf(stderr, "quoll: `%s` cannot be run: %s; is the tree complete?\n", argv[0],
            strerror(errno));
    return EXIT_BAD;
}
