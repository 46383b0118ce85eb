/*
 * What it takes until a disk answers a write: batches of writes, one notification for each batch, the CPU asleep
 * until all of it is answered. A plugin (tests/bench/path.c) counts between the marks: 3 to 5 are the driver's (virtio.c), 6: all of a batch
 * is answered; 16: batches of the first size follow, 17: of the second, and so on; 2: the end.
 */
#include "virtio.h"

#define PARTS_OF_CHAIN 3u
#define LARGEST 32u
#define QUEUE_SIZE VIRTIO_QUEUE_MOST
#define WARM_UP 4u /* rounds before the marks */
#define ROUNDS 24u

static struct block_header headers[LARGEST];
static volatile uint8_t answers[LARGEST];
static uint8_t data[LARGEST][BLOCK_BYTES] __attribute__((aligned(4096)));
static uint64_t next_sector;

static void describe_chain(uint32_t number, uint64_t sector, uint32_t bytes)
{
    uint32_t first = number * PARTS_OF_CHAIN;
    headers[number] = (struct block_header){.type = BLOCK_WRITE, .sector = sector};
    answers[number] = UINT8_MAX;
    virtio_describe(first, &headers[number], sizeof headers[number], VIRTIO_NEXT);
    virtio_describe(first + 1, data[number], bytes, VIRTIO_NEXT);
    virtio_describe(first + 2, &answers[number], 1, VIRTIO_DEVICE_WRITES);
    virtio_offer(first);
}

struct series {
    uint32_t writes; /* of a batch */
    uint32_t bytes;  /* of a write */
    bool again;      /* to blocks that the batch before wrote, too */
};

/* Returns how many were not answered well. */
static uint32_t write_batch(const struct series *series)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < series->writes; i++) {
        describe_chain(i, series->again ? i * BLOCK_SECTORS : next_sector, series->bytes);
        next_sector += series->again ? 0 : BLOCK_SECTORS;
    }
    virtio_round_trip(true);
    MARK(6);
    for (uint32_t i = 0; i < series->writes; i++) {
        wrong += answers[i] != 0;
    }
    return wrong;
}

static uint32_t write_batches(struct series series, uint32_t count)
{
    uint32_t wrong = 0;
    for (uint32_t round = 0; round < count; round++) {
        wrong += write_batch(&series);
    }
    return wrong;
}

void measure_acknowledgement(void)
{
    uint32_t wrong = 0;
    if (!virtio_open(VIRTIO_BLOCK, 0, QUEUE_SIZE)) {
        print("bench: no disk\n");
        return;
    }
    next_sector = LARGEST * BLOCK_SECTORS;
    wrong += write_batches((struct series){LARGEST, BLOCK_BYTES, false}, WARM_UP);
    wrong += write_batches((struct series){LARGEST, BLOCK_BYTES, true}, WARM_UP);
    MARK(16);
    wrong += write_batches((struct series){1, BLOCK_BYTES, false}, ROUNDS);
    MARK(17);
    wrong += write_batches((struct series){8, BLOCK_BYTES, false}, ROUNDS);
    MARK(18);
    wrong += write_batches((struct series){LARGEST, BLOCK_BYTES, false}, ROUNDS);
    MARK(19);
    wrong += write_batches((struct series){1, BLOCK_BYTES, true}, ROUNDS);
    MARK(20);
    wrong += write_batches((struct series){1, BLOCK_BYTES / BLOCK_SECTORS, true}, ROUNDS);
    MARK(2);
    result("acknowledge_errors", wrong, 1);
    virtio_close();
}
