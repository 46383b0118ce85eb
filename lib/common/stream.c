/*
 * Streams (quoll/stream.h): both sides of a link.
 *
 * Two ways to sleep, each with its own flag in the link. A reader without bytes sleeps by the ring's
 * `consumer_sleeps`. A writer without space (or one that wants to see its last byte taken) sets its wait word and looks
 * once more; the reader publishes what it has taken and then looks at the word: with a full fence between the
 * store and the load on both sides, one of them sees the other.
 */
#include <quoll/quoll.h>
#include <quoll/stream.h>

_Static_assert((STREAM_RING_BYTES & (STREAM_RING_BYTES - 1)) == 0,
               "ring capacities are powers of two");

void stream_attach(struct stream_end *end, struct stream_link *link, bool server, uint32_t channel)
{
    struct quoll_ring *in = server ? &link->to_server : &link->to_client;
    struct quoll_ring *out = server ? &link->to_client : &link->to_server;
    uint8_t *in_bytes = server ? link->to_server_bytes : link->to_client_bytes;
    uint8_t *out_bytes = server ? link->to_client_bytes : link->to_server_bytes;
    quoll_ring_attach(&end->in, in, in_bytes, 1, STREAM_RING_BYTES, false, false);
    quoll_ring_attach(&end->out, out, out_bytes, 1, STREAM_RING_BYTES, true, false);
    end->i_wait = server ? &link->writer_waits_client : &link->writer_waits_server;
    end->peer_waits = server ? &link->writer_waits_server : &link->writer_waits_client;
    end->channel = channel;
}

void stream_open(struct stream_end *end, const char *name, bool server)
{
    stream_attach(end, quoll_memory(name, sizeof(struct stream_link)), server,
                  quoll_handle(name, QUOLL_OBJECT_CHANNEL));
}

uint32_t stream_space(struct stream_end *end)
{
    return quoll_ring_space(&end->out);
}

static void declare_wait(struct stream_end *end, enum stream_wait wait)
{
    __atomic_store_n(end->i_wait, wait, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static uint32_t put(struct stream_end *end, const uint8_t *bytes, uint32_t size)
{
    uint32_t done = 0;
    while (done < size && quoll_ring_put(&end->out, &bytes[done]))
        done++;
    return done;
}

uint32_t stream_write(struct stream_end *end, const void *bytes, uint32_t size)
{
    uint32_t done = put(end, bytes, size);
    if (done < size) {
        declare_wait(end, STREAM_WAITS_SPACE);
        done += put(end, (const uint8_t *)bytes + done, size - done);
    }
    if (done > 0 && quoll_ring_publish(&end->out))
        quoll_signal(end->channel);
    return done;
}

bool stream_is_taken(struct stream_end *end)
{
    if (stream_space(end) == STREAM_RING_BYTES)
        return true;
    declare_wait(end, STREAM_WAITS_END);
    return stream_space(end) == STREAM_RING_BYTES;
}

/* How many bytes the peer has written that were not taken; an impossible count is none. */
static uint32_t unread(const struct quoll_ring_end *in)
{
    uint32_t count = __atomic_load_n(&in->ring->produced, __ATOMIC_RELAXED) - in->mine;
    return count <= in->capacity ? count : 0;
}

static void wake_writer(struct stream_end *end)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t wait = __atomic_load_n(end->peer_waits, __ATOMIC_RELAXED);
    if (wait == STREAM_WAITS_NOT)
        return;
    if (unread(&end->in) > (wait == STREAM_WAITS_SPACE ? STREAM_RING_BYTES / 2 : 0))
        return;
    if (__atomic_exchange_n(end->peer_waits, STREAM_WAITS_NOT, __ATOMIC_RELAXED) !=
        STREAM_WAITS_NOT)
        quoll_signal(end->channel);
}

uint32_t stream_read(struct stream_end *end, void *bytes, uint32_t size)
{
    uint32_t done = 0;
    while (done < size && quoll_ring_take(&end->in, (uint8_t *)bytes + done))
        done++;
    if (done > 0)
        wake_writer(end);
    return done;
}

bool stream_sleep(struct stream_end *end)
{
    return quoll_ring_sleep(&end->in);
}

void stream_awake(struct stream_end *end)
{
    quoll_ring_awake(&end->in);
}
