/*
 * The NVMe driver: one controller's first namespace, served to `client_count` block clients.
 *
 * It owns the host bridge's configuration space and memory window, one legacy interrupt and the memory for its queues; it
 * sees no data: buffers are only physical addresses to it, and a request reaches the controller only when
 * it lies inside a buffer that its client may name.
 *
 * States: starting; working; broken. A controller that fails, does not answer in time or answers nonsense is reset and
 * given again what was in flight, a few times. When that does not help, or when it cannot be brought up at all, the driver is
 * broken: the controller is silenced, so that no buffer is touched any more, then everything in flight is
 * answered with BLOCK_GONE, the links say why, and so it stays.
 *
 * An interrupt line that stays raised without a reason (another device on it, or QEMU's model after a reset with commands in
 * flight) would keep everything else from running: the driver then switches the interrupt off and polls.
 *
 * Each client may have its share of the commands in flight, so none can keep the disk from the others.
 */
#include "controller.h"
#include "pci.h"
#include "transfer.h"
#include <quoll/quoll.h>
#include <string.h>

#define CLASS_NVME 0x010802u /* mass storage, non-volatile memory, NVMe interface */
/* QEMU's model (1b36:0010) accepts FUA and ignores it. */
#define VENDOR_REDHAT 0x1b36u
#define DEVICE_QEMU_NVME 0x0010u
#define WATCH_NS 1000000000u
#define POLL_NS 200000u
#define MOST_RESETS 4u
#define MOST_IDLE_INTERRUPTS 256u /* in a row, with no completion from anywhere between them */

static struct {
    struct pci_host host;
    struct pci_device device;
    struct controller controller;
    struct transfers transfers;
    struct block_buffers buffers;
    uint32_t client_count;
    uint32_t share; /* commands in flight that one client may have */
    struct block_server client[CONFIG_MAX_CLIENTS];
    uint32_t interrupt;        /* handle */
    uint64_t interrupt_signal; /* 0: no interrupt yet */
    uint32_t idle_interrupts;
    uint32_t resets;
    uint64_t next_watch; /* ticks */
    bool working;
    bool polling;
    bool timer_runs;
} nvme;

static void tell_clients(const char *problem)
{
    for (uint32_t i = 0; i < nvme.client_count; i++) {
        if (problem != NULL)
            block_server_failed(&nvme.client[i], problem);
        else
            block_server_ready(&nvme.client[i], &nvme.controller.geometry);
    }
}

/* The disk's name counts: another model is another disk. */
static bool same_geometry(const struct block_geometry *a, const struct block_geometry *b)
{
    return a->sectors == b->sectors && a->abilities == b->abilities &&
           a->physical_block == b->physical_block && a->max_sectors == b->max_sectors &&
           memcmp(a->name, b->name, sizeof(a->name)) == 0;
}

/* NULL when the controller works again and is still the same disk. */
static const char *start_again(void)
{
    struct controller *controller = &nvme.controller;
    struct block_geometry before = controller->geometry;
    uint32_t namespace_id = controller->namespace_id, depth = controller->io.depth;
    const char *problem = controller_start(controller);
    /* Waiting for the controller used the timer and swallowed signals, perhaps the interrupt's. */
    nvme.timer_runs = false;
    quoll_irq_ack(nvme.interrupt);
    if (problem != NULL)
        return problem;
    if (!same_geometry(&before, &controller->geometry) ||
        namespace_id != controller->namespace_id || depth != controller->io.depth)
        return "after a reset it is another disk";
    return NULL;
}

static void become_broken(const char *problem)
{
    struct transfer_result result;
    quoll_log("the disk cannot be used: %s", problem);
    nvme.working = false;
    bool silent = controller_stop(&nvme.controller);
    pci_bus_master(&nvme.device, false);
    if (!silent)
        quoll_log("the controller does not stop; its access to memory was taken away");
    while (transfer_abandon(&nvme.transfers, &result))
        block_server_complete(&nvme.client[result.client], result.id, result.status);
    tell_clients(problem);
}

static void recover(const char *problem)
{
    if (nvme.resets == MOST_RESETS) {
        become_broken(problem);
        return;
    }
    nvme.resets++;
    quoll_log("%s; it is reset (%u of %u), %u commands are given again", problem, nvme.resets,
              MOST_RESETS, nvme.transfers.in_flight);
    const char *lasting = start_again();
    if (lasting != NULL)
        become_broken(lasting);
    else
        transfers_reissue(&nvme.transfers);
}

/* ---- Start ---- */

static const struct quoll_environment_entry *memory_entry(const char *name)
{
    const struct quoll_environment_entry *entry = quoll_find(QUOLL_ENVIRONMENT_MEMORY, name);
    if (entry == NULL || entry->address == 0)
        quoll_fail("the system image maps no memory \"%s\" for this driver", name);
    return entry;
}

static void find_host(struct pci_host *host)
{
    const struct quoll_environment_entry *ecam = memory_entry("registers");
    const struct quoll_environment_entry *window = memory_entry("window");
    *host = (struct pci_host){
        .ecam = (uint8_t *)(uintptr_t)ecam->address,
        .ecam_size = ecam->size,
        .window = (uint8_t *)(uintptr_t)window->address,
        .window_physical = window->physical,
        .window_size = window->size,
    };
}

static const char *find_interrupt(void)
{
    uint32_t line = pci_interrupt(&nvme.device);
    if (line > 3)
        return "the NVMe controller has no legacy interrupt";
    nvme.interrupt = quoll_handle(quoll_numbered("intx", line), QUOLL_OBJECT_IRQ);
    nvme.interrupt_signal = quoll_receive(quoll_numbered("intx", line));
    return NULL;
}

/* NULL, or what prevents the use of the disk. */
static const char *start_device(uint32_t instance)
{
    struct pci_bar bar;
    find_host(&nvme.host);
    if (!pci_find(&nvme.host, CLASS_NVME, instance, &nvme.device))
        return "there is no such NVMe controller on this machine";
    const char *problem = pci_open(&nvme.host, &nvme.device, instance, &bar);
    if (problem == NULL)
        problem = find_interrupt();
    if (problem != NULL)
        return problem;

    const struct quoll_environment_entry *queues = memory_entry("queues");
    nvme.controller = (struct controller){
        .registers = bar.registers,
        .register_bytes = bar.size,
        .memory = quoll_memory("queues", NVME_QUEUES_BYTES),
        .memory_physical = queues->physical,
    };
    pci_bus_master(&nvme.device, true);
    problem = controller_start(&nvme.controller);
    if (problem != NULL)
        pci_bus_master(&nvme.device, false);
    return problem;
}

static void announce(void)
{
    const struct block_geometry *geometry = &nvme.controller.geometry;
    const struct pci_device *device = &nvme.device;
    quoll_log("%02x:%02x.%u \"%s\": %lu MiB, blocks of %u bytes, %s cache", device->bus,
              device->slot, device->function, geometry->name,
              (unsigned long)(geometry->sectors / 2048), geometry->physical_block,
              (geometry->abilities & BLOCK_VOLATILE_CACHE) != 0 ? "volatile" : "no volatile");
}

static void start(void)
{
    const struct nvme_config *config = quoll_memory("config", sizeof(struct nvme_config));
    if (config->client_count > CONFIG_MAX_CLIENTS)
        quoll_fail("the configuration has %u clients; %u are possible", config->client_count,
                   CONFIG_MAX_CLIENTS);
    nvme.client_count = config->client_count;
    block_buffers_find(&nvme.buffers);
    for (uint32_t i = 0; i < nvme.client_count; i++)
        block_server_find(&nvme.client[i], i, &nvme.buffers, config->allowed_buffers[i]);

    const char *problem = start_device(config->instance);
    if (problem != NULL) {
        quoll_log("the disk cannot be used: %s (controller %u)", problem, config->instance);
        tell_clients(problem);
        return;
    }
    bool ignores_fua =
        nvme.device.vendor == VENDOR_REDHAT && nvme.device.device == DEVICE_QEMU_NVME;
    bool cached = (nvme.controller.geometry.abilities & BLOCK_VOLATILE_CACHE) != 0;
    transfers_start(&nvme.transfers, &nvme.controller, &nvme.buffers, ignores_fua && cached);
    nvme.share = nvme.transfers.count / (nvme.client_count > 0 ? nvme.client_count : 1);
    nvme.working = true;
    announce();
    tell_clients(NULL);
}

/* ---- Work ---- */

static void take_completions(void)
{
    struct transfer_result result;
    for (;;) {
        enum transfer_event event = transfer_next(&nvme.transfers, &result);
        if (event == TRANSFER_NOTHING)
            break;
        nvme.idle_interrupts = 0;
        if (event == TRANSFER_DONE)
            block_server_complete(&nvme.client[result.client], result.id, result.status);
        if (event == TRANSFER_NONSENSE) {
            recover("the NVMe controller answers what it was not asked");
            return;
        }
    }
    queue_release(&nvme.controller.io);
}

static bool may_take(const struct block_server *client)
{
    return !nvme.working || (!transfers_full(&nvme.transfers) && client->outstanding < nvme.share);
}

static void begin(uint32_t number, const struct block_request *request)
{
    bool cached = (nvme.controller.geometry.abilities & BLOCK_VOLATILE_CACHE) != 0;
    if (request->operation == BLOCK_FLUSH && !cached)
        block_server_complete(&nvme.client[number], request->id, BLOCK_OK);
    else
        transfer_begin(&nvme.transfers, number, request);
}

/* One request of each client in turn, for as long as any has one. */
static void take_requests(void)
{
    struct block_request request;
    bool any = true;
    while (any) {
        any = false;
        for (uint32_t i = 0; i < nvme.client_count; i++) {
            if (may_take(&nvme.client[i]) && block_server_take(&nvme.client[i], &request)) {
                begin(i, &request);
                any = true;
            }
        }
    }
}

static void watch_timeouts(void)
{
    uint64_t now = quoll_now();
    if (now < nvme.next_watch)
        return;
    nvme.next_watch = now + quoll_ticks_from_ns(WATCH_NS);
    if (controller_fatal(&nvme.controller))
        recover("the NVMe controller reports a fatal error");
    else if (transfers_overdue(&nvme.transfers))
        recover("the NVMe controller does not answer a command");
}

static void run_timer(void)
{
    if (nvme.timer_runs || nvme.transfers.in_flight == 0)
        return;
    quoll_timer_set(quoll_now() + quoll_ticks_from_ns(nvme.polling ? POLL_NS : WATCH_NS));
    nvme.timer_runs = true;
}

static void end_interrupt(void)
{
    if (++nvme.idle_interrupts == MOST_IDLE_INTERRUPTS && !nvme.polling) {
        nvme.polling = true;
        nvme.timer_runs = false;
        pci_silence(&nvme.device);
        quoll_log("the controller's interrupt stays raised; it is switched off, the driver polls");
    }
    quoll_irq_ack(nvme.interrupt);
}

static void work(uint64_t signals)
{
    if ((signals & QUOLL_SIGNAL_TIMER) != 0)
        nvme.timer_runs = false;
    if (nvme.working && nvme.transfers.in_flight > 0)
        watch_timeouts();
    if (nvme.working)
        take_completions();
    take_requests();
    if (nvme.working)
        queue_ring(&nvme.controller.io);
    for (uint32_t i = 0; i < nvme.client_count; i++)
        block_server_publish(&nvme.client[i]);
    if ((signals & nvme.interrupt_signal) != 0)
        end_interrupt();
    if (nvme.working)
        run_timer();
}

/* False: a client whose requests may be taken has one. */
static bool all_asleep(void)
{
    for (uint32_t i = 0; i < nvme.client_count; i++) {
        if (may_take(&nvme.client[i]) && !block_server_sleep(&nvme.client[i]))
            return false;
    }
    return true;
}

void component_main(void)
{
    start();
    /* What the interrupt did while the controller was brought up is acknowledged in the first round. */
    uint64_t signals = nvme.interrupt_signal;
    for (;;) {
        work(signals);
        signals = all_asleep() ? quoll_wait() : 0;
        for (uint32_t i = 0; i < nvme.client_count; i++)
            block_server_awake(&nvme.client[i]);
    }
}
