/* What is mapped where, looked at without the kernel's help. */
#ifndef SPACES_H
#define SPACES_H

#include "stage2.h"

/* A leaf of the tables. */
struct leaf {
    uint64_t address, size, physical;
    uint32_t rights; /* enum quoll_rights */
};

/* Walks the tables for one address; false: not mapped. */
bool space_walk(const struct stage2 *space, uint64_t address, struct leaf *leaf);
/* Calls `visit` for each valid leaf, by address. */
void space_visit(const struct stage2 *space, void (*visit)(void *context, const struct leaf *leaf),
                 void *context);

#endif
