/* The user's terminal: raw while a VM's console is on it, restored at the end whatever happens. */
#ifndef TOOL_TERMINAL_H
#define TOOL_TERMINAL_H

#include <stdbool.h>

/* false: standard input is no terminal, nothing was changed. */
bool terminal_raw(void);
void terminal_restore(void);

#endif
