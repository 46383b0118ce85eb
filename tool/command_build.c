/* quoll build FILE -o IMAGE: the system image of a description. */
#include "command.h"

#include "assemble.h"

#include <argp.h>
#include <errno.h>
#include <string.h>

struct arguments {
    const char *path, *image;
};

static error_t take(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'o':
        arguments->image = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            return ARGP_ERR_UNKNOWN;
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL || arguments->image == NULL)
            argp_error(state, "give the path of a system description and -o IMAGE");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool write_file(const char *path, const struct content *content, struct report *report)
{
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(content->bytes, 1, content->size, file) == content->size;
    if (file != NULL && fclose(file) != 0)
        good = false;
    if (!good)
        report_failure(report, "cannot write `%s`: %s; give another path after -o", path,
                       strerror(errno));
    return good;
}

int command_build(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "IMAGE", 0, "where to write the system image", 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = take,
        .args_doc = "FILE",
        .doc = "Makes the system image of a description: what the kernel gets as its initrd."};
    struct arguments arguments = {0};
    struct report report = {.out = stderr};
    struct description description;
    struct content image = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    bool good = description_load(&description, arguments.path, NULL, &report) &&
                assemble(&description, &image) && write_file(arguments.image, &image, &report);
    if (good)
        report_progress(&report, "%s: %lu KiB", arguments.image, (unsigned long)(image.size >> 10));
    content_free(&image);
    description_free(&description);
    return good ? EXIT_GOOD : EXIT_BAD;
}
