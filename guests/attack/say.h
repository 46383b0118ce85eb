/* What attacker and victim tell: whole lines, through the virtio console, since each byte on the UART gives the core away. */
#ifndef ATTACK_SAY_H
#define ATTACK_SAY_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

void say(const char *text); /* a line goes out at its '\n' */
void say_number(uint64_t value);
void say_hexadecimal(uint64_t value);
/* Somebody else has used the console device: it is started anew before the next line. */
void say_lost_console(void);

#pragma GCC visibility pop

#endif
