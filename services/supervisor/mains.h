/* What the sources of the mains signal say (quoll/power.h). Any of them may be hostile: it can say what it likes, and nothing
 * else. */
#ifndef SUPERVISOR_MAINS_H
#define SUPERVISOR_MAINS_H

#include <quoll/config.h>
#include <stdbool.h>
#include <stdint.h>

/* Finds the regions of so many sources. */
void mains_find(uint32_t count);
/* Whether any source says that the mains are lost, now. */
bool mains_are_lost(void);

#endif
