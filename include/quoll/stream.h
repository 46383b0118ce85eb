/*
 * Streams: bytes in both directions between a client (a VMM's console, the console service) and a server
 * (the console service, a UART driver).
 *
 * Two byte rings (quoll/ring.h with entries of one byte) in one shared region. A writer that finds no
 * space drops nothing: it keeps its bytes and goes on when the reader has signalled. A reader signals a writer that
 * waits: for space once the ring is at most half full, for the end once it is empty.
 *
 * Console framing, on the UART: the console service switches between streams by an Application
 * Program Command, which terminals ignore (blanks are for reading only, there are none in it):
 *
 *     ESC _ Q <stream> ESC \        output: what follows comes from this stream; "quoll" is the log
 *     ESC _ Q i <stream> ESC \      input: what follows goes to this stream
 *     ESC _ Q ! <text> ESC \        output: a notice for the host tool: what the supervisor logs as a line
 *                                   "notice: <text>", e.g. "off 0 all VMs powered off" just before the machine
 *                                   goes off. Status 0: clean; 1: a VM or service failed, the text says
 *                                   which and why; 2: the mains were lost and every drain has ended
 *
 * A guest cannot forge them: the service replaces "ESC _ Q" in a guest's output by "ESC _ ?", also when it is
 * spread over several writes. A stream may be left in the middle of an escape sequence, so for whoever reads the
 * frames every ESC begins anew. Log lines are whole lines of printable text and end with CR LF; text
 * before the first frame is the kernel's early console.
 */
#ifndef QUOLL_STREAM_H
#define QUOLL_STREAM_H

#include <quoll/ring.h>
#include <stdbool.h>

#define FRAME_BEGIN "\033_Q"
#define FRAME_END "\033\\"
#define FRAME_LOG_STREAM "quoll" /* no VM may have this name; names have no control characters */
#define FRAME_NOTICE "!"
#define FRAME_INPUT "i"

#define STREAM_RING_BYTES 4096u
#define STREAM_LINK_BYTES 12288u

enum stream_wait { STREAM_WAITS_NOT, STREAM_WAITS_SPACE, STREAM_WAITS_END };

struct stream_link {
    struct quoll_ring to_server;
    struct quoll_ring to_client;
    uint32_t writer_waits_server; /* the client waits for to_server: enum stream_wait */
    uint32_t writer_waits_client; /* the server waits for to_client: enum stream_wait */
    uint8_t to_server_bytes[STREAM_RING_BYTES];
    uint8_t to_client_bytes[STREAM_RING_BYTES];
};

_Static_assert(sizeof(struct stream_link) <= STREAM_LINK_BYTES, "fits its region");

/* One side of a stream (lib/common/stream.c), in private memory. A link starts as zeroed memory; neither side
 * resets it, so that it does not matter which one starts first. The peer may be hostile: whatever it writes into the
 * link, a stream_end stays within it, and at worst nothing moves on this stream any more. */
struct stream_end {
    struct quoll_ring_end in, out;
    uint32_t *i_wait;     /* in the link: what this side waits for in `out` */
    uint32_t *peer_waits; /* in the link: what the peer waits for in `in` */
    uint32_t channel;     /* signals the peer */
};

/* By name, from the environment: memory and channel `name`; the caller asks for the receive of that name. */
void stream_open(struct stream_end *end, const char *name, bool server);
void stream_attach(struct stream_end *end, struct stream_link *link, bool server, uint32_t channel);
/* Writes what fits and returns how much that was; the peer is woken. When it was less than `size`,
 * this side's signal is raised when there is space again. */
uint32_t stream_write(struct stream_end *end, const void *bytes, uint32_t size);
uint32_t stream_space(struct stream_end *end);
/* Whether the peer has taken everything; when not, this side's signal is raised when it may have. */
bool stream_is_taken(struct stream_end *end);
/* Reads what is there, up to `size` bytes, and returns how much that was; a waiting peer is woken. */
uint32_t stream_read(struct stream_end *end, void *bytes, uint32_t size);
/* Before quoll_wait, for every stream that the thread serves: false when there is something to read
 * (then do not wait). After it: stream_awake, or nothing: a stale declaration costs one signal. */
bool stream_sleep(struct stream_end *end);
void stream_awake(struct stream_end *end);

#endif
