/* quoll check FILE: everything that `build` does, without keeping the result. */
#include "command.h"

#include "assemble.h"

#include <argp.h>

static error_t take(int key, char *argument, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG && state->arg_num == 0) {
        *(const char **)state->input = argument;
        return 0;
    }
    if (key == ARGP_KEY_END && state->arg_num == 0)
        argp_error(state, "which file? Give the path of a system description");
    return ARGP_ERR_UNKNOWN;
}

int command_check(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = take,
        .args_doc = "FILE",
        .doc = "Checks a system description and tells every mistake in it."};
    const char *path = NULL;
    struct report report = {.out = stderr};
    struct description description;
    struct content image = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &path);
    bool good =
        description_load(&description, path, NULL, &report) && assemble(&description, &image);
    if (good)
        printf("%s: good: %u VM%s, image of %lu MiB\n", path, description.vm_count,
               description.vm_count == 1 ? "" : "s", (unsigned long)((image.size >> 20) + 1));
    else
        fprintf(stderr, "%s: %u mistake%s\n", path, report.errors, report.errors == 1 ? "" : "s");
    content_free(&image);
    description_free(&description);
    return good ? EXIT_GOOD : EXIT_BAD;
}
