/* How a component begins anew after a restart; see restart.c. */
#ifndef QUOLL_RESTART_H
#define QUOLL_RESTART_H

#include <quoll/abi.h>

/* The first thing that every thread of a new life does. Returns when the component's data is as it was at boot. Only
 * what is in the section ".surviving", on the stack of this call or outside the component's own data is left alone. */
void restart_begin(uint32_t number, const struct quoll_environment *environment, uint64_t life);

#endif
