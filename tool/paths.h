/* Where things are: the tree that this tool was built from, and what was built. */
#ifndef TOOL_PATHS_H
#define TOOL_PATHS_H

/* The root of the tree: $QUOLL_ROOT, or found from the tool's own place (build/host/tool/quoll). */
const char *paths_root(void);
/* $QUOLL_BUILD, or build/ in the root. */
const char *paths_build(void);
/* The build of kernel and components: $QUOLL_TARGET, or aarch64/ in the build folder. */
const char *paths_target(void);

/* The file of that name, or of that name and ".elf", anywhere under paths_target(); NULL when there is none. To be freed
 * by the caller. */
char *paths_find_built(const char *name);

/* malloc'ed result of printf, never NULL. */
char *text_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* malloc'ed copy, never NULL. */
char *text_copy(const char *text);

#endif
