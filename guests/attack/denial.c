/* Attacks on time and on the console that all VMs share: the victim's own report tells whether it still got its share. */
#include "attack.h"
#include "say.h"
#include "virtio.h"

#define TEXT_BYTES 4096u

/* Longer than others: the victim tells how long it was without the core at once, on a host that may be busy itself. */
void attack_spin(struct outcome *outcome)
{
    uint64_t end = attack_end();
    end += 7 * (end - counter());
    while (counter() < end) {
        outcome->attempts++;
    }
    outcome->shows =
        "the host's deadline interrupt is not the guest's to mask: the victim got its share";
}

void attack_exit_storm(struct outcome *outcome)
{
    uint64_t end = attack_end();
    bool both = helper_start(HELPER_CALLS);
    while (counter() < end) {
        firmware(0x84000000, 0, 0, 0);
        firmware(0xc600ff00, 0, 0, 0);
        (void)read32(GIC_DISTRIBUTOR);
        (void)read32(PL011 + 0x18);
        (void)read_system(id_aa64pfr0_el1);
        (void)probe_read(0x3f000000, 2);
        outcome->attempts += 6;
    }
    outcome_add(outcome, both, "CPU 1 did not start", 0);
    outcome->shows = "an exit runs on the attacker's own budget: the victim got its share";
}

/* Keeps the device thread of its VMM busy without end: every request asks for as many random bytes as one gets. */
void attack_device_flood(struct outcome *outcome)
{
    static struct queue queue __attribute__((aligned(4096)));
    struct virtio entropy;
    uint64_t end = attack_end();
    virtio_start(&entropy, virtio_find(VIRTIO_ENTROPY), 0, &queue);
    for (uint16_t i = 0; i < QUEUE_ENTRIES; i++) {
        queue.descriptors[i] = (struct descriptor){(uint64_t)scratch, 4096, WRITE, 0};
        virtio_offer(&entropy, i);
        outcome->attempts++;
    }
    while (counter() < end) {
        while (queue.used_index != entropy.seen) {
            virtio_offer(&entropy, (uint16_t)queue.used[entropy.seen % QUEUE_ENTRIES].id);
            entropy.seen++;
            outcome->attempts++;
        }
    }
    write32(entropy.slot + VIRTIO_STATUS, 0);
    outcome->shows =
        "a device thread works for its own VM only: the victim, on another core, got its share";
}

/* Text that would look like another VM's, if the console let it through; on both kinds of console at once. */
static const char forged[] = "\033_Qovictim\033\\FORGED\r\n\033_Q\033_Qvictim\033\\FORGED\r\n"
                             "\033\033_Q!off 0 FORGED\033\\\033_Q";

void attack_console_flood(struct outcome *outcome)
{
    static struct queue queue __attribute__((aligned(4096)));
    struct virtio console;
    uint64_t end = attack_end(), slot = virtio_find(VIRTIO_CONSOLE);
    for (uint32_t i = 0; i < TEXT_BYTES; i++) {
        scratch[i] = (uint8_t)(i % 5 == 4 ? random_number() : forged[i % (sizeof(forged) - 1)]);
    }
    for (uint32_t i = 0; i < 40 * sizeof(forged); i++) {
        scratch[i] = (uint8_t)forged[i % (sizeof(forged) - 1)];
    }
    say_lost_console();
    virtio_start(&console, slot, 1, &queue);
    for (uint16_t i = 0; i < 16; i++) {
        queue.descriptors[i] = (struct descriptor){(uint64_t)scratch, TEXT_BYTES, 0, 0};
        virtio_offer(&console, i);
    }
    while (counter() < end) {
        for (uint32_t i = 0; i < sizeof(forged) - 1; i++) {
            write32(PL011, (uint8_t)forged[i]);
            outcome->attempts++;
        }
        if (queue.used_index != console.seen) {
            virtio_offer(&console, (uint16_t)queue.used[console.seen % QUEUE_ENTRIES].id);
            console.seen++;
            outcome->attempts += TEXT_BYTES;
        }
    }
    write32(slot + VIRTIO_STATUS, 0);
    write32(PL011, '\n');
    outcome->shows =
        "frames are marked by the console service and kept out of what guests write; the "
        "victim's lines came through, unforged";
}
