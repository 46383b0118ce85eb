/*
 * A system description: what the YAML file says, checked, with every default filled in.
 *
 * description_load reports all mistakes that can be seen in the file alone (keys, types, names that refer to
 * nothing, cores and budgets beyond the machine's). What depends on other files or on the
 * image's layout is found by assemble.h.
 *
 * The structures keep the node that each thing came from, so that later messages can name its place.
 */
#ifndef TOOL_DESCRIPTION_H
#define TOOL_DESCRIPTION_H

#include "document.h"

#include <quoll/abi.h>
#include <quoll/config.h>

enum description_limit {
    DESCRIPTION_MAX_DISKS = 4,
    DESCRIPTION_MAX_COMPONENTS = 24,
    DESCRIPTION_MAX_THREADS = 16, /* of one component of the user's */
    DESCRIPTION_MAX_ITEMS = 16,   /* memory areas, channels, devices of one such component */
    DESCRIPTION_MAX_KILLS = 16,
    DESCRIPTION_NAME = 15, /* longest name; prefixes and numbers are added to it */
};

/* When and how long a thread may run. */
struct schedule {
    uint32_t core;
    uint32_t priority;
    uint64_t budget, period; /* us; equal: all the time there is */
};

struct machine {
    const char *board, *cpu;
    uint32_t cores;
    uint64_t memory;
};

struct disk {
    struct node node;
    const char *name;
    bool virtio;              /* a virtio block device, not an NVMe controller */
    uint32_t instance;        /* which of them, by bus order */
    const char *file;         /* path or nbd+unix: URI for `quoll run`, or NULL */
    const char *cache;        /* QEMU's word */
    const char *like;         /* measurements: as slow as this kind of disk, or NULL */
    uint32_t dilation_tenths; /* times this */
    bool timed_reads;         /* else reads take no time */
};

struct rapilog_settings {
    struct node node;          /* absent: no RapiLog */
    uint64_t hold_up, reserve; /* ns */
    uint64_t report;           /* ns, 0: none */
    uint64_t memory, limit;    /* bytes */
    bool unsafe_no_drain, restart, survives_reset;
    enum rapilog_mode mode;
    const char *dump;   /* GPT label of the dump area, or NULL */
    uint32_t dump_disk; /* index into description.disks */
    struct node dump_node;
    struct schedule schedule;
};

/* A disk as a VM or a component sees it. */
struct volume_use {
    struct node node;
    uint32_t disk;     /* index into description.disks */
    const char *label; /* GPT label; "": the whole disk */
    const char *serial;
    uint64_t buffer; /* bytes of its data buffer */
    bool read_only, write_through, rapilog;
};

struct vm {
    struct node node;
    const char *name;
    uint64_t memory;
    uint64_t paged; /* bytes behind the memory that a VMM of the user's own maps; 0: none */
    const char *kernel, *initrd, *command_line; /* initrd NULL: none */
    struct node kernel_node, initrd_node;
    uint32_t vcpu_count;
    uint32_t vcpu_core[QUOLL_MAX_VCPUS_PER_VM];
    struct schedule vcpus;   /* core unused */
    struct schedule devices; /* the device thread */
    struct volume_use volumes[VMM_MAX_DISKS];
    uint32_t volume_count;
    struct rapilog_settings rapilog;
    const char *seed; /* NULL: a new one for every image */
    bool restart;     /* of its VMM */
};

struct memory_area { /* of a component of the user's */
    const char *name;
    uint64_t size;
    const char *shared; /* name in `shared_memory`, or NULL */
    bool writable;
};

struct channel_use {
    struct node node;
    const char *name, *to; /* `to` names a component */
    const char *as;        /* how the receiver calls it */
    uint32_t thread;       /* the receiver's */
};

struct device_use {
    const char *name, *compatible;
    uint32_t instance;
    bool interrupt;
};

struct component {
    struct node node;
    const char *name, *elf;
    struct node elf_node;
    struct schedule threads[DESCRIPTION_MAX_THREADS];
    uint32_t thread_count;
    struct memory_area memory[DESCRIPTION_MAX_ITEMS];
    uint32_t memory_count;
    struct channel_use channels[DESCRIPTION_MAX_ITEMS];
    uint32_t channel_count;
    struct device_use devices[DESCRIPTION_MAX_ITEMS];
    uint32_t device_count;
    struct volume_use volumes[VMM_MAX_DISKS];
    uint32_t volume_count;
    struct rapilog_settings rapilog;
    bool restart;                                /* is begun anew when it fails */
    bool machine;                                /* may power the machine off */
    const char *controls[DESCRIPTION_MAX_ITEMS]; /* components whose threads it may suspend */
    uint32_t control_count;
};

/* SERVICE(name, priority): Quoll's own components and their default priorities */
#define SERVICES(SERVICE)                                                                          \
    SERVICE(powerkey, 220)                                                                         \
    SERVICE(powerline, 220)                                                                        \
    SERVICE(supervisor, 215)                                                                       \
    SERVICE(nvme, 200)                                                                             \
    SERVICE(virtio_blk, 200)                                                                       \
    SERVICE(timing, 198)                                                                           \
    SERVICE(volume, 195)                                                                           \
    SERVICE(pl011, 185)                                                                            \
    SERVICE(console, 180)

enum service {
#define SERVICE(name, priority) SERVICE_##name,
    SERVICES(SERVICE)
#undef SERVICE
        SERVICE_COUNT
};
extern const char *const service_names[SERVICE_COUNT + 1];

/* What signals the loss of mains; several sources add up. */
enum power_gpio { POWER_GPIO_NONE, POWER_GPIO_KEY, POWER_GPIO_HIGH, POWER_GPIO_LOW };
#define NO_POWER_VM UINT32_MAX

struct power_settings {
    struct node node;
    enum power_gpio gpio; /* HIGH, LOW: the level of line `gpio_line` while the mains are lost */
    uint32_t gpio_line;
    const char *interrupt;     /* `compatible` of a device tree node, or NULL: */
    uint32_t instance, number; /* which such node, which of its interrupts */
    uint32_t vm;               /* index into description.vms, or NO_POWER_VM */
    bool vm_goes_on;           /* at loss of mains */
    uint64_t off_after;        /* ns */
};

bool power_is_signalled(const struct power_settings *power);

struct kill { /* tests only */
    struct node node;
    const char *component;
    uint32_t times;
    uint64_t after, every; /* ns */
};

struct shared_memory {
    const char *name;
    uint64_t size;
};

struct description {
    struct document document;
    struct report *report;
    const char *name;
    struct machine machine;
    struct power_settings power;
    struct disk disks[DESCRIPTION_MAX_DISKS];
    uint32_t disk_count;
    struct vm vms[QUOLL_MAX_VMS];
    uint32_t vm_count;
    struct component components[DESCRIPTION_MAX_COMPONENTS];
    uint32_t component_count;
    struct shared_memory shared[DESCRIPTION_MAX_ITEMS];
    uint32_t shared_count;
    struct schedule services[SERVICE_COUNT];
    bool restart; /* components that fail are restarted */
    struct kill kills[DESCRIPTION_MAX_KILLS];
    uint32_t kill_count;
};

/* The result holds pointers into itself and is freed by description_free, also after a failure.
 * false: mistakes were reported. `text` instead of the file's content when it is not NULL. */
bool description_load(struct description *description, const char *path, const char *text,
                      struct report *report);
void description_free(struct description *description);

/* The file that a path in the description means: ${QUOLL_BUILD}, ${QUOLL_TARGET} and
 * ${QUOLL_ROOT} are replaced, the rest is relative to the
 * description's folder. URIs stay as they are. To be freed by the caller. */
char *description_path(const struct description *description, const char *path);

#endif
