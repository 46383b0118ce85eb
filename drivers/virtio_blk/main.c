/*
 * The virtio-blk driver: one block device on PCI (virtio 1.2), served to `client_count` block clients.
 *
 * It owns the host bridge's configuration space and memory window, one legacy interrupt and the memory of its virtqueue; it
 * sees no data: buffers are only physical addresses to it, and a request reaches the device only when it lies inside a
 * buffer that its client may name.
 *
 * States: starting; working; broken. A device that asks for a reset, does not answer in time or answers nonsense is reset
 * and given again what was in flight, a few times with less than an hour between each and the next, and each client's next FLUSH tells it that the cache may be
 * lost. When that does not help, or when it cannot be brought up at all, the driver is broken: the device is silenced,
 * everything in flight is answered with BLOCK_GONE, the links say why, and so it stays. A driver that begins anew, with a disk
 * that has worked before, tries to bring it up until it works.
 */
#include "../disk/clients.h"
#include "../pci/pci.h"
#include "commands.h"
#include <quoll/quoll.h>
#include <string.h>

#define WATCH_NS 1000000000u
#define REGISTER_BARS 6u

static const struct pci_match virtio_disks = {.id = VIRTIO_PCI_BLOCK_ID};

static struct {
    struct pci_host host;
    struct pci_device pci;
    struct pci_bar bar[REGISTER_BARS];
    struct device device;
    struct commands commands;
    struct disk_clients clients;
    uint32_t interrupt;        /* handle */
    uint64_t interrupt_signal; /* 0: no interrupt yet */
    struct disk_resets resets;
    bool working;
    bool timer_runs;
} disk;

/* ---- Breaking and recovering ---- */

static void answer(const struct command_result *result)
{
    if (result->flush)
        disk_clients_flushed(&disk.clients, result->client, result->id, result->mark,
                             result->status);
    else
        disk_clients_complete(&disk.clients, result->client, result->id, result->status);
}

static void become_broken(const char *problem)
{
    struct command_result result;
    quoll_log("the disk cannot be used: %s", problem);
    disk.working = false;
    if (!device_stop(&disk.device))
        quoll_log("the device does not stop; its access to memory is taken away");
    pci_bus_master(&disk.pci, false);
    while (commands_abandon(&disk.commands, &result))
        answer(&result);
    disk_clients_failed(&disk.clients, problem);
}

/* NULL when the device works again and is still the same disk. */
static const char *start_again(void)
{
    struct block_geometry before = disk.device.geometry;
    uint32_t size = disk.device.queue_size;
    const char *problem = device_start(&disk.device);
    /* Waiting for the device used the timer and swallowed signals, perhaps the interrupt's. */
    disk.timer_runs = false;
    quoll_irq_ack(disk.interrupt);
    if (problem != NULL)
        return problem;
    bool same =
        disk_same_geometry(&before, &disk.device.geometry) && size == disk.device.queue_size;
    return same ? NULL : "after a reset it is another disk";
}

static void recover(const char *problem)
{
    (*disk.clients
          .losses)++; /* at once: this driver may not live to give again what is in flight */
    if (!disk_may_reset(&disk.resets, quoll_now())) {
        become_broken(problem);
        return;
    }
    quoll_log("%s; it is reset (%u of %u), %u commands are given again", problem, disk.resets.count,
              DISK_MOST_RESETS, disk.commands.in_flight);
    const char *lasting = start_again();
    if (lasting != NULL)
        become_broken(lasting);
    else
        commands_again(&disk.commands);
}

/* ---- Start ---- */

/* The registers that a capability describes, `bytes` of them at least; NULL: not possible. */
static uint8_t *registers_of(uint32_t capability, uint32_t place, uint64_t bytes, uint64_t *size)
{
    uint32_t number = pci_config_read(&disk.pci, capability + CAPABILITY_BAR) & 0xff;
    uint64_t offset = pci_config_read(&disk.pci, capability + CAPABILITY_OFFSET);
    uint64_t length = pci_config_read(&disk.pci, capability + CAPABILITY_LENGTH);
    if (number >= REGISTER_BARS)
        return NULL;
    struct pci_bar *bar = &disk.bar[number];
    if (bar->registers == NULL && pci_open(&disk.host, &disk.pci, place, number, bar) != NULL)
        return NULL;
    if (length < bytes || offset % 4 != 0 || offset > bar->size || length > bar->size - offset)
        return NULL;
    *size = length;
    return bar->registers + offset;
}

/* The first usable capability of the kind (4.1.4). */
static uint8_t *find_registers(enum virtio_pci_kind kind, uint32_t place, uint64_t bytes,
                               uint64_t *size, uint32_t *capability)
{
    uint32_t at;
    for (uint32_t n = 0; (at = pci_capability(&disk.pci, PCI_CAPABILITY_VENDOR, n)) != 0; n++) {
        if (pci_config_read(&disk.pci, at + CAPABILITY_KIND) >> 24 != kind)
            continue;
        *capability = at;
        uint8_t *registers = registers_of(at, place, bytes, size);
        if (registers != NULL)
            return registers;
    }
    return NULL;
}

static const char *find_all_registers(uint32_t place)
{
    struct device *device = &disk.device;
    uint64_t size;
    uint32_t at = 0;
    device->common = find_registers(VIRTIO_PCI_COMMON, place, COMMON_BYTES, &size, &at);
    device->isr = find_registers(VIRTIO_PCI_ISR, place, 1, &size, &at);
    device->config = find_registers(VIRTIO_PCI_DEVICE, place, CONFIG_BYTES, &size, &at);
    device->notify = find_registers(VIRTIO_PCI_NOTIFY, place, 2, &device->notify_bytes, &at);
    if (device->common == NULL || device->isr == NULL || device->config == NULL ||
        device->notify == NULL)
        return "the virtio device lacks registers, or has no place for them";
    device->notify_multiplier = pci_config_read(&disk.pci, at + CAPABILITY_NOTIFY_MULTIPLIER);
    return NULL;
}

static const char *find_interrupt(void)
{
    uint32_t line = pci_interrupt(&disk.pci);
    if (line > 3)
        return "the virtio device has no legacy interrupt";
    disk.interrupt = quoll_handle(quoll_numbered("intx", line), QUOLL_OBJECT_IRQ);
    disk.interrupt_signal = quoll_receive(quoll_numbered("intx", line));
    return NULL;
}

/* NULL, or what prevents the use of the disk. */
static const char *start_device(const struct disk_config *config)
{
    memset(disk.bar, 0, sizeof(disk.bar)); /* of a try that did not succeed */
    pci_host_find(&disk.host);
    if (!pci_find(&disk.host, &virtio_disks, config->instance, &disk.pci))
        return "there is no such virtio disk on this machine";
    if (!disk_is_in_its_place(pci_place(&disk.pci)))
        return "the virtio disk is gone; another one has its number";
    const char *problem = find_all_registers(config->place);
    if (problem == NULL)
        problem = find_interrupt();
    if (problem != NULL) {
        pci_bus_master(&disk.pci, false);
        return problem;
    }
    disk.device.memory = quoll_memory("queues", VIRTIO_BLK_QUEUES_BYTES);
    disk.device.memory_physical = quoll_find(QUOLL_ENVIRONMENT_MEMORY, "queues")->physical;
    if (!device_works(&disk.device))
        disk_had_failed();
    pci_bus_master(&disk.pci, true);
    problem = device_start(&disk.device);
    if (problem != NULL)
        pci_bus_master(&disk.pci, false);
    return problem;
}

static void start(void)
{
    const struct disk_config *config = quoll_memory("config", sizeof(struct disk_config));
    disk_clients_find(&disk.clients, config);
    const char *problem = start_device(config);
    while (problem != NULL && disk_try_again(problem))
        problem = start_device(config);
    if (problem != NULL) {
        quoll_log("the disk cannot be used: %s (device %u)", problem, config->instance);
        disk_clients_failed(&disk.clients, problem);
        return;
    }
    const struct block_geometry *geometry = &disk.device.geometry;
    commands_start(&disk.commands, &disk.device, &disk.clients.buffers, disk.clients.losses);
    disk.working = true;
    quoll_log("%02x:%02x.%u \"%s\": %lu MiB, %u commands at a time, %s cache", disk.pci.bus,
              disk.pci.slot, disk.pci.function, geometry->name,
              (unsigned long)(geometry->sectors / 2048), disk.commands.count,
              (geometry->abilities & BLOCK_VOLATILE_CACHE) != 0 ? "volatile" : "no volatile");
    disk_clients_ready(&disk.clients, geometry, disk.commands.count);
}

/* ---- Work ---- */

static void take_completions(void)
{
    struct command_result result;
    for (;;) {
        enum command_event event = commands_next(&disk.commands, &result);
        if (event == COMMAND_NOTHING)
            return;
        if (event == COMMAND_DONE)
            answer(&result);
        if (event == COMMAND_NONSENSE) {
            recover("the virtio device answers what it was not asked");
            return;
        }
    }
}

/* A broken disk's requests are answered by the link. */
static bool has_room(void)
{
    return !disk.working || !commands_full(&disk.commands);
}

static void begin(uint32_t number, const struct block_request *request)
{
    bool cached = (disk.device.geometry.abilities & BLOCK_VOLATILE_CACHE) != 0;
    if (request->operation == BLOCK_FLUSH && !cached)
        disk_clients_complete(&disk.clients, number, request->id, BLOCK_OK);
    else
        commands_begin(&disk.commands, number, block_server_mark(&disk.clients.server[number]),
                       request);
}

static void take_requests(void)
{
    struct block_request request;
    uint32_t number;
    while (has_room() && disk_clients_take(&disk.clients, &number, &request))
        begin(number, &request);
}

static void watch(void)
{
    if (device_needs_reset(&disk.device))
        recover("the virtio device asks for a reset");
    else if (commands_overdue(&disk.commands))
        recover("the virtio device does not answer a command");
}

static void run_timer(void)
{
    if (disk.timer_runs || disk.commands.in_flight == 0)
        return;
    quoll_timer_set(quoll_now() + quoll_ticks_from_ns(WATCH_NS));
    disk.timer_runs = true;
}

static void work(uint64_t signals)
{
    bool interrupted = (signals & disk.interrupt_signal) != 0;
    if (interrupted) /* before the used ring is read, so that what comes after that interrupts again */
        device_take_interrupt(&disk.device);
    if (disk.working)
        take_completions();
    if ((signals & QUOLL_SIGNAL_TIMER) != 0) {
        disk.timer_runs = false;
        if (disk.working && disk.commands.in_flight > 0)
            watch();
    }
    take_requests();
    if (disk.working) {
        commands_announce(&disk.commands);
        run_timer();
    }
    disk_clients_publish(&disk.clients);
    if (interrupted)
        quoll_irq_ack(disk.interrupt);
}

void component_main(void)
{
    start();
    /* An interrupt of before this start, or while the device was started, is acknowledged in the first round. */
    uint64_t signals = disk.interrupt_signal;
    for (;;) {
        work(signals);
        signals = !has_room() || disk_clients_sleep(&disk.clients) ? quoll_wait() : 0;
        disk_clients_awake(&disk.clients);
    }
}
