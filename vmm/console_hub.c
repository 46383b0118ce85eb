/*
 * The console hub; the contract is in console_hub.h.
 */
#include "console_hub.h"

uint32_t console_write(struct console *console, const void *bytes, uint32_t size)
{
    return console->open ? stream_write(&console->stream, bytes, size) : size;
}

bool console_has_input(struct console *console)
{
    if (!console->open)
        return false;
    if (!console->peeked)
        console->peeked = stream_read(&console->stream, &console->ahead, 1) == 1;
    return console->peeked;
}

uint32_t console_read(struct console *console, void *bytes, uint32_t size)
{
    uint8_t *to = bytes;
    if (size == 0 || !console_has_input(console))
        return 0;
    to[0] = console->ahead;
    console->peeked = false;
    return 1 + stream_read(&console->stream, to + 1, size - 1);
}
