/* Systems that something is wrong with. */
#ifndef DAMAGED_H
#define DAMAGED_H

#include <stdint.h>

struct damaged {
    uint64_t refused, misled, stopped, started; /* misled: told of memory that is not there */
};

/* Tries to boot a few, made from random_state; counts what came of it. */
void damaged_boots(struct damaged *damaged);

#endif
