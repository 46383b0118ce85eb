/*
 * Using the block protocol (quoll/block.h): both ends of a link, with every check that the other end's
 * freedom to misbehave makes necessary. Drivers, the volume service, filters and VMMs all go through it.
 *
 * A server attaches, then says ready or failed, and then serves:
 *
 *     for (;;) {
 *         while (<it has resources> && block_server_take(&server, &request))
 *             <start it; later: block_server_complete(&server, request.id, status)>;
 *         block_server_publish(&server);
 *         if (block_server_sleep(&server))    every link, before waiting
 *             quoll_wait();
 *         block_server_awake(&server);
 *     }
 *
 * What take() returns is a private copy that has been checked against geometry, allowed buffers and buffer
 * sizes; it answers everything else itself. A server that lacks resources leaves requests in the ring
 * and waits for its own completions instead of sleeping on the link.
 *
 * A client attaches, waits until block_client_state() is READY, and then submits and takes. At most
 * BLOCK_RING_ENTRIES requests are in flight (submitted, completion not yet taken), so the server always
 * has room for its answers.
 *
 * Restarts (the sessions of quoll/block.h) are dealt with in here. A client keeps each request until it is answered, and gives it
 * again to a server that came back: its user sees a pause. A server whose client began anew drops the answers of the old
 * session. READY stays READY meanwhile; a server that comes back with another disk is FAILED.
 *
 * One thread uses one end. Nothing here blocks except block_client_wait() and block_client_transfer().
 */
#ifndef QUOLL_BLOCK_IO_H
#define QUOLL_BLOCK_IO_H

#include <quoll/block.h>
#include <quoll/config.h>
#include <stddef.h>

/* ------------------------------------------------------------------------------------------------
 * Buffers that the component's environment names "bufferB". size 0: this component is not told about it;
 * address NULL: known, but not mapped (a driver's DMA target).
 */
struct block_buffer {
    uint8_t *address;
    uint64_t size;     /* bytes */
    uint64_t physical; /* of the first byte */
};

struct block_buffers {
    struct block_buffer buffer[CONFIG_MAX_BUFFERS];
};

void block_buffers_find(struct block_buffers *buffers);

/* ------------------------------------------------------------------------------------------------ */
struct block_geometry {
    uint64_t sectors;
    uint32_t abilities;      /* enum block_ability */
    uint32_t physical_block; /* bytes, a power of two, at least BLOCK_SECTOR */
    uint32_t max_sectors;    /* of one request, 1..BLOCK_MAX_SECTORS */
    char name[32];
};

const char *block_status_text(uint32_t status); /* for messages; any value */

/* ------------------------------------------------------------------------------------------------
 * Server
 */
struct block_server {
    struct block_link *link;
    struct quoll_ring_end requests;
    struct quoll_ring_end completions;
    const struct block_buffers *buffers; /* NULL: offsets are checked further down the path */
    uint64_t allowed_buffers;            /* mask */
    struct block_geometry geometry;
    uint32_t state;       /* enum block_link_state, as told to the client */
    uint32_t outstanding; /* taken, not completed */
    uint32_t refused;     /* requests answered by take() itself */
    uint32_t channel;     /* handle: raises the client's signal */
    uint64_t signal;      /* mask: raised by the client */
    uint32_t life;        /* of this server */
    bool closing; /* the client has begun anew: answers are dropped until nothing is outstanding */
    uint64_t session; /* that is or was open; 0: none yet */
    /* block_server_flushed() */
    uint64_t told;          /* losses that do not matter to the client, or that it has heard of */
    uint64_t written, safe; /* writes taken; of these, the first ones, on stable storage */
};

/* Attaches to the link of client `number` named in the environment ("clientN"); stops the component when the
 * system image lacks it. */
void block_server_find(struct block_server *server, uint32_t number,
                       const struct block_buffers *buffers, uint64_t allowed_buffers);
/* The same on a given link. */
void block_server_attach(struct block_server *server, struct block_link *link, uint32_t channel,
                         uint64_t signal, const struct block_buffers *buffers,
                         uint64_t allowed_buffers);

/* Tells the client and raises its signal. failed: also later, when the disk stops working; from then on
 * take() answers everything with BLOCK_GONE. The reason is cut to the link's field. */
void block_server_ready(struct block_server *server, const struct block_geometry *geometry);
void block_server_failed(struct block_server *server, const char *reason);

/* Takes the next acceptable request. False: none there (or the client does not take its completions). */
bool block_server_take(struct block_server *server, struct block_request *request);
/* Answers a taken request; it reaches the client with the next publish. */
void block_server_complete(struct block_server *server, uint64_t id, enum block_status status);
/* A server whose disk has a cache counts how often it may have lost what was in there, in a counter that all its clients share and
 * that outlives a restart. A client hears of a loss by an error of its next FLUSH, unless all that it had written before was safe by
 * then: a FLUSH makes safe what was completed before it was submitted, which is known of all writes when nothing else was
 * in flight.
 *
 * writing: a write was taken, when there were so many losses.
 * mark: of a FLUSH that was taken; to be kept until its end.
 * flushed: what to answer a FLUSH that the disk has answered with `status`. One that failed counts as a loss. */
struct block_mark {
    uint64_t told, written;
    bool alone;
};
void block_server_writing(struct block_server *server, uint64_t losses);
struct block_mark block_server_mark(const struct block_server *server);
enum block_status block_server_flushed(struct block_server *server, uint64_t *losses,
                                       struct block_mark mark, enum block_status status);
void block_server_publish(struct block_server *server);
/* sleep: false when a request is waiting (then do not wait). */
bool block_server_sleep(struct block_server *server);
void block_server_awake(struct block_server *server);

/* What take() checks; BLOCK_OK when the request may be carried out. */
enum block_status block_server_check(const struct block_server *server,
                                     const struct block_request *request);

/* ------------------------------------------------------------------------------------------------
 * Client
 */
struct block_client {
    struct block_link *link;
    struct quoll_ring_end requests;
    struct quoll_ring_end completions;
    struct block_geometry geometry;         /* valid from READY on */
    char reason[72];                        /* FAILED: why */
    uint32_t state;                         /* enum block_link_state, as last seen */
    bool open;                              /* the session is */
    uint64_t session;                       /* asked for or open; 0: none yet */
    uint32_t in_flight;                     /* submitted, answer not taken */
    uint64_t used[BLOCK_RING_ENTRIES / 64]; /* bit n: pending[n] is in flight */
    struct block_request
        pending[BLOCK_RING_ENTRIES]; /* its number is the id that the server sees */
    uint32_t channel;                /* handle: raises the server's signal */
    uint64_t signal;                 /* mask: raised by the server */
};

/* Attaches to the link named "diskN". */
void block_client_find(struct block_client *client, uint32_t number);
void block_client_attach(struct block_client *client, struct block_link *link, uint32_t channel,
                         uint64_t signal);

/* Looks at the link. On the way from STARTING to READY it joins, then copies and checks the geometry; a server that
 * tells nonsense is FAILED. Once FAILED it stays so. A server that began anew is joined again, and told everything that is in
 * flight. Cheap; call it after every wait. */
enum block_link_state block_client_state(struct block_client *client);

/* submit: false when BLOCK_RING_ENTRIES are in flight or the link is not READY. publish: makes them visible
 * and raises the server's signal if it sleeps. */
bool block_client_submit(struct block_client *client, const struct block_request *request);
void block_client_publish(struct block_client *client);
/* Takes one completion of a request that is in flight; its status is one of enum block_status. */
bool block_client_take(struct block_client *client, struct block_completion *completion);
bool block_client_sleep(struct block_client *client);
void block_client_awake(struct block_client *client);

/* For start-up, while nothing else is in flight on this link: wait until the link is READY or FAILED; carry
 * out one request and wait for it (BLOCK_GONE when the link fails meanwhile). Signals that arrive meanwhile
 * are OR-ed into *signals, for the caller to act on. */
enum block_link_state block_client_wait(struct block_client *client, uint64_t *signals);
enum block_status block_client_transfer(struct block_client *client, struct block_request request,
                                        uint64_t *signals);

#endif
