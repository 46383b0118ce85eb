/*
 * A hostile guest against the virtio entropy device; guest memory changes between any two reads.
 *
 * What must hold: nothing outside the guest's RAM is touched; each chain is given back at once and exactly once; one
 * notification causes bounded work.
 *
 * Input: byte 0: queue size; 1 byte: how many bytes of changes between reads follow; these; then steps of the driver.
 */
#include "calls.h"
#include "driver.h"
#include "virtio/entropy.h"

static struct virtio_entropy entropy;
static struct driver driver;
static struct random generator;
static uint64_t made;

/* Instead of vmm/random.c's, which fuzz_psci.c has: numbers that cost little. */
void random_bytes(struct random *random, void *bytes, size_t size)
{
    HOLDS(random == &generator);
    memset(bytes, 0x5a, size);
    made += size;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    memset(&entropy, 0, sizeof(entropy));
    virtio_entropy_start(&entropy, &generator);
    hostile_begin(input_part(&input, input_8(&input)));
    driver_start(&driver, &entropy.device);
    driver_set_up(&driver, entropy.device.features, 1u << (choice & 7));
    while (input_more(&input)) {
        made = 0;
        driver_step(&driver, &input);
        HOLDS(made <= (uint64_t)VIRTIO_TURNS * 4096);
        driver_check_queue(&entropy.device.queue[0], 0);
    }
    return 0;
}
