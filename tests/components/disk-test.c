/*
 * A client of the whole disk path, as a component: volume service, NVMe driver, a real or emulated disk.
 *
 * It drives every disk it has ("disk0", "disk1", ... each with its own mapped buffer, in this order) through the same cases,
 * logs "ok <case>" or "FAILED <case>", measures, then logs "disk-test: N failed" and switches the machine off. It destroys
 * what is on the volumes. A disk that has failed is only reported, with its reason.
 */
#include <quoll/block_io.h>
#include <quoll/quoll.h>
#include <string.h>

#define MAX_DISKS 4u
#define SECTOR BLOCK_SECTOR

static struct block_buffers buffers;
static struct block_client client;
static uint8_t *data;
static uint64_t data_bytes;
static uint32_t buffer_number;
static uint32_t failures;

static void check(bool good, const char *what)
{
    if (!good)
        failures++;
    quoll_log("%s %s", good ? "ok" : "FAILED", what);
}

static enum block_status transfer(struct block_request request)
{
    uint64_t signals = 0;
    return block_client_transfer(&client, request, &signals);
}

static struct block_request request_of(uint16_t operation, uint64_t sector, uint32_t count,
                                       uint64_t offset)
{
    return (struct block_request){
        .id = 42,
        .sector = sector,
        .count = count,
        .operation = operation,
        .buffer = buffer_number,
        .offset = offset,
    };
}

static enum block_status flush(void)
{
    return transfer((struct block_request){.id = 43, .operation = BLOCK_FLUSH});
}

/* What sector `sector` holds in round `round`. */
static uint8_t pattern(uint64_t sector, uint32_t byte, uint32_t round)
{
    return (uint8_t)(sector * 7 + byte * 13 + round * 101 + (sector >> 8));
}

static void fill(uint64_t offset, uint64_t sector, uint32_t count, uint32_t round)
{
    for (uint32_t i = 0; i < count * SECTOR; i++)
        data[offset + i] = pattern(sector + i / SECTOR, i % SECTOR, round);
}

static bool holds(uint64_t offset, uint64_t sector, uint32_t count, uint32_t round)
{
    for (uint32_t i = 0; i < count * SECTOR; i++) {
        if (data[offset + i] != pattern(sector + i / SECTOR, i % SECTOR, round))
            return false;
    }
    return true;
}

/* Writes, wipes the buffer, reads back. */
static bool survives(uint64_t sector, uint32_t count, uint64_t offset, uint16_t flags,
                     uint32_t round)
{
    struct block_request write = request_of(BLOCK_WRITE, sector, count, offset);
    write.flags = flags;
    fill(offset, sector, count, round);
    if (transfer(write) != BLOCK_OK)
        return false;
    memset(data + offset, 0, (size_t)count * SECTOR);
    if (transfer(request_of(BLOCK_READ, sector, count, offset)) != BLOCK_OK)
        return false;
    return holds(offset, sector, count, round);
}

static uint32_t unit(void)
{
    bool whole = (client.geometry.abilities & BLOCK_WHOLE_BLOCKS) != 0;
    return whole ? client.geometry.physical_block / SECTOR : 1;
}

static void transfers_of_all_sizes(void)
{
    uint32_t most = client.geometry.max_sectors, step = unit();
    static const uint32_t counts[] = {1,  2,  7,   8,   9,    15,   16,  17,
                                      63, 64, 255, 256, 1024, 2047, 2048};
    bool good = true;
    for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint32_t count = counts[i] * step;
        if (count > most || (uint64_t)count * SECTOR + 8 * SECTOR > data_bytes)
            continue;
        for (uint32_t shift = 0; shift < 8; shift += 3)
            good =
                survives((uint64_t)step * (3 + i), count, (uint64_t)shift * SECTOR, 0, i) && good;
    }
    check(good, "transfers of all sizes at all places in a page come back as written");
}

static void the_ends_of_the_disk(void)
{
    uint64_t sectors = client.geometry.sectors;
    uint32_t step = unit();
    check(survives(0, step, 0, 0, 1), "the first block can be written");
    check(survives(sectors - step, step, 0, 0, 2), "the last block can be written");
    check(transfer(request_of(BLOCK_WRITE, sectors, step, 0)) == BLOCK_OUT_OF_RANGE &&
              transfer(request_of(BLOCK_READ, sectors - step, 2 * step, 0)) == BLOCK_OUT_OF_RANGE,
          "beyond the end is out of range");
}

static void refusals(void)
{
    struct block_request other = request_of(BLOCK_READ, 0, unit(), 0);
    struct block_request odd = request_of(BLOCK_READ, 0, unit(), 100);
    struct block_request outside = request_of(BLOCK_READ, 0, unit(), data_bytes);
    other.buffer = buffer_number == 0 ? 1 : 0;
    check(transfer(other) == BLOCK_BAD_REQUEST, "another's buffer is refused");
    check(transfer(odd) == BLOCK_BAD_REQUEST, "an odd offset is refused");
    check(transfer(outside) == BLOCK_BAD_REQUEST, "an offset outside the buffer is refused");
    check(survives(unit(), unit(), 0, 0, 3), "the disk works after refusals");
}

static void durability(void)
{
    check(flush() == BLOCK_OK, "a flush is done");
    check(survives(2 * unit(), unit(), 0, BLOCK_FUA, 4), "a write with FUA is done");
}

/* As many requests in flight as the ring holds. Returns how many were done without an error. */
static uint32_t run_batch(uint16_t operation, uint32_t requests, uint32_t count)
{
    struct block_completion completion;
    uint32_t sent = 0, answered = 0, good = 0;
    while (answered < requests && block_client_state(&client) == BLOCK_LINK_READY) {
        while (sent < requests) {
            uint64_t offset = (uint64_t)sent * count * SECTOR;
            struct block_request request =
                request_of(operation, (uint64_t)sent * count, count, offset);
            request.id = sent;
            if (!block_client_submit(&client, &request))
                break;
            sent++;
        }
        block_client_publish(&client);
        while (block_client_take(&client, &completion)) {
            answered++;
            good += completion.status == BLOCK_OK;
        }
        if (answered < sent && block_client_sleep(&client))
            quoll_wait();
        block_client_awake(&client);
    }
    return good;
}

static void many_in_flight(void)
{
    uint32_t count = unit(), requests = (uint32_t)(data_bytes / (count * SECTOR));
    if (requests > client.geometry.sectors / count)
        requests = (uint32_t)(client.geometry.sectors / count);
    fill(0, 0, requests * count, 9);
    bool good = run_batch(BLOCK_WRITE, requests, count) == requests;
    memset(data, 0, data_bytes);
    good = run_batch(BLOCK_READ, requests, count) == requests && good;
    check(good && holds(0, 0, requests * count, 9), "a full ring of requests all come back");
}

static uint64_t microseconds_since(uint64_t start)
{
    return quoll_ns_from_ticks(quoll_now() - start) / 1000;
}

static void measure(void)
{
    uint32_t count = client.geometry.max_sectors, rounds = 16;
    if ((uint64_t)count * SECTOR > data_bytes)
        count = (uint32_t)(data_bytes / SECTOR);
    if (count * rounds > client.geometry.sectors)
        return;
    uint64_t start = quoll_now();
    for (uint32_t i = 0; i < rounds; i++)
        transfer(request_of(BLOCK_WRITE, (uint64_t)i * count, count, 0));
    flush();
    uint64_t stream = microseconds_since(start);
    start = quoll_now();
    for (uint32_t i = 0; i < 64; i++)
        transfer(request_of(BLOCK_WRITE, (uint64_t)i * 8, 8, 0));
    uint64_t small = microseconds_since(start) / 64;
    start = quoll_now();
    for (uint32_t i = 0; i < 16; i++) {
        transfer(request_of(BLOCK_WRITE, (uint64_t)i * 8, 8, 0));
        flush();
    }
    uint64_t commit = microseconds_since(start) / 16;
    quoll_log("%u KiB/s streaming; a write of 4 KiB %lu us, with flush %lu us",
              (unsigned)((uint64_t)count * rounds * 500000 / (stream + 1)), (unsigned long)small,
              (unsigned long)commit);
}

/* The buffers that are mapped belong to the disks in turn. */
static void choose_buffer(uint32_t number)
{
    uint32_t skip = number;
    for (uint32_t i = 0; i < CONFIG_MAX_BUFFERS; i++) {
        if (buffers.buffer[i].address == NULL || skip-- > 0)
            continue;
        data = buffers.buffer[i].address;
        data_bytes = buffers.buffer[i].size;
        buffer_number = i;
        return;
    }
    quoll_fail("there is no buffer for disk %u", number);
}

static void test_disk(uint32_t number)
{
    uint64_t signals = 0;
    block_client_find(&client, number);
    choose_buffer(number);
    if (block_client_wait(&client, &signals) == BLOCK_LINK_FAILED) {
        quoll_log("disk %u has failed: %s", number, client.reason);
        failures++;
        return;
    }
    const struct block_geometry *geometry = &client.geometry;
    quoll_log("disk %u \"%s\": %lu sectors, blocks of %u, at most %u, abilities %u", number,
              geometry->name, (unsigned long)geometry->sectors, geometry->physical_block,
              geometry->max_sectors, geometry->abilities);
    transfers_of_all_sizes();
    the_ends_of_the_disk();
    refusals();
    durability();
    many_in_flight();
    measure();
}

void component_main(void)
{
    block_buffers_find(&buffers);
    for (uint32_t i = 0; i < MAX_DISKS; i++) {
        if (quoll_find(QUOLL_ENVIRONMENT_MEMORY, quoll_numbered("disk", i)) != NULL)
            test_disk(i);
    }
    quoll_log("disk-test: %u failed", failures);
    quoll_machine_control(quoll_handle("machine", QUOLL_OBJECT_MACHINE), QUOLL_MACHINE_OFF);
}
