/*
 * Hostile PCI devices and bridges: configuration space that says anything, and something else at each look.
 *
 * What must hold: the search touches nothing outside the configuration space that it was given and ends soon; the registers of a device that
 * is found lie in the window.
 *
 * Input: 1 byte: instance looked for and window's size, bit 5: every function of all buses but the last is a bridge to the next; 1 byte: how many bytes of changes between reads follow; these; then
 * functions: bus, slot and function (2 bytes), what it is (1 byte), three words of it (place, value).
 */
#include "calls.h"
#include "hostile.h"
#include "pci.h"

#define BUSES 4u
#define ECAM_BYTES (BUSES << 20)
#define WINDOW_PHYSICAL 0x10000000ull
#define WINDOW_BYTES (64u << 20)
#define CLASS 0x010802u
#define HEADER_BYTES 256u
#define MOST_FUNCTIONS 32u

static uint8_t *ecam;
static uint8_t *written[MOST_FUNCTIONS];
static uint32_t written_count;

static void put(uint8_t *function, uint32_t place, uint32_t value)
{
    memcpy(function + place, &value, 4);
}

static void add_function(struct input *input)
{
    uint32_t where = input_16(input) % (BUSES << 8);
    uint8_t kind = input_8(input), *function = ecam + ((size_t)where << 12);
    if (written_count == MOST_FUNCTIONS)
        return;
    written[written_count++] = function;
    memset(function, 0, HEADER_BYTES);
    put(function, 0x00, 0x00101b36);
    put(function, 0x04, 1u << 20);
    put(function, 0x08, CLASS << 8);
    put(function, 0x34, 0x40);
    put(function, 0x40, 0x5009);
    put(function, 0x50, 9);
    put(function, 0x0c, (kind & 1 ? 1u << 16 : 0) | (kind & 2 ? 1u << 23 : 0));
    put(function, 0x10, kind & 4 ? 0xfff00004u : 0xffffc000u);
    put(function, 0x14, kind & 8 ? UINT32_MAX : 0);
    if (kind & 1)
        put(function, 0x18, (uint32_t)(kind >> 4 & 3) << 16 | (uint32_t)(kind >> 6) << 8);
    put(function, 0x3c, (uint32_t)(kind >> 4) << 8);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t place = input_8(input);
        if (place != 0)
            put(function, place & ~3u, input_32(input));
    }
}

/* A switch whose every port leads to the same next bus: a search that follows each of them never ends. */
static void all_bridges(bool present)
{
    for (uint32_t where = 0; where < (BUSES - 1) << 8; where++) {
        uint8_t *function = ecam + ((size_t)where << 12);
        uint32_t bus = where >> 8;
        memset(function, present ? 0 : 0xff, HEADER_BYTES);
        if (!present)
            continue;
        put(function, 0x0c, 1u << 16 | 1u << 23);
        put(function, 0x18, (BUSES - 1) << 16 | (bus + 1) << 8 | bus);
    }
}

static void look(uint8_t choice)
{
    struct pci_host host = {.ecam = ecam,
                            .ecam_size = ECAM_BYTES - (choice & 0x40 ? 4096u : 0),
                            .window = (uint8_t *)(uintptr_t)0x7000000000,
                            .window_physical = WINDOW_PHYSICAL,
                            .window_size = choice & 0x80 ? 65536 : WINDOW_BYTES};
    const struct pci_match match = {.class_code = choice & 0x10 ? 0 : CLASS,
                                    .id = choice & 8 ? 0x00101b36 : 0};
    struct pci_device device;
    struct pci_bar bar;
    if (!pci_find(&host, &match, choice % 4, &device))
        return;
    HOLDS(device.configuration >= ecam && device.configuration + 4096 <= ecam + host.ecam_size);
    HOLDS(device.depth <= PCI_MAX_DEPTH && pci_interrupt(&device) <= 4);
    uint32_t capability, count = 0;
    while ((capability = pci_capability(&device, 9, count)) != 0) {
        HOLDS(capability <= 252 && ++count < 64);
        pci_config_read(&device, capability);
    }
    for (uint32_t number = 0; number < 7; number++) {
        if (pci_open(&host, &device, choice % 4, number, &bar) != NULL)
            continue;
        uint64_t offset = (uint64_t)(bar.registers - host.window);
        HOLDS(bar.size >= 16 && bar.size <= host.window_size &&
              offset <= host.window_size - bar.size);
    }
    pci_bus_master(&device, true);
    pci_silence(&device);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    if (ecam == NULL) {
        ecam = hostile_allocate(ECAM_BYTES);
        memset(ecam, 0xff, ECAM_BYTES);
    }
    uint8_t choice = input_8(&input);
    struct input changes = input_part(&input, input_8(&input));
    if (choice & 0x20)
        all_bridges(true);
    for (written_count = 0; input_more(&input);)
        add_function(&input);
    hostile_begin(changes);
    for (uint32_t i = 0; i < written_count && i < HOSTILE_AREAS; i++)
        hostile_area(written[i], HEADER_BYTES);
    look(choice);
    for (uint32_t i = 0; i < written_count; i++)
        memset(written[i], 0xff, HEADER_BYTES);
    if (choice & 0x20)
        all_bridges(false);
    return 0;
}
