/*
 * Commands in flight: from a checked block request to an NVMe command and back to a block status.
 *
 * A slot is one command identifier with its PRP list. It is free, or in flight for one client's request. A
 * write that must be on stable storage can take two commands in one slot (write, then flush) where the controller
 * does not honour FUA. Commands are kept until they are answered, so that after a reset of the controller they can
 * be given to it once more: reads, writes and flushes may be repeated as long as nobody was told that they are done.
 * Of such a write both commands, as a controller that had to be reset may have lost what was in its cache.
 */
#ifndef NVME_TRANSFER_H
#define NVME_TRANSFER_H

#include "controller.h"

struct transfer_slot {
    struct nvme_command command; /* the first one */
    uint64_t id;                 /* the client's */
    uint64_t started;            /* ticks */
    struct block_mark mark;      /* of a FLUSH */
    uint64_t losses;             /* of the cache, when a write that is to be flushed was begun */
    uint8_t client;
    bool in_flight;
    bool then_flush; /* a flush follows when the write is done */
    bool flushing;   /* that flush is what the controller has */
    bool late;       /* the log has said so */
};

struct transfers {
    struct controller *controller;
    const struct block_buffers *buffers;
    uint64_t *losses;   /* of the disk's cache: block_server_flushed() */
    bool flush_for_fua; /* the controller is known to ignore FUA */
    uint32_t count;     /* slots that may be used: depth - 1 */
    uint32_t in_flight;
    uint32_t free_count;
    uint8_t free[CONTROLLER_DEPTH];
    struct transfer_slot slot[CONTROLLER_DEPTH];
    uint32_t errors; /* reported by the disk */
};

struct transfer_result {
    uint64_t id;
    uint32_t client;
    enum block_status status;
    bool flush;             /* a client's own */
    struct block_mark mark; /* then: as transfer_begin() was given it */
};

void transfers_start(struct transfers *transfers, struct controller *controller,
                     const struct block_buffers *buffers, uint64_t *losses, bool flush_for_fua);
bool transfers_full(const struct transfers *transfers);
/* The request has passed block_server_check(); a slot is free. The queue's doorbell is the caller's. mark: block_server_mark() of its server. */
void transfer_begin(struct transfers *transfers, uint32_t client, struct block_mark mark,
                    const struct block_request *request);

enum transfer_event {
    TRANSFER_NOTHING, /* the completion queue is empty */
    TRANSFER_DONE,    /* *result is the answer to a request */
    TRANSFER_GOES_ON, /* a slot needed a second command */
    TRANSFER_NONSENSE /* the controller completed what was not in flight */
};
enum transfer_event transfer_next(struct transfers *transfers, struct transfer_result *result);

/* Some command has been in flight for too long. Says so in the log for one that is merely slow. */
bool transfers_overdue(struct transfers *transfers);
/* After the controller has failed and was started anew, with the same geometry: counts its cache as lost, and gives it all that
 * is in flight. */
void transfers_reissue(struct transfers *transfers);
/* After the controller was stopped: takes one slot out of flight, with BLOCK_GONE. False: there is none. */
bool transfer_abandon(struct transfers *transfers, struct transfer_result *result);

#endif
