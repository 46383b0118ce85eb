/*
 * PCI Express: enumeration through the ECAM and assignment of BARs; see pci.h.
 * Section numbers: PCI Express base specification 5.0, PCI-to-PCI bridge architecture 1.2.
 */
#include "pci.h"
#include <quoll/quoll.h>

enum configuration { /* 7.5.1 */
                     CONFIG_ID = 0x00,
                     CONFIG_COMMAND = 0x04,
                     CONFIG_CLASS = 0x08,
                     CONFIG_HEADER = 0x0c, /* header type in bits 23:16 */
                     CONFIG_BAR0 = 0x10,
                     CONFIG_BUSES = 0x18,  /* bridge: primary, secondary, subordinate */
                     CONFIG_MEMORY = 0x20, /* bridge: memory base and limit, in MiB << 4 */
                     CONFIG_CAPABILITIES = 0x34,
                     CONFIG_INTERRUPT = 0x3c,
};

#define BARS 6u
#define MOST_CAPABILITIES 48u          /* that fit a configuration space without overlap */
#define STATUS_CAPABILITIES (1u << 20) /* in the upper half of CONFIG_COMMAND */
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define COMMAND_NO_INTX (1u << 10)
#define COMMAND_BITS 0xffffu /* the upper half is status, cleared by writing ones */
#define HEADER_MULTIFUNCTION (1u << 23)
#define BAR_IO 1u
#define BAR_TYPE 6u
#define BAR_64_BIT 4u
#define BAR_FLAGS 0xfu
#define BRIDGE_GRANULE 0x100000ull
#define PLACE_BYTES 0x1000000ull /* each device's share of the window */
#define BAR_BYTES (PLACE_BYTES / 8)

struct search {
    struct pci_host *host;
    const struct pci_match *match;
    uint32_t skip; /* matching devices to pass by */
    bool found;
    struct pci_device *device;
    struct pci_device at; /* where the search is: its bridges are on the way */
    /* bit n: bus n. However many bridges lead to a bus, it is searched once. */
    uint32_t searched[8];
};

static uint32_t config_read(const uint8_t *configuration, uint32_t offset)
{
    return *(const volatile uint32_t *)(configuration + offset);
}

static void config_write(uint8_t *configuration, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(configuration + offset) = value;
}

static void change_command(uint8_t *configuration, uint32_t clear, uint32_t set)
{
    uint32_t command = config_read(configuration, CONFIG_COMMAND) & COMMAND_BITS;
    config_write(configuration, CONFIG_COMMAND, (command & ~clear) | set);
}

static uint8_t *configuration_of(const struct pci_host *host, uint32_t bus, uint32_t slot,
                                 uint32_t function)
{
    uint64_t offset = (uint64_t)bus << 20 | slot << 15 | function << 12;
    return offset + 4096 <= host->ecam_size ? host->ecam + offset : NULL;
}

static void search_bus(struct search *search, uint32_t bus);

/* The bus behind a bridge: as firmware numbered it, or the next free one. 0: there is none. */
static uint32_t secondary_bus(struct pci_host *host, uint8_t *bridge, uint32_t bus)
{
    uint32_t buses = config_read(bridge, CONFIG_BUSES);
    uint32_t secondary = buses >> 8 & 0xff;
    uint32_t subordinate = buses >> 16 & 0xff;
    if (secondary > bus && subordinate >= secondary) {
        if (host->next_bus <= subordinate)
            host->next_bus = subordinate + 1;
        return secondary;
    }
    if (host->next_bus > 0xff)
        return 0;
    secondary = host->next_bus++;
    config_write(bridge, CONFIG_BUSES, (buses & 0xff000000u) | 0xff0000u | secondary << 8 | bus);
    return secondary;
}

/* Everything below has been numbered: the bridge need forward no more than that. */
static void close_bus_range(const struct pci_host *host, uint8_t *bridge)
{
    uint32_t buses = config_read(bridge, CONFIG_BUSES);
    if ((buses >> 16 & 0xff) == 0xff)
        config_write(bridge, CONFIG_BUSES, (buses & 0xff00ffffu) | (host->next_bus - 1) << 16);
}

static void search_bridge(struct search *search, uint8_t *bridge, uint32_t bus, uint32_t slot)
{
    struct pci_device *at = &search->at;
    if (at->depth == PCI_MAX_DEPTH)
        return;
    uint32_t secondary = secondary_bus(search->host, bridge, bus);
    if (secondary == 0)
        return;
    at->bridge[at->depth] = bridge;
    at->bridge_slot[at->depth] = (uint8_t)slot;
    at->depth++;
    search_bus(search, secondary);
    at->depth--;
    close_bus_range(search->host, bridge);
}

static bool matches(const struct pci_match *match, uint32_t class_code, uint32_t id)
{
    return (match->class_code == 0 || match->class_code == class_code) &&
           (match->id == 0 || match->id == id);
}

static void search_function(struct search *search, uint8_t *configuration, uint32_t bus,
                            uint32_t slot, uint32_t function)
{
    uint32_t header = config_read(configuration, CONFIG_HEADER) >> 16 & 0x7f;
    if (header == 1)
        search_bridge(search, configuration, bus, slot);
    uint32_t id = config_read(configuration, CONFIG_ID);
    uint32_t class_code = config_read(configuration, CONFIG_CLASS) >> 8;
    if (header != 0 || !matches(search->match, class_code, id))
        return;
    if (search->found || search->skip-- > 0)
        return;
    search->found = true;
    *search->device = search->at;
    search->device->bus = (uint8_t)bus;
    search->device->slot = (uint8_t)slot;
    search->device->function = (uint8_t)function;
    search->device->vendor = (uint16_t)id;
    search->device->device = (uint16_t)(id >> 16);
    search->device->configuration = configuration;
}

static void search_slot(struct search *search, uint32_t bus, uint32_t slot)
{
    uint32_t functions = 1;
    for (uint32_t function = 0; function < functions; function++) {
        uint8_t *configuration = configuration_of(search->host, bus, slot, function);
        if (configuration == NULL || (config_read(configuration, CONFIG_ID) & 0xffff) == 0xffff)
            continue;
        if (function == 0 && (config_read(configuration, CONFIG_HEADER) & HEADER_MULTIFUNCTION))
            functions = 8;
        search_function(search, configuration, bus, slot, function);
    }
}

/* Depth first, which is bus order, and no deeper than PCI_MAX_DEPTH. It goes on after the device was found, so that
 * bridges have the same numbers whichever device is looked for. */
static void search_bus(struct search *search, uint32_t bus)
{
    uint32_t *word = &search->searched[bus / 32], bit = UINT32_C(1) << bus % 32;
    if ((*word & bit) != 0)
        return;
    *word |= bit;
    for (uint32_t slot = 0; slot < 32; slot++)
        search_slot(search, bus, slot);
}

bool pci_find(struct pci_host *host, const struct pci_match *match, uint32_t instance,
              struct pci_device *device)
{
    struct search search = {.host = host, .match = match, .skip = instance, .device = device};
    host->next_bus = 1;
    search_bus(&search, 0);
    return search.found;
}

/* How large a BAR is: the address bits that can be written (7.5.1.2.1). */
static uint64_t bar_size(uint8_t *configuration, uint32_t offset, bool wide, uint64_t address)
{
    config_write(configuration, offset, UINT32_MAX);
    uint64_t mask = config_read(configuration, offset) & ~BAR_FLAGS;
    if (wide) {
        config_write(configuration, offset + 4, UINT32_MAX);
        mask |= (uint64_t)config_read(configuration, offset + 4) << 32;
        config_write(configuration, offset + 4, (uint32_t)(address >> 32));
    } else {
        mask |= 0xffffffff00000000u;
    }
    config_write(configuration, offset, (uint32_t)address);
    return ~mask + 1;
}

static bool in_window(const struct pci_host *host, uint64_t address, uint64_t size)
{
    return size <= host->window_size && address >= host->window_physical &&
           address - host->window_physical <= host->window_size - size;
}

/* Where an unassigned BAR goes: each place has room for one device's. 0: the window is too small. */
static uint64_t choose_address(const struct pci_host *host, uint32_t place, uint32_t number,
                               uint64_t size)
{
    uint64_t first = (host->window_physical + PLACE_BYTES - 1) & ~(PLACE_BYTES - 1);
    uint64_t address = first + place * PLACE_BYTES + number * BAR_BYTES;
    bool possible =
        size <= BAR_BYTES && in_window(host, address, size) && address + size <= UINT32_MAX;
    return possible ? address : 0;
}

/* Makes a bridge forward [address, address + size) beside what it forwards already (bridge 1.2, 3.2.5.8). */
static void open_bridge(uint8_t *bridge, uint64_t address, uint64_t size)
{
    uint32_t memory = config_read(bridge, CONFIG_MEMORY);
    uint64_t base = (uint64_t)(memory & 0xfff0u) << 16;
    uint64_t limit = ((uint64_t)(memory >> 16 & 0xfff0u) << 16) + BRIDGE_GRANULE;
    uint64_t end = address + size;
    bool forwards = (config_read(bridge, CONFIG_COMMAND) & COMMAND_MEMORY) != 0 && base < limit;
    if (!forwards || address < base)
        base = address & ~(BRIDGE_GRANULE - 1);
    if (!forwards || end > limit)
        limit = (end + BRIDGE_GRANULE - 1) & ~(BRIDGE_GRANULE - 1);
    uint32_t upper = (uint32_t)((limit - BRIDGE_GRANULE) >> 16) & 0xfff0u;
    config_write(bridge, CONFIG_MEMORY, upper << 16 | ((uint32_t)(base >> 16) & 0xfff0u));
    change_command(bridge, 0, COMMAND_MEMORY | COMMAND_MASTER);
}

const char *pci_open(const struct pci_host *host, const struct pci_device *device, uint32_t place,
                     uint32_t number, struct pci_bar *bar)
{
    uint8_t *configuration = device->configuration;
    uint32_t offset = CONFIG_BAR0 + number * 4;
    if (number >= BARS)
        return "it names a register block that cannot exist";
    uint32_t low = config_read(configuration, offset);
    bool wide = (low & BAR_TYPE) == BAR_64_BIT;
    if ((low & BAR_IO) != 0 || (wide && number == BARS - 1))
        return "its registers are not in memory";

    /* A bus master stays one: a device that cannot write an answer would count as failed, and lose what it has to lose. */
    change_command(configuration, COMMAND_MEMORY, 0);
    uint64_t address = low & ~BAR_FLAGS;
    if (wide)
        address |= (uint64_t)config_read(configuration, offset + 4) << 32;
    uint64_t size = bar_size(configuration, offset, wide, address);
    if (size < 16)
        return "it has no registers";
    if (!in_window(host, address, size))
        address = choose_address(host, place, number, size);
    if (address == 0)
        return "the PCI memory window has no place for its registers";

    config_write(configuration, offset, (uint32_t)address);
    if (wide)
        config_write(configuration, offset + 4, (uint32_t)(address >> 32));
    for (uint32_t i = 0; i < device->depth; i++)
        open_bridge(device->bridge[i], address, size);
    change_command(configuration, 0, COMMAND_MEMORY);
    bar->registers = host->window + (address - host->window_physical);
    bar->size = size;
    return NULL;
}

uint32_t pci_config_read(const struct pci_device *device, uint32_t offset)
{
    return config_read(device->configuration, offset);
}

uint32_t pci_capability(const struct pci_device *device, uint32_t kind, uint32_t instance)
{
    if ((config_read(device->configuration, CONFIG_COMMAND) & STATUS_CAPABILITIES) == 0)
        return 0;
    uint32_t at = config_read(device->configuration, CONFIG_CAPABILITIES) & 0xfc;
    for (uint32_t count = 0; at >= 0x40 && count < MOST_CAPABILITIES; count++) {
        uint32_t header = config_read(device->configuration, at);
        if ((header & 0xff) == kind && instance-- == 0)
            return at;
        at = header >> 8 & 0xfc;
    }
    return 0;
}

void pci_bus_master(const struct pci_device *device, bool allowed)
{
    uint32_t set = allowed ? COMMAND_MASTER : COMMAND_NO_INTX;
    change_command(device->configuration, COMMAND_MASTER | COMMAND_NO_INTX, set);
}

void pci_silence(const struct pci_device *device)
{
    change_command(device->configuration, 0, COMMAND_NO_INTX);
}

/* Bridges rotate the four lines by the slot below them (bridge 1.2, 9.1). */
uint32_t pci_interrupt(const struct pci_device *device)
{
    uint32_t pin = config_read(device->configuration, CONFIG_INTERRUPT) >> 8 & 0xff;
    if (pin < 1 || pin > 4)
        return 4;
    uint32_t line = pin - 1 + device->slot;
    for (uint32_t i = 0; i < device->depth; i++)
        line += device->bridge_slot[i];
    return line % 4;
}

static const struct quoll_environment_entry *mapped(const char *name)
{
    const struct quoll_environment_entry *entry = quoll_find(QUOLL_ENVIRONMENT_MEMORY, name);
    if (entry == NULL || entry->address == 0)
        quoll_fail("the system image maps no memory \"%s\" for this driver", name);
    return entry;
}

void pci_host_find(struct pci_host *host)
{
    const struct quoll_environment_entry *ecam = mapped("registers");
    const struct quoll_environment_entry *window = mapped("window");
    *host = (struct pci_host){
        .ecam = (uint8_t *)(uintptr_t)ecam->address,
        .ecam_size = ecam->size,
        .window = (uint8_t *)(uintptr_t)window->address,
        .window_physical = window->physical,
        .window_size = window->size,
    };
}
