/*
 * Both ends of a block link; the contract is in quoll/block_io.h.
 *
 * Invariants: nothing in the shared link is read twice for one decision; a request or completion is
 * looked at only after it was copied; a server's geometry and state live in its own memory and are only
 * ever written to the link. `outstanding` plus the completions that the client has not taken never exceed the
 * ring, so a completion always finds room. In the link each word is written by one side only, so that one that is behind
 * the other's restart spoils nothing; sessions only decide what is done again and what is dropped, never what is safe.
 */
#include <quoll/block_io.h>
#include <quoll/quoll.h>
#include <string.h>

void block_buffers_find(struct block_buffers *buffers)
{
    for (uint32_t number = 0; number < CONFIG_MAX_BUFFERS; number++) {
        const struct quoll_environment_entry *entry =
            quoll_find(QUOLL_ENVIRONMENT_MEMORY, quoll_numbered("buffer", number));
        struct block_buffer *buffer = &buffers->buffer[number];
        *buffer = (struct block_buffer){0};
        if (entry == NULL)
            continue;
        buffer->address = (uint8_t *)(uintptr_t)entry->address;
        buffer->size = entry->size;
        buffer->physical = entry->physical;
    }
}

const char *block_status_text(uint32_t status)
{
    static const char *const text[BLOCK_STATUS_COUNT] = {
#define STATUS(name, words) [BLOCK_##name] = words,
        BLOCK_STATUSES(STATUS)
#undef STATUS
    };
    return status < BLOCK_STATUS_COUNT ? text[status] : "a status that does not exist";
}

/* Copies text of a peer's into our own memory: terminated, and nothing in it that a terminal obeys. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t length = 0;
    while (length + 1 < size) {
        char c = *(const volatile char *)&from[length];
        if (c == '\0')
            break;
        to[length++] = c >= ' ' && c <= '~' ? c : '?';
    }
    memset(to + length, 0, size - length);
}

static void signal_peer(uint32_t channel)
{
    /* The only possible failure is a handle that the system image made wrong; the peer then hears nothing. */
    (void)quoll_signal(channel);
}

static uint32_t life_of(uint64_t session)
{
    return (uint32_t)(session >> 32);
}

/* One end of a ring at the beginning of a session; `index` is its owner's own word in the link. */
static void begin_ring(struct quoll_ring_end *end, uint32_t *index)
{
    end->mine = end->published = 0;
    __atomic_store_n(index, 0, __ATOMIC_RELEASE);
}

/* ---- Server ---- */

void block_server_attach(struct block_server *server, struct block_link *link, uint32_t channel,
                         uint64_t signal, const struct block_buffers *buffers,
                         uint64_t allowed_buffers)
{
    uint32_t life = __atomic_load_n(&link->life, __ATOMIC_RELAXED) + 1;
    *server = (struct block_server){
        .link = link,
        .buffers = buffers,
        .allowed_buffers = allowed_buffers,
        .state = BLOCK_LINK_STARTING,
        .channel = channel,
        .signal = signal,
        .life = life != 0 ? life : 1,
    };
    __atomic_store_n(&link->joined, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&link->state, BLOCK_LINK_STARTING, __ATOMIC_SEQ_CST);
    __atomic_store_n(&link->life, server->life, __ATOMIC_SEQ_CST);
    quoll_ring_attach(&server->requests, &link->requests, link->request,
                      sizeof(struct block_request), BLOCK_RING_ENTRIES, false, false);
    quoll_ring_attach(&server->completions, &link->completions, link->completion,
                      sizeof(struct block_completion), BLOCK_RING_ENTRIES, true, false);
}

void block_server_find(struct block_server *server, uint32_t number,
                       const struct block_buffers *buffers, uint64_t allowed_buffers)
{
    struct block_link *link =
        quoll_memory(quoll_numbered("client", number), sizeof(struct block_link));
    uint32_t channel = quoll_handle(quoll_numbered("client", number), QUOLL_OBJECT_CHANNEL);
    uint64_t signal = quoll_receive(quoll_numbered("client", number));
    block_server_attach(server, link, channel, signal, buffers, allowed_buffers);
}

static void set_state(struct block_server *server, enum block_link_state state)
{
    server->state = state;
    __atomic_store_n(&server->link->state, state, __ATOMIC_RELEASE);
    signal_peer(server->channel);
}

void block_server_ready(struct block_server *server, const struct block_geometry *geometry)
{
    struct block_link *link = server->link;
    server->geometry = *geometry;
    link->sectors = geometry->sectors;
    link->abilities = geometry->abilities;
    link->physical_block = geometry->physical_block;
    link->max_sectors = geometry->max_sectors;
    copy_text(link->name, sizeof(link->name), geometry->name);
    set_state(server, BLOCK_LINK_READY);
}

void block_server_failed(struct block_server *server, const char *reason)
{
    copy_text(server->link->reason, sizeof(server->link->reason), reason);
    set_state(server, BLOCK_LINK_FAILED);
}

static bool buffer_acceptable(const struct block_server *server,
                              const struct block_request *request)
{
    if (request->buffer >= CONFIG_MAX_BUFFERS ||
        (server->allowed_buffers >> request->buffer & 1) == 0)
        return false;
    if (request->offset % BLOCK_SECTOR != 0)
        return false;
    if (server->buffers == NULL)
        return true;
    uint64_t size = server->buffers->buffer[request->buffer].size;
    uint64_t bytes = (uint64_t)request->count * BLOCK_SECTOR;
    return request->offset <= size && bytes <= size - request->offset;
}

static bool whole_blocks(const struct block_geometry *geometry, const struct block_request *request)
{
    if ((geometry->abilities & BLOCK_WHOLE_BLOCKS) == 0)
        return true;
    uint64_t block_sectors = geometry->physical_block / BLOCK_SECTOR;
    return request->sector % block_sectors == 0 && request->count % block_sectors == 0;
}

enum block_status block_server_check(const struct block_server *server,
                                     const struct block_request *request)
{
    const struct block_geometry *geometry = &server->geometry;
    if (server->state != BLOCK_LINK_READY)
        return BLOCK_GONE;
    if (request->operation == BLOCK_FLUSH) {
        bool sound = request->count == 0 && request->flags == 0;
        return sound && (geometry->abilities & BLOCK_CAN_FLUSH) != 0 ? BLOCK_OK : BLOCK_BAD_REQUEST;
    }
    bool write = request->operation == BLOCK_WRITE;
    if (!write && request->operation != BLOCK_READ)
        return BLOCK_BAD_REQUEST;
    if ((request->flags & ~(write ? BLOCK_FUA : 0)) != 0)
        return BLOCK_BAD_REQUEST;
    if (request->flags != 0 && (geometry->abilities & BLOCK_CAN_FLUSH) == 0)
        return BLOCK_BAD_REQUEST;
    if (request->count == 0 || request->count > geometry->max_sectors)
        return BLOCK_BAD_REQUEST;
    if (request->sector > geometry->sectors || request->count > geometry->sectors - request->sector)
        return BLOCK_OUT_OF_RANGE;
    if (!whole_blocks(geometry, request) || !buffer_acceptable(server, request))
        return BLOCK_BAD_REQUEST;
    if (write && (geometry->abilities & BLOCK_IS_READ_ONLY) != 0)
        return BLOCK_READ_ONLY;
    return BLOCK_OK;
}

/* False: the client does not take its completions; an honest one never lets it come to that. */
static bool room_to_answer(struct block_server *server)
{
    return quoll_ring_space(&server->completions) > server->outstanding;
}

/* Whether the client has asked for a session that is not open. */
static bool asks_to_join(struct block_server *server, uint64_t *session)
{
    if (server->state == BLOCK_LINK_STARTING)
        return false;
    *session = __atomic_load_n(&server->link->join, __ATOMIC_ACQUIRE);
    return life_of(*session) == server->life && (*session != server->session || server->closing);
}

/* False while no session is open. */
static bool in_session(struct block_server *server)
{
    uint64_t session;
    if (!asks_to_join(server, &session))
        return server->session != 0 && !server->closing;
    server->closing = true;
    if (server->outstanding != 0)
        return false;
    begin_ring(&server->requests, &server->link->requests.consumed);
    begin_ring(&server->completions, &server->link->completions.produced);
    server->session = session;
    /* An answer of the old session may have been dropped, and it may have written. */
    server->told = server->safe = 0;
    server->written = 1;
    server->closing = false;
    __atomic_store_n(&server->link->joined, session, __ATOMIC_SEQ_CST);
    signal_peer(server->channel);
    return true;
}

bool block_server_take(struct block_server *server, struct block_request *request)
{
    if (!in_session(server))
        return false;
    while (room_to_answer(server) && quoll_ring_take(&server->requests, request)) {
        server->outstanding++;
        enum block_status status = block_server_check(server, request);
        if (status == BLOCK_OK)
            return true;
        server->refused++;
        block_server_complete(server, request->id, status);
    }
    return false;
}

void block_server_complete(struct block_server *server, uint64_t id, enum block_status status)
{
    const struct block_completion completion = {.id = id, .status = status};
    QUOLL_ASSERT(server->outstanding > 0);
    server->outstanding--;
    if (server->closing)
        return;
    /* There was room when the request was taken. It can only be gone when the client moved its index back,
     * and then it does not get its answer. */
    (void)quoll_ring_put(&server->completions, &completion);
}

void block_server_writing(struct block_server *server, uint64_t losses)
{
    if (server->written == server->safe)
        server->told = losses;
    server->written++;
}

struct block_mark block_server_mark(const struct block_server *server)
{
    return (struct block_mark){
        .told = server->told,
        .written = server->written,
        .alone = server->outstanding == 1,
    };
}

enum block_status block_server_flushed(struct block_server *server, uint64_t *losses,
                                       struct block_mark mark, enum block_status status)
{
    bool at_stake = mark.written != server->safe;
    if (status == BLOCK_OK && (!at_stake || mark.told == *losses)) {
        if (at_stake && mark.alone)
            server->safe = mark.written;
        return BLOCK_OK;
    }
    if (status != BLOCK_OK)
        (*losses)++;
    server->told = *losses;
    return status != BLOCK_OK ? status : BLOCK_IO_ERROR;
}

void block_server_publish(struct block_server *server)
{
    if (server->session != 0 && quoll_ring_publish(&server->completions))
        signal_peer(server->channel);
}

bool block_server_sleep(struct block_server *server)
{
    uint64_t session;
    if (asks_to_join(server, &session))
        return server->outstanding != 0; /* its last answer will be a reason to look again */
    if (server->session == 0 || server->closing)
        return true; /* the client signals when it joins */
    if (quoll_ring_sleep(&server->requests))
        return true;
    if (room_to_answer(server))
        return false;
    /* Requests that cannot be taken are no reason to stay awake; the next one published is worth a look. */
    __atomic_store_n(&server->link->requests.consumer_sleeps, 1, __ATOMIC_SEQ_CST);
    return true;
}

void block_server_awake(struct block_server *server)
{
    quoll_ring_awake(&server->requests);
}

/* ---- Client ---- */

void block_client_attach(struct block_client *client, struct block_link *link, uint32_t channel,
                         uint64_t signal)
{
    *client = (struct block_client){
        .link = link,
        .state = BLOCK_LINK_STARTING,
        .channel = channel,
        .signal = signal,
    };
    quoll_ring_attach(&client->requests, &link->requests, link->request,
                      sizeof(struct block_request), BLOCK_RING_ENTRIES, true, false);
    quoll_ring_attach(&client->completions, &link->completions, link->completion,
                      sizeof(struct block_completion), BLOCK_RING_ENTRIES, false, false);
}

void block_client_find(struct block_client *client, uint32_t number)
{
    struct block_link *link =
        quoll_memory(quoll_numbered("disk", number), sizeof(struct block_link));
    uint32_t channel = quoll_handle(quoll_numbered("disk", number), QUOLL_OBJECT_CHANNEL);
    block_client_attach(client, link, channel, quoll_receive(quoll_numbered("disk", number)));
}

static uint32_t read_once(const uint32_t *field)
{
    return *(const volatile uint32_t *)field;
}

/* False when the geometry is not one that a disk can have. */
static bool copy_geometry(struct block_client *client)
{
    const struct block_link *link = client->link;
    struct block_geometry *geometry = &client->geometry;
    geometry->sectors = *(const volatile uint64_t *)&link->sectors;
    geometry->abilities = read_once(&link->abilities);
    geometry->physical_block = read_once(&link->physical_block);
    geometry->max_sectors = read_once(&link->max_sectors);
    copy_text(geometry->name, sizeof(geometry->name), link->name);

    uint32_t block = geometry->physical_block;
    if (block < BLOCK_SECTOR || (block & (block - 1)) != 0)
        return false;
    if (geometry->sectors > UINT64_MAX / BLOCK_SECTOR || geometry->max_sectors == 0)
        return false;
    if (geometry->max_sectors > BLOCK_MAX_SECTORS)
        geometry->max_sectors = BLOCK_MAX_SECTORS;
    return (geometry->abilities & BLOCK_WHOLE_BLOCKS) == 0 ||
           block / BLOCK_SECTOR <= geometry->max_sectors;
}

static void fail(struct block_client *client, const char *reason)
{
    copy_text(client->reason, sizeof(client->reason), reason);
    client->state = BLOCK_LINK_FAILED;
}

static bool same_disk(const struct block_geometry *a, const struct block_geometry *b)
{
    return a->sectors == b->sectors && a->abilities == b->abilities &&
           a->physical_block == b->physical_block && a->max_sectors == b->max_sectors;
}

/* Asks the server's present life for a session. */
static void join(struct block_client *client, uint32_t life)
{
    struct block_link *link = client->link;
    uint32_t number = (uint32_t)__atomic_load_n(&link->join, __ATOMIC_RELAXED) + 1;
    client->session = (uint64_t)life << 32 | number;
    begin_ring(&client->requests, &link->requests.produced);
    begin_ring(&client->completions, &link->completions.consumed);
    __atomic_store_n(&link->join, client->session, __ATOMIC_SEQ_CST);
    signal_peer(client->channel);
}

/* The session is open: what was not answered is asked for again. */
static void give_again(struct block_client *client)
{
    for (uint32_t slot = 0; slot < BLOCK_RING_ENTRIES; slot++) {
        struct block_request request = client->pending[slot];
        request.id = slot;
        if ((client->used[slot / 64] >> slot % 64 & 1) != 0)
            (void)quoll_ring_put(&client->requests, &request);
    }
    block_client_publish(client);
}

static void open_session(struct block_client *client)
{
    struct block_geometry before = client->geometry;
    client->open = true;
    if (!copy_geometry(client))
        fail(client, "the disk's server tells nonsense");
    else if (client->state == BLOCK_LINK_STARTING)
        client->state = BLOCK_LINK_READY;
    else if (!same_disk(&before, &client->geometry))
        fail(client, "after a restart of its server it is another disk");
    else
        give_again(client);
}

enum block_link_state block_client_state(struct block_client *client)
{
    if (client->state == BLOCK_LINK_FAILED)
        return BLOCK_LINK_FAILED;
    uint32_t told = __atomic_load_n(&client->link->state, __ATOMIC_ACQUIRE);
    uint64_t joined = __atomic_load_n(&client->link->joined, __ATOMIC_ACQUIRE);
    bool mine = client->session != 0 && joined == client->session;
    if (told == BLOCK_LINK_FAILED) {
        fail(client, client->link->reason);
    } else if (mine && !client->open) {
        open_session(client);
    } else if (!mine) {
        client->open = false;
        uint32_t life = __atomic_load_n(&client->link->life, __ATOMIC_ACQUIRE);
        if (told == BLOCK_LINK_READY && life != 0 && life_of(client->session) != life)
            join(client, life);
    }
    return (enum block_link_state)client->state;
}

/* A free place among the requests in flight; there is one. */
static uint32_t free_slot(const struct block_client *client)
{
    uint32_t word = 0;
    while (client->used[word] == UINT64_MAX)
        word++;
    return word * 64 + (uint32_t)__builtin_ctzll(~client->used[word]);
}

bool block_client_submit(struct block_client *client, const struct block_request *request)
{
    if (client->state != BLOCK_LINK_READY || client->in_flight >= BLOCK_RING_ENTRIES)
        return false;
    uint32_t slot = free_slot(client);
    struct block_request given = *request;
    given.id = slot;
    if (client->open && !quoll_ring_put(&client->requests, &given))
        return false;
    client->pending[slot] = *request;
    client->used[slot / 64] |= UINT64_C(1) << slot % 64;
    client->in_flight++;
    return true;
}

void block_client_publish(struct block_client *client)
{
    if (client->open && quoll_ring_publish(&client->requests))
        signal_peer(client->channel);
}

bool block_client_take(struct block_client *client, struct block_completion *completion)
{
    while (client->open && quoll_ring_take(&client->completions, completion)) {
        uint64_t slot = completion->id;
        if (slot >= BLOCK_RING_ENTRIES || (client->used[slot / 64] >> slot % 64 & 1) == 0)
            continue; /* it was not asked for */
        client->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
        client->in_flight--;
        completion->id = client->pending[slot].id;
        if (completion->status >= BLOCK_STATUS_COUNT)
            completion->status = BLOCK_IO_ERROR;
        return true;
    }
    return false;
}

bool block_client_sleep(struct block_client *client)
{
    return !client->open || quoll_ring_sleep(&client->completions);
}

void block_client_awake(struct block_client *client)
{
    if (client->open)
        quoll_ring_awake(&client->completions);
}

enum block_link_state block_client_wait(struct block_client *client, uint64_t *signals)
{
    while (block_client_state(client) == BLOCK_LINK_STARTING)
        *signals |= quoll_wait();
    return (enum block_link_state)client->state;
}

/* Waits for the answer to `id`. A server that fails answers what it had; one that breaks down does not. */
static enum block_status await_answer(struct block_client *client, uint64_t id, uint64_t *signals)
{
    struct block_completion completion;
    for (;;) {
        bool failed = block_client_state(client) == BLOCK_LINK_FAILED;
        while (block_client_take(client, &completion)) {
            if (completion.id == id)
                return (enum block_status)completion.status;
        }
        if (failed)
            return BLOCK_GONE;
        if (block_client_sleep(client))
            *signals |= quoll_wait();
        block_client_awake(client);
    }
}

enum block_status block_client_transfer(struct block_client *client, struct block_request request,
                                        uint64_t *signals)
{
    if (block_client_state(client) != BLOCK_LINK_READY || !block_client_submit(client, &request))
        return BLOCK_GONE;
    block_client_publish(client);
    return await_answer(client, request.id, signals);
}
