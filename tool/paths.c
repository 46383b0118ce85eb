/* Where things are; see paths.h. */
#include "paths.h"

#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *text_print(const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    return text;
}

char *text_copy(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    return copy;
}

const char *paths_root(void)
{
    static char root[PATH_MAX];
    const char *told = getenv("QUOLL_ROOT");
    if (told != NULL)
        return told;
    ssize_t length = readlink("/proc/self/exe", root, sizeof root - 1);
    root[length < 0 ? 0 : length] = '\0';
    for (int level = 0; level < 4; level++) /* build/host/tool/quoll */
        dirname(root);
    return root;
}

const char *paths_build(void)
{
    static char *build;
    if (build == NULL) {
        const char *told = getenv("QUOLL_BUILD");
        build = told ? text_copy(told) : text_print("%s/build", paths_root());
    }
    return build;
}

const char *paths_target(void)
{
    static char *target;
    if (target == NULL) {
        const char *told = getenv("QUOLL_TARGET");
        target = told ? text_copy(told) : text_print("%s/aarch64", paths_build());
    }
    return target;
}

/* nftw passes no argument of the caller's. */
static const char *wanted;
static char *found;

static int visit(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    const char *base = path + place->base;
    size_t length = strlen(wanted);
    if (type != FTW_F || strncmp(base, wanted, length) != 0)
        return 0;
    if (base[length] != '\0' && strcmp(base + length, ".elf") != 0)
        return 0;
    found = text_copy(path);
    return 1;
}

char *paths_find_built(const char *name)
{
    wanted = name;
    found = NULL;
    nftw(paths_target(), visit, 16, FTW_PHYS);
    return found;
}
