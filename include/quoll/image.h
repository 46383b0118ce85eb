/*
 * The system image: one validated table from which the kernel sets everything up at boot.
 *
 * Written by the host tool from a system description, handed to the kernel as the initrd. All
 * numbers are little-endian. Tables are arrays of fixed-size records that refer to each other by index; file
 * offsets count from the start of the header. The kernel checks every index, range and overlap
 * before it acts on any of it (kernel/image.c).
 *
 * Physical addresses are not in the image: RAM regions are placed, and devices found, at boot.
 */
#ifndef QUOLL_IMAGE_H
#define QUOLL_IMAGE_H

#include <quoll/abi.h>

#define IMAGE_MAGIC 0x676d696c6c6f7571ULL /* "quollimg" */
#define IMAGE_VERSION 1u
#define IMAGE_NONE UINT32_MAX

/* TABLE(name, limit): in this order in image_header.tables; records are struct image_<name> */
#define IMAGE_TABLES(TABLE)                                                                        \
    TABLE(component, QUOLL_MAX_COMPONENTS)                                                         \
    TABLE(thread, QUOLL_MAX_THREADS)                                                               \
    TABLE(device, QUOLL_MAX_DEVICES)                                                               \
    TABLE(region, QUOLL_MAX_REGIONS)                                                               \
    TABLE(mapping, QUOLL_MAX_MAPPINGS)                                                             \
    TABLE(object, QUOLL_MAX_OBJECTS)                                                               \
    TABLE(channel, QUOLL_MAX_CHANNELS)                                                             \
    TABLE(irq, QUOLL_MAX_IRQS)                                                                     \
    TABLE(vm, QUOLL_MAX_VMS)                                                                       \
    TABLE(vcpu, QUOLL_MAX_VCPUS)                                                                   \
    TABLE(doorbell, QUOLL_MAX_DOORBELLS)                                                           \
    TABLE(line, QUOLL_MAX_LINES)

enum image_table_index {
#define TABLE(name, limit) IMAGE_TABLE_##name,
    IMAGE_TABLES(TABLE)
#undef TABLE
        IMAGE_TABLE_COUNT
};

struct image_table {
    uint32_t offset; /* bytes from the header, multiple of 8 */
    uint32_t count;  /* records */
};

struct image_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size;  /* sizeof(struct image_header) */
    uint64_t total_size;   /* bytes of the whole image */
    uint32_t checksum;     /* CRC-32 (IEEE 802.3) of the image with this field as zero, up to
                             checked_size */
    uint32_t cores;        /* cores that the description uses; logical cores 0..cores-1 */
    uint64_t checked_size; /* bytes covered by the checksum: header, tables and component contents;
                              large guest payloads after it are left to their guests' loaders */
    uint32_t log_channel; /* raised when the kernel log has grown, or IMAGE_NONE; see quoll/log.h */
    uint32_t reserved;
    char label[64]; /* name of the system, for the boot message */
    struct image_table tables[IMAGE_TABLE_COUNT];
};

struct image_component {
    char name[QUOLL_NAME_SIZE];
    uint32_t first_object, object_count; /* its object table: handle = index - first_object */
    uint32_t environment;                /* region that receives its environment */
    uint32_t fault_channel;              /* raised when a thread of it faults, or IMAGE_NONE */
};

struct image_thread {
    uint32_t component;
    uint32_t core;     /* logical core */
    uint32_t priority; /* 0 (lowest) .. 255 */
    uint32_t flags;    /* IMAGE_THREAD_* */
    uint64_t budget;   /* microseconds per period, 1..period; equal: may use all time */
    uint64_t period;   /* microseconds */
    uint64_t entry;    /* address of its first instruction; x0 = argument, x1 = environment */
    uint64_t stack;    /* initial stack pointer, multiple of 16 */
    uint64_t argument; /* the thread's number in its component, 0 first */
};
#define IMAGE_THREAD_SUSPENDED 1u /* starts suspended */

/* A device that the boot device tree must have. */
struct image_device {
    char compatible[48]; /* e.g. "arm,pl011" */
    uint32_t instance;   /* 0: the first enabled node with that compatible string */
    uint32_t reserved;
};

enum image_region_kind {
    IMAGE_REGION_RAM,         /* zeroed memory; content, if any, is copied to its start */
    IMAGE_REGION_IMAGE,       /* the image's own bytes, in place, read-only; page-aligned */
    IMAGE_REGION_REGISTERS,   /* device: its `reg` entry number device_index */
    IMAGE_REGION_WINDOW,      /* PCI host bridge: its 32-bit memory window (from `ranges`) */
    IMAGE_REGION_DEVICE_TREE, /* the boot device tree, read-only */
    IMAGE_REGION_KERNEL_LOG,  /* the kernel's log rings (quoll/log.h), read-only */
    IMAGE_REGION_KIND_COUNT
};

/* RAM without content: a reset of the machine that keeps its memory leaves it as it is, as far as the same image is booted again;
 * otherwise it begins zeroed like all RAM. */
#define IMAGE_REGION_KEEP 1u

struct image_region {
    char name[QUOLL_NAME_SIZE];
    uint64_t size;   /* bytes, multiple of the page; 0 for kinds whose size the machine tells */
    uint32_t kind;   /* enum image_region_kind */
    uint32_t device; /* REGISTERS, WINDOW: index into devices; else IMAGE_NONE */
    uint32_t device_index; /* REGISTERS: number of the reg entry */
    uint32_t flags;        /* IMAGE_REGION_KEEP or 0 */
    uint64_t content_offset, content_size; /* RAM: initial content; IMAGE: where it is */
};

enum image_space_kind { IMAGE_SPACE_COMPONENT, IMAGE_SPACE_VM };

struct image_mapping {
    char name[QUOLL_NAME_SIZE]; /* the name in the component's environment; empty: not told */
    uint32_t space_kind;        /* enum image_space_kind */
    uint32_t space;             /* component or VM index */
    uint32_t region;
    uint32_t rights;  /* enum quoll_rights; 0: not mapped, only told (physical address for DMA) */
    uint64_t address; /* component: VA; VM: guest-physical; multiple of the page */
    uint64_t offset;  /* into the region */
    uint64_t size;    /* 0: to the end of the region (as known at boot) */
};

struct image_object {
    char name[QUOLL_NAME_SIZE]; /* the name in the component's environment */
    uint32_t type;              /* enum quoll_object_type */
    uint32_t index;             /* into the table of that type; RECEIVE: into channels or, with
                                   argument 1, into irqs; MACHINE: 0; NONE: ignored */
    uint32_t argument;
    uint32_t reserved;
};

struct image_channel { /* raises `bit` of `thread` */
    uint32_t thread;
    uint32_t bit; /* 0..61 */
};

struct image_irq {
    uint32_t device;
    uint32_t number; /* which of the device's interrupts; for a PCI host bridge: 0..3, the legacy
                          interrupt that INTA of slot `number` is wired to */
    uint32_t thread; /* receives `bit`; the interrupt is routed to its core */
    uint32_t bit;
};

struct image_vm {
    char name[QUOLL_NAME_SIZE];
    uint32_t component;                 /* its VMM */
    uint32_t interrupts;                /* region (one page) holding struct quoll_vm_interrupts */
    uint32_t first_vcpu, vcpu_count;    /* vCPU n has MPIDR affinity 0.0.0.n */
    uint64_t paged_address, paged_size; /* range for map/unmap/protect; size 0: none */
};

struct image_vcpu {
    uint32_t vm;
    uint32_t thread; /* its handler; the vCPU runs on that thread's core, priority and budget */
    uint32_t page;   /* region (one page) holding struct quoll_vcpu_page */
    uint32_t reserved;
};

/* A guest store to [address, address + size) becomes a signal and never reaches the VMM. */
struct image_doorbell {
    uint32_t vm;
    uint32_t channel;
    uint64_t address; /* guest-physical, in a page that is not mapped in the VM */
    uint32_t size;    /* 1, 2, 4 or 8: only stores of this size to exactly this address match */
    uint32_t reserved;
};

struct image_line { /* signal on it makes this SPI pending */
    uint32_t vm;
    uint32_t intid; /* 32..287 */
};

_Static_assert(sizeof(struct image_header) % 8 == 0, "tables start aligned");
_Static_assert(sizeof(struct image_thread) == 56, "record layout");
_Static_assert(sizeof(struct image_region) == 72, "record layout");
_Static_assert(sizeof(struct image_mapping) == 72, "record layout");

#endif
