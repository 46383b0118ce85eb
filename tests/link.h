/* A block link both ends of which are in one test: the steps with which a session begins (quoll/block.h). */
#ifndef TESTS_LINK_H
#define TESTS_LINK_H

#include <quoll/block_io.h>

/* The server is READY; afterwards the client is. */
static inline void link_open(struct block_server *server, struct block_client *client)
{
    struct block_request request;
    (void)block_client_state(client);
    (void)block_server_take(server, &request);
    (void)block_client_state(client);
}

/* For a test that writes the client's part of the link itself. */
static inline void link_join(struct block_link *link)
{
    link->join = (uint64_t)link->life << 32 | 1;
}

#endif
