/*
 * PCI Express as far as one driver needs it: finding a device behind the host bridge it was given, giving the device a
 * place in the bridge's memory window, and letting it access memory.
 *
 * The driver has the ECAM and the window of the host bridge and nothing else; no firmware need have prepared anything, but what
 * firmware assigned within the window stays. Bridges are numbered and opened on the way. Several drivers of
 * one or several classes may share a host bridge: each has a place of its own in the window.
 * PCI addresses in the window are taken to be equal to physical addresses.
 */
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_MAX_DEPTH 8 /* bridges above a device */

struct pci_host {
    uint8_t *ecam; /* configuration space of bus 0 on */
    uint64_t ecam_size;
    uint8_t *window;
    uint64_t window_physical;
    uint64_t window_size;
    uint32_t next_bus; /* private: first bus number that no bridge has */
};

struct pci_device {
    uint8_t bus, slot, function;
    uint8_t depth;                  /* bridges above it */
    uint16_t vendor, device;        /* ids */
    uint8_t *configuration;         /* its 4096 bytes in the ECAM */
    uint8_t *bridge[PCI_MAX_DEPTH]; /* configurations of the bridges above, outermost first */
    uint8_t bridge_slot[PCI_MAX_DEPTH];
};

struct pci_bar {
    uint8_t *registers;
    uint64_t size;
};

/* Which devices a driver drives. */
struct pci_match {
    uint32_t class_code; /* base class, sub-class, interface as 0xBBSSII; 0: whatever */
    uint32_t id;         /* device id << 16 | vendor id; 0: whatever */
};

/* Takes host bridge, memory window and the way to configuration space from the environment ("registers", "window"); stops the
 * component when the system image lacks one. */
void pci_host_find(struct pci_host *host);
/* Finds device number `instance` (in bus order) of those that match. */
bool pci_find(struct pci_host *host, const struct pci_match *match, uint32_t instance,
              struct pci_device *device);
/* Places a memory BAR (0 to 5) in part `place` of the window, if firmware has not placed it, and opens the way to it. Whether the device may
 * write to memory stays as it was. NULL, or what prevents it. */
const char *pci_open(const struct pci_host *host, const struct pci_device *device, uint32_t place,
                     uint32_t number, struct pci_bar *bar);
/* The offset in configuration space of capability number `instance` of that kind; 0: there are not so many. A chain that does not
 * end is cut, so there are never more than a configuration space has room for. */
uint32_t pci_capability(const struct pci_device *device, uint32_t kind, uint32_t instance);
/* Bus, slot and function as one number. */
static inline uint32_t pci_place(const struct pci_device *device)
{
    return (uint32_t)device->bus << 16 | (uint32_t)device->slot << 8 | device->function;
}
uint32_t pci_config_read(const struct pci_device *device, uint32_t offset);
/* Whether the device may access memory and raise interrupts. */
void pci_bus_master(const struct pci_device *device, bool allowed);
/* For good: the device raises no legacy interrupt any more. */
void pci_silence(const struct pci_device *device);
/* Which of the host bridge's four legacy interrupts the device raises, or 4 when it has none. */
uint32_t pci_interrupt(const struct pci_device *device);

#endif
