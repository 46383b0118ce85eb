/*
 * PCI Express as far as one driver needs it: finding a device behind the host bridge it was given, giving the device a
 * place in the bridge's memory window, and letting it access memory.
 *
 * The driver has the ECAM and the window of the host bridge and nothing else; no firmware need have prepared anything, but what
 * firmware assigned within the window stays. Bridges are numbered and opened on the way. Several drivers of
 * one class may share a host bridge: each names its own instance, and the places they choose do not overlap.
 * PCI addresses in the window are taken to be equal to physical addresses.
 */
#ifndef NVME_PCI_H
#define NVME_PCI_H

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

/* Finds device number `instance` (in bus order) of a class: base class, sub-class, interface as 0xBBSSII. */
bool pci_find(struct pci_host *host, uint32_t class_code, uint32_t instance,
              struct pci_device *device);
/* Places memory BAR 0 and opens the way to it. NULL, or what prevents it. */
const char *pci_open(const struct pci_host *host, const struct pci_device *device,
                     uint32_t instance, struct pci_bar *bar);
/* Whether the device may access memory and raise interrupts. */
void pci_bus_master(const struct pci_device *device, bool allowed);
/* For good: the device raises no legacy interrupt any more. */
void pci_silence(const struct pci_device *device);
/* Which of the host bridge's four legacy interrupts the device raises, or 4 when it has none. */
uint32_t pci_interrupt(const struct pci_device *device);

#endif
