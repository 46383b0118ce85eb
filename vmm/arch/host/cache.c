/* On a workstation nobody looks past the caches. */
#include "cache.h"

void cache_clean(const void *start, size_t size) {}
