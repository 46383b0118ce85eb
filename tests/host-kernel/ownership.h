/* No object on two cores: what belongs to one core's kernel cannot be touched by another's. */
#ifndef OWNERSHIP_H
#define OWNERSHIP_H

#include "object.h"

/* Boot is over: from now on the kernel may touch only what it keeps, and each core only its own. */
void ownership_begin(void);
/* This core's kernel runs now. */
void ownership_enter(const struct core *core);
/* Everything may be touched again. */
void ownership_end(void);

#endif
