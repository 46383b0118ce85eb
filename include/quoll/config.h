/*
 * What the host tool tells each component about its job: one structure per component type, in a read-only
 * region named "config". All of it comes from the system description.
 *
 * Names in the environment, by convention ("N" decimal, from 0):
 *
 *   block server (driver, volume service, filter), per client N:
 *       memory "clientN" (struct block_link), receive "clientN", channel "clientN"
 *   block client, per server N:
 *       memory "diskN" (struct block_link), receive "diskN", channel "diskN"
 *   buffers: memory "bufferB" where mapped, B the system-wide buffer number; its `physical` is the DMA address
 *   stream server and client: memory, receive and channel "streamN" (server side), "console" (client side)
 *   every component: memory "environment", "config"
 */
#ifndef QUOLL_CONFIG_H
#define QUOLL_CONFIG_H

#include <quoll/abi.h>

#define CONFIG_MAX_CLIENTS 16
#define CONFIG_MAX_POWER_SOURCES 4
#define CONFIG_MAX_BUFFERS 64 /* so a set of buffers is one 64-bit mask */

/* drivers/nvme and drivers/virtio_blk: memory "registers" (ECAM), "window" (32-bit MMIO window), "device-tree", "queues"
 * (RAM for queues and tables, of the size below), irq "intx0".."intx3" with receives of the same
 * names. "bufferB" entries of a driver are not mapped (rights 0, address 0): it only needs their
 * physical addresses. */
#define NVME_QUEUES_BYTES 327680u
#define VIRTIO_BLK_QUEUES_BYTES 32768u
struct disk_config {
    uint32_t client_count;
    uint32_t instance; /* which of the driver's devices, by bus order */
    uint32_t place;    /* which part of the memory window is its own */
    uint32_t reserved;
    uint64_t allowed_buffers[CONFIG_MAX_CLIENTS];
};

#define VOLUME_BUFFER_BYTES 65536u
/* services/volume: server for `client_count` clients, client of disk 0 */
struct volume_config {
    uint32_t client_count;
    uint32_t buffer; /* number of its own mapped buffer "bufferB" of VOLUME_BUFFER_BYTES */
    struct {
        char label[40];           /* GPT partition name; empty: the whole disk */
        uint64_t allowed_buffers; /* mask of buffer numbers this client may name */
        uint32_t read_only;
        uint32_t reserved;
    } client[CONFIG_MAX_CLIENTS];
};

/* services/timing (measurements only): server for one client, client of disk 0; memory "blocks" (PACE_BITMAP_BYTES of
 * services/timing/pace.h, zeroed) */
struct timing_config {
    char like[QUOLL_NAME_SIZE]; /* a name in services/timing/latency.c */
    uint32_t dilation_tenths;   /* how many times slower than that disk, in tenths */
    uint32_t timed_reads;       /* 0: reads take no time */
    uint32_t reserved;
    uint64_t allowed_buffers;
};

/* services/rapilog: client N is stored on disk N. Own memory "dirty" is its buffer number `buffer`;
 * receive "mains" (loss of mains; from the supervisor, after it has stopped the VMs), "drain" (stop
 * acknowledging early, drain, flush); receive "mains-back" (they have come back: go on), answered by channel "resumed";
 * channel "drained"; memory "gauges" (struct rapilog_gauges, quoll/rapilog.h). Client N of a VM, whose queue it serves:
 * memory "queueN" (struct guest_queue, quoll/guest_queue.h) and "guest-ram", object "lineN", receive "queueN" (the doorbell) */
struct rapilog_config {
    uint32_t client_count;
    uint32_t buffer;          /* buffer number of "dirty" */
    uint64_t dirty_limit;     /* bytes, 0: as large as memory and hold-up allow */
    uint64_t hold_up_ns;      /* 0: no power-fail signal; acknowledges only what is on the disk */
    uint64_t reserve_ns;      /* of it: detection, stopping the VMs, commands in flight, margin */
    uint64_t report_ns;       /* a line of gauges in the log so often, 0: none */
    uint32_t unsafe_no_drain; /* tests only: ignore loss of mains */
    uint32_t survives_reset;  /* 1: "dirty" may outlive a reset of the machine */
    uint64_t allowed_buffers[CONFIG_MAX_CLIENTS];
    uint32_t
        disk_sharers; /* RapiLogs that drain to the same disk at the same time; 0 counts as 1 */
    uint32_t
        strict_order; /* 1: each epoch is flushed before the next is written, so that a drain that is cut
                              short leaves a prefix of epochs; costs throughput of bulk writes */
    uint32_t mode;     /* enum rapilog_mode */
    uint32_t has_dump; /* 1: block client "disk<client_count>" is the dump area */
};

/* What the filtered disks of a VM promise together; docs/rapilog.md has the contract of each. */
enum rapilog_mode { RAPILOG_MODE_HELD, RAPILOG_MODE_THROUGH, RAPILOG_MODE_HELD_ORDERED };

/* services/console: memory "kernel-log", receive "kernel-log" (the image's log_channel); stream client of the
 * UART driver under the name "uart" (memory, receive, channel); stream server N ("streamN": memory, receive,
 * channel) for each VM. Receive "console-flush": put everything on the wire, then raise channel
 * "console-flushed" (the supervisor's, before the machine goes off). */
struct console_config {
    uint32_t stream_count;
    uint32_t focus; /* stream that gets input first */
    char name[CONFIG_MAX_CLIENTS][QUOLL_NAME_SIZE];
};

/* services/supervisor: per VM N: memory "vmN" (struct vm_status, quoll/life.h; writable), receive "vmN", channel
 * "vmN", threads "vmN.threadM", receive "vmN.fault" (fault channel of its VMM); per drainable service N: channel
 * "mainsN" (its receive "mains": the mains are lost), channel "backN" (its receive "mains-back"), receive "resumedN"
 * (its answer to that), channel "drainN" (its receive "drain": clean end), receive
 * "drainedN", receive "drainN.fault" (its fault channel); per source N of the mains signal: memory "powerN" (struct power_source,
 * quoll/power.h; read-only); receive "mains" (from all of them); receive "fault" (fault
 * channel of every other component); channel "console-flush", receive "console-flushed"; object "machine".
 * Per component N that is restarted when it fails, a *part*: threads "partN.threadM", receive "partN.fault" (its fault
 * channel; "vmN.fault" or "drainN.fault" is then missing). */
#define CONFIG_MAX_PARTS 48
#define CONFIG_NOBODY UINT32_MAX
struct supervisor_config {
    uint32_t vm_count;
    uint32_t drain_count;
    uint32_t part_count;
    uint32_t reserved;
    struct {
        char name[QUOLL_NAME_SIZE];
        uint32_t thread_count;
        uint32_t vm, drain; /* whose VMM it is, which drainable service; or CONFIG_NOBODY */
        uint32_t kills;     /* tests only: how often it is killed */
        uint64_t kill_after_ns, kill_every_ns;
    } part[CONFIG_MAX_PARTS];
    struct {
        char name[QUOLL_NAME_SIZE];
        uint32_t thread_count; /* vCPU threads: stopped at loss of mains */
        uint32_t goes_on;      /* 1: not stopped: it tells when the mains are back */
    } vm[QUOLL_MAX_VMS];
    char drain[CONFIG_MAX_CLIENTS][QUOLL_NAME_SIZE]; /* component names of the drainable services */
    uint32_t power_count;                            /* sources of the mains signal */
    uint64_t off_after_ns; /* how long the machine waits for the mains once everything is drained */
};

/* drivers/pl011: memory "registers", irq and receive "interrupt", stream server "stream0"; no config.
 * drivers/powerkey (PL061 GPIO): memory "registers", irq and receive "interrupt"; as every source of the mains signal: memory
 * "power" (struct power_source, quoll/power.h), channel "mains". */
enum powerkey_kind {
    POWERKEY_KEY,  /* each rising edge turns the state */
    POWERKEY_HIGH, /* the mains are lost while the line is high */
    POWERKEY_LOW,  /* ... low */
};
struct powerkey_config {
    uint32_t line; /* GPIO line: the key is 3 on QEMU's virt (gpio-keys/poweroff) */
    uint32_t kind; /* enum powerkey_kind */
};

/* drivers/powerline (an interrupt line): irq and receive "interrupt"; memory "power", channel "mains"; no config. */

/* vmm: thread 0 is the device thread, thread 1 + n handles vCPU n.
 *   memory   "guest-ram" (the whole of it), "kernel", "initrd" (if any), "interrupts", "vcpuN", "device-tree", "status"
 *   objects  "vm", "vcpuN"
 *   channels "to-device" (receive "from-vcpu"), "to-vcpuN" (receive "kickN"), "supervisor" (receive "supervisor")
 *   receives "doorbellS": QueueNotify of the virtio-mmio transport in slot S was written
 *   stream client "console"; block client "diskN" with mapped buffer config.disk[N].buffer; memory "queueN" where the disk's
 *   server serves the queue of disk N (quoll/guest_queue.h; there is no doorbell of its slot then)
 *   with memory "power": a source of the mains signal (struct power_source, quoll/power.h; channel "mains")
 * Slots of virtio-mmio transports: 0 console, 1 entropy, 2 + N disk N, 10 the doorbell of a VM that watches the mains. Slot S is at 0x0a00_0000 + S * 0x200 with SPI 16 + S. */
#define VMM_SLOT_CONSOLE 0
#define VMM_SLOT_ENTROPY 1
#define VMM_SLOT_DISK 2
#define VMM_MAX_DISKS 8
#define VMM_SURVIVAL_BYTES                                                                         \
    16384u /* memory "survival": what outlives the VMM's own restart (vmm/survival.h) */
#define VMM_SLOT_MONITOR (VMM_SLOT_DISK + VMM_MAX_DISKS)
#define VMM_SLOTS (VMM_SLOT_MONITOR + 1)
struct vmm_config {
    char name[QUOLL_NAME_SIZE];
    uint32_t vcpu_count;
    uint32_t disk_count;
    uint64_t ram_size;                 /* bytes, from guest-physical 0x4000_0000 */
    uint64_t kernel_size, initrd_size; /* bytes of the payloads in their regions */
    uint8_t seed[64];                  /* rng-seed and entropy start value */
    uint32_t seed_from_image; /* 1: the seed is fixed in the description (repeatable runs) */
    uint32_t reserved;
    struct {
        uint32_t read_only;
        uint32_t buffer; /* number of its data buffer */
        char serial[20]; /* VIRTIO_BLK_T_GET_ID */
        uint32_t
            write_through; /* 1: do not offer VIRTIO_BLK_F_FLUSH; every write is complete when acknowledged */
    } disk[VMM_MAX_DISKS];
    char command_line[2048];
    uint64_t boot_time; /* of the wall clock when the system counter was 0: seconds since 1970 */
};

#endif
