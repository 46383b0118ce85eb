/*
 * CRC-32C (Castagnoli), which the dump area and the kept buffer are checked with. The processor's own instruction does it in the
 * component (aarch64/checksum.c), a table in tests on other machines (checksum.c).
 */
#ifndef RAPILOG_CHECKSUM_H
#define RAPILOG_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Of `bytes`, going on from `before`: the checksum of what came before them, 0 at the start. */
/*@ requires \valid_read((uint8_t *)bytes + (0 .. size - 1)); // for Frama-C (tests/proof)
    assigns \nothing; */
uint32_t checksum(uint32_t before, const void *bytes, size_t size);

#endif
