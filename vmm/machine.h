/* The device tree of the guest's machine. */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdint.h>

struct machine {
    uint32_t vcpu_count;
    uint64_t ram_size;
    uint64_t initrd, initrd_size; /* guest-physical; size 0: none */
    const char *command_line;
    uint32_t virtio_slots; /* bit n: slot n holds a device */
    uint8_t seed[64];      /* for the guest's own random generator */
};

/* Writes the tree; returns its size, or 0 when it does not fit. `place` is 8-byte aligned. */
uint32_t machine_describe(const struct machine *machine, void *place, uint32_t capacity);

#endif
