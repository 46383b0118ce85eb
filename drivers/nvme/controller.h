/*
 * An NVMe controller from whatever state it is found in to one namespace with one I/O queue pair
 * (NVMe 1.4, 7.6.1), and back to silence.
 *
 * Queues and tables lie in one physically contiguous memory, NVME_QUEUES_BYTES:
 *
 *     0x00000  admin submissions      0x03000  I/O submissions (two pages)
 *     0x01000  admin completions      0x05000  I/O completions
 *     0x02000  what Identify returns  0x06000  PRP lists, 2 KiB for each command
 *
 * The admin queue is polled, and used only while the controller is brought up; interrupts are masked until then.
 */
#ifndef NVME_CONTROLLER_H
#define NVME_CONTROLLER_H

#include "queue.h"
#include <quoll/block_io.h>

enum controller_limit {
    CONTROLLER_DEPTH = 128, /* entries of the I/O queues, if the controller has that many */
    CONTROLLER_SMALLEST_DEPTH = 2,
    CONTROLLER_LIST_BYTES = 2048,
    CONTROLLER_PAGE = 4096,
    CONTROLLER_SERIAL_BYTES = 20,
};

struct controller {
    uint8_t *registers;
    uint64_t register_bytes;
    uint8_t *memory;
    uint64_t memory_physical;

    uint64_t ready_timeout; /* ticks, CAP.TO */
    uint32_t entries;       /* CAP.MQES + 1 */
    uint32_t doorbell_bytes;
    uint32_t namespace_id;
    uint32_t sectors_shift; /* 512-byte sectors in a logical block: 1 << shift */
    uint8_t serial[CONTROLLER_SERIAL_BYTES];
    struct block_geometry geometry;
    struct nvme_queue admin;
    struct nvme_queue io;
};

/* Registers and memory are set, the rest zero. NULL when the I/O queue works; otherwise what is wrong, at
 * most 71 characters, and the controller is silent. Waits (quoll_wait) and drops the signals that arrive. */
const char *controller_start(struct controller *controller);
/* No command is carried out and no memory touched afterwards. False: the controller does not even stop. */
bool controller_stop(struct controller *controller);
/* The controller has given up, or is not there any more. */
bool controller_fatal(const struct controller *controller);
/* It is as a driver has left it that was using it. Before it is started. */
bool controller_works(const struct controller *controller);

uint64_t *controller_list(const struct controller *controller, uint32_t command);
uint64_t controller_list_physical(const struct controller *controller, uint32_t command);

#endif
