/*
 * A hostile peer at the other end of a ring and of a stream; the shared memory changes between any two reads.
 *
 * What must hold: an end stays within its entries whatever the peer writes; it takes no more than the peer can have put;
 * its own index moves only by what it took or put; and between honest ends nothing is lost, doubled or reordered.
 *
 * Input: byte 0: bit 0: an honest run (nothing changes), bits 1..3: entries (1 << n), bits 4..7: entry size; 1 byte: how many
 * bytes of changes between reads follow; these; then steps.
 */
#include "calls.h"
#include "hostile.h"
#include <quoll/stream.h>

#define ENTRIES_BYTES 4096u

static struct quoll_ring *shared;
static uint8_t *entries;
static struct stream_link *link_memory;
static struct quoll_ring_end producer, consumer;
static struct stream_end client, server;
static bool honest;

/* What an honest run has put and taken: numbers from 0 on. */
static uint32_t put_count, published, taken, sent, heard;

static void start(uint8_t choice, struct input changes)
{
    if (shared == NULL) {
        shared = (struct quoll_ring *)(void *)hostile_allocate(sizeof(*shared));
        entries = hostile_allocate(ENTRIES_BYTES);
        link_memory = (struct stream_link *)(void *)hostile_allocate(STREAM_LINK_BYTES);
    }
    honest = (choice & 1) != 0;
    uint32_t capacity = 1u << (choice >> 1 & 7), size = 4 + (choice >> 4);
    memset(shared, 0, sizeof(*shared));
    memset(link_memory, 0, offsetof(struct stream_link, to_server_bytes));
    put_count = published = taken = sent = heard = 0;
    hostile_begin(input_of(NULL, 0));
    uint8_t *place = entries + ENTRIES_BYTES - (size_t)capacity * size; /* up to the guard region */
    place -= (uintptr_t)place % 4;
    quoll_ring_attach(&producer, shared, place, size, capacity, true, true);
    quoll_ring_attach(&consumer, shared, place, size, capacity, false, false);
    calls.memory = link_memory;
    calls.memory_size = sizeof(*link_memory);
    stream_open(&client, "client", false);
    stream_open(&server, "server", true);
    hostile_begin(honest ? input_of(NULL, 0) : changes);
    hostile_area((uint8_t *)shared, sizeof(*shared));
    hostile_area((uint8_t *)link_memory, offsetof(struct stream_link, to_server_bytes));
}

static void put(void)
{
    uint8_t entry[32] = {0};
    uint32_t before = producer.mine;
    memcpy(entry, &put_count, 4);
    bool done = quoll_ring_put(&producer, entry);
    HOLDS(producer.mine - before == (done ? 1 : 0));
    HOLDS(!honest || done == (put_count - taken < producer.capacity));
    put_count += done;
}

static void take(void)
{
    uint8_t entry[32];
    uint32_t before = consumer.mine, number;
    bool done = quoll_ring_take(&consumer, entry);
    HOLDS(consumer.mine - before == (done ? 1 : 0));
    if (!honest)
        return;
    HOLDS(done == (taken < published) && consumer.nonsense == 0);
    memcpy(&number, entry, 4);
    HOLDS(!done || number == taken);
    taken += done;
}

static void stream_step(uint8_t choice)
{
    uint8_t bytes[128];
    uint32_t size = choice >> 1 & 127;
    if (choice & 1) {
        for (uint32_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(sent + i);
        uint32_t done = stream_write(&client, bytes, size);
        HOLDS(done <= size && (!honest || sent + done - heard <= STREAM_RING_BYTES));
        HOLDS(!honest || done == size || sent + done - heard == STREAM_RING_BYTES);
        sent += done;
    } else {
        uint32_t done = stream_read(&server, bytes, size);
        HOLDS(done <= size && (!honest || done == (size < sent - heard ? size : sent - heard)));
        for (uint32_t i = 0; honest && i < done; i++)
            HOLDS(bytes[i] == (uint8_t)(heard + i));
        heard += done;
    }
}

static void wait_step(uint8_t choice)
{
    switch (choice & 7) {
    case 0:
        HOLDS(quoll_ring_sleep(&consumer) == (taken == published) || !honest);
        break;
    case 1:
        quoll_ring_awake(&consumer);
        break;
    case 2:
        HOLDS(stream_is_taken(&client) == (sent == heard) || !honest);
        break;
    case 3:
        HOLDS(stream_sleep(&server) == (sent == heard) || !honest);
        break;
    case 4:
        stream_awake(&server);
        break;
    case 5: {
        uint32_t signals = calls.signals, space = stream_space(&client);
        stream_write(&client, &(uint8_t){(uint8_t)sent}, space != 0);
        sent += space != 0;
        HOLDS(!honest || space <= STREAM_RING_BYTES);
        HOLDS(calls.signals - signals <= 1);
        break;
    }
    default:
        quoll_ring_publish(&producer);
        published = put_count;
        break;
    }
}

static void hostile_write(struct input *input)
{
    uint8_t where = input_8(input);
    uint32_t value = input_32(input);
    uint32_t *words[] = {&shared->produced,
                         &shared->consumed,
                         &shared->consumer_sleeps,
                         &link_memory->to_server.produced,
                         &link_memory->to_server.consumed,
                         &link_memory->to_client.produced,
                         &link_memory->writer_waits_server,
                         &link_memory->writer_waits_client};
    if (!honest)
        *words[where & 7] = where & 8 ? value : *words[where & 7] + (value & 0xff);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    start(choice, input_part(&input, input_8(&input)));
    while (input_more(&input)) {
        uint8_t step = input_8(&input);
        switch (step & 7) {
        case 0:
        case 1:
            put();
            break;
        case 2:
        case 3:
            take();
            break;
        case 4:
            stream_step(input_8(&input));
            break;
        case 5:
            stream_step(step >> 3);
            break;
        case 6:
            wait_step(step >> 3);
            break;
        default:
            hostile_write(&input);
            break;
        }
    }
    return 0;
}
