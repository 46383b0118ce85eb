/*
 * Puts a guest where it starts: kernel, initial RAM disk and device tree into guest RAM, as Linux's
 * arm64 boot protocol wants them (Documentation/arm64/booting.rst). May be done again after a reset. No vCPU runs.
 */
#ifndef VMM_LOADER_H
#define VMM_LOADER_H

#include "guest_ram.h"
#include "machine.h"
#include <stdbool.h>

struct payload {
    const uint8_t *bytes;
    uint64_t size;
};

struct loaded {
    uint64_t entry, device_tree; /* guest-physical */
    char problem[200];           /* when loading failed: what is wrong and what to do */
};

/* `machine`'s initrd fields are filled in. */
bool loader_load(const struct guest_ram *ram, struct payload kernel, struct payload initrd,
                 struct machine *machine, struct loaded *loaded);

#endif
