/*
 * Streams: bytes in both directions between a client (a VMM's console, the console service) and a server
 * (the console service, a UART driver).
 *
 * Two byte rings (quoll/ring.h with entries of one byte) in one shared region. A writer that finds no
 * space drops nothing: it keeps its bytes and goes on when the reader has signalled. A reader that takes bytes from a full ring signals the writer.
 *
 * Console framing, on the UART: the console service switches between streams by an Application
 * Program Command, which terminals ignore:
 *
 *     ESC _ Q <stream> ESC \        output: what follows comes from this stream; "quoll" is the log
 *     ESC _ Q i <stream> ESC \      input: what follows goes to this stream
 *     ESC _ Q ! <text> ESC \        output: a notice for the host tool ("off 0 all VMs powered off")
 *
 * A guest cannot forge them: the service replaces "ESC _ Q" in a guest's output by "ESC _ ?".
 */
#ifndef QUOLL_STREAM_H
#define QUOLL_STREAM_H

#include <quoll/ring.h>

#define STREAM_RING_BYTES 4096u
#define STREAM_LINK_BYTES 12288u

struct stream_link {
    struct quoll_ring to_server;
    struct quoll_ring to_client;
    uint32_t writer_waits_server; /* 1: the client waits for space in to_server */
    uint32_t writer_waits_client; /* 1: the server waits for space in to_client */
    uint8_t to_server_bytes[STREAM_RING_BYTES];
    uint8_t to_client_bytes[STREAM_RING_BYTES];
};

_Static_assert(sizeof(struct stream_link) <= STREAM_LINK_BYTES, "fits its region");

#endif
