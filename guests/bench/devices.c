/* Round trips through virtio devices: one request at a time in one queue, from its notification to the guest's handler and back. */
#include "virtio.h"

#define QUEUE_SIZE 8u
#define ROUNDS 300u
#define SECTORS_USED 2048u /* of the disk, from its start */

static struct block_header header;
static volatile uint8_t status;
static uint8_t data[BLOCK_BYTES] __attribute__((aligned(4096)));

static void round_trip(bool asleep)
{
    virtio_offer(0);
    virtio_round_trip(asleep);
}

static void measure_entropy(const char *name, bool asleep)
{
    if (!virtio_open(VIRTIO_ENTROPY, 0, QUEUE_SIZE)) {
        return;
    }
    virtio_describe(0, data, 8, VIRTIO_DEVICE_WRITES);
    round_trip(asleep);
    uint64_t start = counter();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        round_trip(asleep);
    }
    result(name, counter() - start, ROUNDS);
    virtio_close();
}

/* The CPU sleeps while the disk works, for as long as that takes; a plugin counts the instructions. */
static void measure_disk(const char *name, uint32_t number, uint32_t type)
{
    uint64_t start = 0;
    uint32_t wrong = 0;
    if (!virtio_open(VIRTIO_BLOCK, number, QUEUE_SIZE)) {
        return;
    }
    virtio_describe(0, &header, sizeof header, VIRTIO_NEXT);
    virtio_describe(1, data, sizeof data,
                    type == BLOCK_READ ? VIRTIO_NEXT | VIRTIO_DEVICE_WRITES : VIRTIO_NEXT);
    virtio_describe(2, &status, 1, VIRTIO_DEVICE_WRITES);
    for (uint32_t i = 0; i <= ROUNDS; i++) {
        if (i == 1) {
            start = counter(); /* the first is not counted */
            MARK(1);
        }
        header.type = type;
        header.sector = i * BLOCK_SECTORS % SECTORS_USED;
        status = UINT8_MAX;
        round_trip(true);
        wrong += status != 0;
    }
    MARK(2);
    result(wrong == 0 ? name : "disk_errors", counter() - start, ROUNDS);
    virtio_close();
}

void measure_entropy_device(void)
{
    measure_entropy("device_irq_running", false);
    measure_entropy("device_irq_sleeping", true);
}

void measure_entropy_one_core(void)
{
    measure_entropy("device_irq_one_core", true);
}

void measure_disks(void)
{
    measure_disk("block_write", 0, BLOCK_WRITE);
    measure_disk("block_read", 0, BLOCK_READ);
    measure_disk("rapilog_write", 1, BLOCK_WRITE);
    measure_disk("rapilog_read", 1, BLOCK_READ);
}
