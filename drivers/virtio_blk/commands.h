/*
 * Commands in flight: from a checked block request to a chain of descriptors and back to a block status.
 *
 * A command is free, or in flight for one client's request. The protocol has no FUA: a write that must be on stable
 * storage takes two commands in one slot, write and then flush, where the device has a cache. What was given to the device
 * is kept until it is answered, so that after a reset it can be given once more; of a durable write both commands, as a device
 * that had to be reset may have lost what was in its cache.
 */
#ifndef VIRTIO_BLK_COMMANDS_H
#define VIRTIO_BLK_COMMANDS_H

#include "device.h"

struct command {
    struct block_request request; /* with the client's id */
    uint64_t started;             /* ticks */
    struct block_mark mark;       /* of a FLUSH */
    uint64_t losses;              /* of the cache, when a write that is to be flushed was begun */
    uint8_t client;
    bool in_flight;
    bool flushing; /* the second command of a durable write */
};

struct commands {
    struct device *device;
    const struct block_buffers *buffers;
    uint64_t *losses; /* of the disk's cache: block_server_flushed() */
    uint32_t count;   /* that may be used */
    uint32_t in_flight;
    uint16_t available; /* given to the device so far, modulo 2^16 */
    uint16_t used;      /* taken back so far */
    bool unannounced;   /* the device was not notified of some */
    uint32_t errors;    /* reported by the disk */
    struct command command[DEVICE_COMMANDS];
};

struct command_result {
    uint64_t id;
    uint32_t client;
    enum block_status status;
    bool flush;             /* a client's own */
    struct block_mark mark; /* then: as commands_begin() was given it */
};

enum command_event {
    COMMAND_NOTHING,  /* the device has answered no more */
    COMMAND_DONE,     /* *result is the answer to a request */
    COMMAND_GOES_ON,  /* the request needed a second command */
    COMMAND_NONSENSE, /* the device answers what it was not asked */
};

void commands_start(struct commands *commands, struct device *device,
                    const struct block_buffers *buffers, uint64_t *losses);
bool commands_full(const struct commands *commands);
/* The request has passed block_server_check(); there is room. mark: block_server_mark() of its server. */
void commands_begin(struct commands *commands, uint32_t client, struct block_mark mark,
                    const struct block_request *request);
/* Tells the device of what was begun. */
void commands_announce(struct commands *commands);
enum command_event commands_next(struct commands *commands, struct command_result *result);
/* Some command has been in flight for longer than any disk takes. */
bool commands_overdue(const struct commands *commands);
/* After the device has failed and was started anew, with the same geometry: counts its cache as lost, and gives it all that is
 * in flight. */
void commands_again(struct commands *commands);
/* After the device was stopped: takes one out of flight, with BLOCK_GONE. False: there is none. */
bool commands_abandon(struct commands *commands, struct command_result *result);

#endif
