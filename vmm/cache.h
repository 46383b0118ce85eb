/* Caches, as far as a VMM must care: a guest starts with its MMU off and so reads memory past the caches. */
#ifndef VMM_CACHE_H
#define VMM_CACHE_H

#include <stddef.h>

/* What was written to [start, start + size) reaches memory. */
void cache_clean(const void *start, size_t size);

#endif
