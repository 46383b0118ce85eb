/* Raw and back; see terminal.h. */
#include "terminal.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool changed;

bool terminal_raw(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    struct termios raw = before;
    cfmakeraw(&raw);
    changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    if (changed)
        atexit(terminal_restore);
    return changed;
}

void terminal_restore(void)
{
    if (changed)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    changed = false;
}
