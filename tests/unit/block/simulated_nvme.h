/*
 * An NVMe controller as a thread, written from the specification's side: it reads commands from the queues that it was told about,
 * follows PRP lists as 4.3 says, and ends the test when the driver breaks a rule. Physical addresses are the process's.
 * Knobs make it broken in the ways that controllers break.
 */
#ifndef SIMULATED_NVME_H
#define SIMULATED_NVME_H

#include <stdbool.h>
#include <stdint.h>

struct simulated_nvme;

struct simulated_knobs {
    uint32_t block_shift; /* 0: 9 */
    uint32_t metadata;    /* bytes beside each block */
    uint32_t transfer_shift;
    uint32_t smallest_page; /* CAP.MPSMIN */
    uint32_t doorbell_stride;
    uint16_t entries; /* CAP.MQES, 0: 1023 */
    bool no_cache;
    bool cache_off; /* there is one, but it is switched off */
    bool write_protected;
    bool no_namespace;
    bool never_ready;
    bool fatal_at_start;
    uint32_t refuse_admin; /* this opcode fails; 0: none */
    uint16_t fail_io;      /* status (type << 8 | code) of every I/O command */
    bool fail_flush;       /* every FLUSH is a write fault */
    uint32_t slow_admin;   /* seconds until the first administrative command is answered */
    bool wrong_id;         /* answers I/O with an identifier that is not in flight */
    bool silent;           /* takes I/O commands and never answers */
};

struct simulated_nvme *simulated_nvme_start(uint64_t blocks, const struct simulated_knobs *knobs);
void simulated_nvme_stop(struct simulated_nvme *nvme);
uint8_t *simulated_nvme_registers(struct simulated_nvme *nvme); /* 8192 bytes */
uint8_t *simulated_nvme_content(struct simulated_nvme *nvme);
/* DMA may only touch these ranges; the queues' memory is one of them. */
void simulated_nvme_allow(struct simulated_nvme *nvme, void *memory, uint64_t size);
/* Takes the I/O knobs back; what was lost stays lost. */
void simulated_nvme_heal(struct simulated_nvme *nvme);
uint32_t simulated_nvme_flushes(struct simulated_nvme *nvme);
uint32_t simulated_nvme_fua_writes(struct simulated_nvme *nvme);

#endif
