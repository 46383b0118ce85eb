/* Attacks on the disk that this VM shares with others: its edges, requests that change while they are served, and floods. */
#include "attack.h"
#include "virtio.h"

#define IN_FLIGHT 20u /* requests of three descriptors each */
#define BYTES 4096u
#define PATIENCE (10000 * MILLISECOND) /* with a disk, and a host, that are busy */

static struct queue queue __attribute__((aligned(4096)));
static struct virtio disk;

static bool start(struct outcome *outcome)
{
    uint64_t slot = virtio_find(VIRTIO_BLOCK);
    if (slot == 0) {
        outcome_hole(outcome, "this VM has no disk (nothing was attacked)", 0);
        return false;
    }
    virtio_start(&disk, slot, 0, &queue);
    return true;
}

void attack_disk_bounds(struct outcome *outcome)
{
    if (!start(outcome)) {
        return;
    }
    uint64_t count = block_sectors(disk.slot);
    const uint64_t sectors[] = {count,     count + 1,          count + 34,     count + 2048,
                                2 * count, UINT64_MAX,         UINT64_MAX - 7, UINT64_MAX / 512,
                                1UL << 55, (1UL << 55) - 1,    1UL << 63,      UINT32_MAX,
                                -count,    UINT64_MAX - count, 1UL << 32};
    for (uint32_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
        for (uint32_t bytes = SECTOR; bytes <= 65536; bytes *= 8) {
            for (uint32_t n = 0; n < bytes; n += 8) {
                *(uint64_t *)(void *)(scratch + n) = CANARY;
            }
            uint8_t answer = block_request(&disk, BLOCK_IN, sectors[i], scratch, bytes);
            outcome_add(outcome, answer == BLOCK_IOERR, "read beyond its partition", sectors[i]);
            outcome_add(outcome, *(uint64_t *)(void *)scratch == CANARY,
                        "got data from beyond its partition", sectors[i]);
            answer = block_request(&disk, BLOCK_OUT, sectors[i], scratch, bytes);
            outcome_add(outcome, answer == BLOCK_IOERR, "wrote beyond its partition", sectors[i]);
        }
    }
    /* Begins inside, ends outside. */
    for (uint32_t bytes = 2 * SECTOR; bytes <= 65536; bytes *= 2) {
        uint8_t answer = block_request(&disk, BLOCK_OUT, count - 1, scratch, bytes);
        outcome_add(outcome, answer == BLOCK_IOERR, "wrote across the end of its partition", bytes);
    }
    for (uint32_t type = 2; type < 40; type++) {
        if (type != BLOCK_FLUSH && type != BLOCK_GET_ID) {
            uint8_t answer = block_request(&disk, type, 0, scratch, SECTOR);
            outcome_add(outcome, answer == BLOCK_UNSUPPORTED, "an unknown request was served",
                        type);
        }
    }
    outcome_add(outcome, block_request(&disk, BLOCK_IN, count - 1, scratch, SECTOR) == BLOCK_OK,
                "its own last sector cannot be read", count - 1);
    outcome->shows = "VIRTIO_BLK_S_IOERR, nothing transferred; its own last sector still reads";
}

/* Rings and headers change while the device looks at them: CPU 1 writes random halfwords all over. */
void attack_disk_race(struct outcome *outcome)
{
    struct queue *shared = (struct queue *)(void *)scratch;
    uint64_t slot = virtio_find(VIRTIO_BLOCK), end = attack_end();
    bool both = helper_start(HELPER_CHANGE_SCRATCH);
    while (counter() < end) {
        struct block_header *header = (struct block_header *)(void *)(scratch + 8192);
        virtio_start(&disk, slot, 0, shared);
        for (uint16_t i = 0; i < 8; i++) {
            header->type = i % 2;
            header->sector = i;
            block_describe(&disk, (uint16_t)(i * 3), header, scratch + 16384, BYTES,
                           scratch + 12288);
            virtio_offer(&disk, (uint16_t)(i * 3));
            outcome->attempts++;
        }
    }
    helper_stop();
    outcome_add(outcome, both, "CPU 1 did not start", 0);
    if (start(outcome)) {
        outcome_add(outcome, block_request(&disk, BLOCK_GET_ID, 0, scratch, 20) == BLOCK_OK,
                    "the disk does not work any more", slot);
    }
    outcome->shows =
        "the model reads each field once, then checks its copy; after a reset the disk works";
}

static struct block_header headers[IN_FLIGHT];
static volatile uint8_t answers[IN_FLIGHT];

static void flood_with(uint32_t i, uint64_t sectors)
{
    static const uint8_t types[] = {BLOCK_OUT, BLOCK_OUT, BLOCK_IN, BLOCK_OUT, BLOCK_FLUSH};
    headers[i] = (struct block_header){types[random_number() % 5], 0,
                                       random_number() % (sectors - BYTES / SECTOR)};
    block_describe(&disk, (uint16_t)(i * 3), &headers[i], scratch + i % 8 * BYTES, BYTES,
                   &answers[i]);
    virtio_offer(&disk, (uint16_t)(i * 3));
}

/* As many requests as it can have, all the time. That the victim's disk goes on is its to say. */
void attack_disk_flood(struct outcome *outcome)
{
    if (!start(outcome)) {
        return;
    }
    uint64_t sectors = block_sectors(disk.slot), end = attack_end();
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        flood_with(i, sectors);
    }
    while (counter() < end || (outcome->attempts < IN_FLIGHT && counter() < end + PATIENCE)) {
        if (disk.queue->used_index == disk.seen) {
            continue;
        }
        uint32_t i = disk.queue->used[disk.seen % QUEUE_ENTRIES].id / 3;
        disk.seen++;
        outcome->attempts++;
        flood_with(i % IN_FLIGHT, sectors);
    }
    write32(disk.slot + VIRTIO_STATUS, 0);
    if (outcome->attempts < IN_FLIGHT) {
        outcome_hole(outcome, "the disk served too little (nothing was attacked)",
                     outcome->attempts);
    }
    outcome->shows = "rings are served in turn: the victim's requests came back in bounded time";
}
