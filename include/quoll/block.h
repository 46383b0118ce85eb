/*
 * The block protocol: how a component uses a disk.
 *
 * A *link* is one shared region between a client and a server: a header, a ring of requests (client to
 * server) and a ring of completions (server to client). Data lies outside the link, in *buffers*: regions with a
 * number that is unique in the system. A request names a buffer and an offset; it passes through
 * filters and the volume service to the driver, which turns it into a physical address, so data is not copied on the
 * way. Each server knows from its configuration which buffers a client may name.
 *
 * Units are sectors of 512 bytes. Requests may be completed in any order. There is no ordering between
 * requests that are in flight together; a client that needs order waits for the first one's completion.
 *
 * FLUSH completes when every write that was completed before the FLUSH was submitted is on stable storage.
 * A write with BLOCK_FUA completes when that write is on stable storage. A server that cannot do this
 * does not set BLOCK_CAN_FLUSH, and a description that needs it is refused.
 *
 * A disk whose FLUSH fails may have dropped whatever it had in its cache, of any client; so may one that had to be reset because it
 * had failed. Each client that had written what no FLUSH had made safe is told by an error of its own: of its FLUSHes in flight at that
 * time, or of the next ones until the first of them is answered. After an error of FLUSH nothing that was written since the last good
 * one can be relied on, nor what was in flight when the error was told.
 *
 * A server sets the header's geometry and then `state` to READY (store-release); a client waits for that. The
 * server raises the client's signal on that occasion as well. FAILED: the disk cannot be used; `reason` tells why.
 *
 * Either side can crash and begin anew while the other goes on. So what passes belongs to a *session*, which a client asks for
 * and a server opens:
 *
 *     server begins    joined = 0, state = STARTING, life = life + 1; later READY
 *     client           sees READY and a life in which it has no session: sets its own ring indices to 0, then
 *                      join = life and a number that it has not used before; raises the server's signal
 *     server           sees a `join` of this life that it does not know: the old session is over. It takes nothing more, waits until
 *                      everything it took has come back from below (DMA into buffers), and tells nobody; then sets
 *                      its own ring indices to 0, then joined = join; raises the client's signal
 *     client           sees joined == join: the session is open. It gives everything again that was not answered.
 *
 * A client whose server began anew notices because `joined` is no longer its `join`. Requests that are given again may have been
 * carried out before: READ, WRITE and FLUSH have the same effect twice, as their order was open anyway. A client that began
 * anew may use its buffers as soon as its session is open: nothing of its former life is on its way any more.
 *
 * FLUSH keeps its promise across a server's restart, because drivers reset their device, and a reset does not empty a device's
 * cache (only loss of power does): writes completed before it are still there for a FLUSH that is given again, or for the first
 * one afterwards. Where a cache was lost before, that first one fails: an error may have been told to nobody.
 */
#ifndef QUOLL_BLOCK_H
#define QUOLL_BLOCK_H

#include <quoll/ring.h>
#include <stdint.h>

#define BLOCK_SECTOR 512u
#define BLOCK_RING_ENTRIES 128u
#define BLOCK_LINK_BYTES 16384u
#define BLOCK_MAX_SECTORS 2048u /* largest transfer of one request: 1 MiB */

enum block_operation { BLOCK_READ = 1, BLOCK_WRITE, BLOCK_FLUSH };
enum block_flag { BLOCK_FUA = 1 };

/* STATUS(name, text for messages) */
#define BLOCK_STATUSES(STATUS)                                                                     \
    STATUS(OK, "done")                                                                             \
    STATUS(IO_ERROR, "the disk reported an error")                                                 \
    STATUS(OUT_OF_RANGE, "beyond the end of the volume")                                           \
    STATUS(BAD_REQUEST, "malformed request")                                                       \
    STATUS(READ_ONLY, "the volume is read-only")                                                   \
    STATUS(GONE, "the disk is gone")

enum block_status {
#define STATUS(name, text) BLOCK_##name,
    BLOCK_STATUSES(STATUS)
#undef STATUS
        BLOCK_STATUS_COUNT
};

struct block_request {
    uint64_t id;        /* the client's; returned in the completion */
    uint64_t sector;    /* first sector, relative to the volume */
    uint32_t count;     /* sectors, 1..BLOCK_MAX_SECTORS; 0 for FLUSH */
    uint16_t operation; /* enum block_operation */
    uint16_t flags;     /* enum block_flag */
    uint32_t buffer;    /* buffer number */
    uint32_t reserved;
    uint64_t offset; /* bytes into the buffer, multiple of BLOCK_SECTOR */
};

struct block_completion {
    uint64_t id;
    uint32_t status; /* enum block_status */
    uint32_t reserved;
};

enum block_link_state { BLOCK_LINK_STARTING, BLOCK_LINK_READY, BLOCK_LINK_FAILED };

enum block_ability {
    BLOCK_CAN_FLUSH = 1,
    BLOCK_VOLATILE_CACHE = 2, /* without FLUSH, completed writes can be lost at power-off */
    BLOCK_IS_READ_ONLY = 4,
    BLOCK_WHOLE_BLOCKS =
        8, /* requests must be multiples of physical_block; others are BAD_REQUEST */
};

struct block_link {
    uint32_t state; /* enum block_link_state */
    uint32_t abilities;
    uint64_t sectors;        /* capacity */
    uint32_t physical_block; /* bytes: writes of this size and alignment are the cheapest */
    uint32_t max_sectors;    /* of one request */
    char name[32];           /* for messages: volume label or disk model */
    char reason[72];         /* FAILED: why, for the user */
    uint64_t join;           /* by the client: the session that it asks for: life << 32 | number */
    uint64_t joined;         /* by the server: the session that is open, 0: none */
    uint32_t life;           /* by the server: which start of it this is */
    uint32_t reserved;
    struct quoll_ring requests;
    struct quoll_ring completions;
    struct block_request request[BLOCK_RING_ENTRIES];
    struct block_completion completion[BLOCK_RING_ENTRIES];
};

_Static_assert(sizeof(struct block_request) == 40, "record layout");
_Static_assert(sizeof(struct block_completion) == 16, "record layout");
_Static_assert(sizeof(struct block_link) <= BLOCK_LINK_BYTES, "fits its region");

#endif
