/*
 * The NVMe driver: one controller's first namespace, served to `client_count` block clients.
 *
 * It owns the host bridge's configuration space and memory window, one legacy interrupt and the memory for its queues; it
 * sees no data: buffers are only physical addresses to it, and a request reaches the controller only when
 * it lies inside a buffer that its client may name.
 *
 * States: starting; working; broken. A controller that fails, does not answer in time or answers nonsense is reset and
 * given again what was in flight, a few times with less than an hour between each and the next, and each client's next FLUSH tells it that the cache may be lost. When
 * that does not help, or when it cannot be brought up at all, the driver is broken: the controller is silenced, so that no buffer
 * is touched any more, then everything in flight is answered with BLOCK_GONE, the links say why, and so it stays. A driver that
 * begins anew, with a disk that has worked before, tries to bring it up until it works.
 *
 * An interrupt line that stays raised without a reason (another device on it, or QEMU's model after a reset with commands in
 * flight) would keep everything else from running: the driver then switches the interrupt off and polls.
 */
#include "../disk/clients.h"
#include "../pci/pci.h"
#include "controller.h"
#include "transfer.h"
#include <quoll/quoll.h>

/* Mass storage, non-volatile memory, NVMe interface. */
static const struct pci_match nvme_devices = {.class_code = 0x010802u};
/* QEMU's model (1b36:0010) accepts FUA and ignores it. */
#define VENDOR_REDHAT 0x1b36u
#define DEVICE_QEMU_NVME 0x0010u
#define WATCH_NS 1000000000u
#define POLL_NS 200000u
#define MOST_IDLE_INTERRUPTS 256u /* in a row, with no completion from anywhere between them */

static struct {
    struct pci_host host;
    struct pci_device device;
    struct controller controller;
    struct transfers transfers;
    struct disk_clients clients;
    uint32_t interrupt;        /* handle */
    uint64_t interrupt_signal; /* 0: no interrupt yet */
    uint32_t idle_interrupts;
    struct disk_resets resets;
    uint64_t next_watch; /* ticks */
    bool working;
    bool polling;
    bool timer_runs;
} nvme;

_Static_assert((unsigned)CONTROLLER_SERIAL_BYTES == DISK_SERIAL_BYTES, "the same");

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
    if (!disk_same_geometry(&before, &controller->geometry) ||
        namespace_id != controller->namespace_id || depth != controller->io.depth ||
        !disk_is_the_same(controller->serial))
        return "after a reset it is another disk";
    return NULL;
}

static void answer(const struct transfer_result *result)
{
    if (result->flush)
        disk_clients_flushed(&nvme.clients, result->client, result->id, result->mark,
                             result->status);
    else
        disk_clients_complete(&nvme.clients, result->client, result->id, result->status);
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
        answer(&result);
    disk_clients_failed(&nvme.clients, problem);
}

static void recover(const char *problem)
{
    (*nvme.clients
          .losses)++; /* at once: this driver may not live to give again what is in flight */
    if (!disk_may_reset(&nvme.resets, quoll_now())) {
        become_broken(problem);
        return;
    }
    quoll_log("%s; it is reset (%u of %u), %u commands are given again", problem, nvme.resets.count,
              DISK_MOST_RESETS, nvme.transfers.in_flight);
    const char *lasting = start_again();
    if (lasting != NULL)
        become_broken(lasting);
    else
        transfers_reissue(&nvme.transfers);
}

/* ---- Start ---- */

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
static const char *start_device(const struct disk_config *config)
{
    struct pci_bar bar;
    pci_host_find(&nvme.host);
    if (!pci_find(&nvme.host, &nvme_devices, config->instance, &nvme.device))
        return "there is no such NVMe controller on this machine";
    if (!disk_is_in_its_place(pci_place(&nvme.device)))
        return "the NVMe controller is gone; another one has its number";
    const char *problem = pci_open(&nvme.host, &nvme.device, config->place, 0, &bar);
    if (problem == NULL)
        problem = find_interrupt();
    if (problem != NULL) {
        pci_bus_master(&nvme.device, false);
        return problem;
    }
    nvme.controller = (struct controller){
        .registers = bar.registers,
        .register_bytes = bar.size,
        .memory = quoll_memory("queues", NVME_QUEUES_BYTES),
        .memory_physical = quoll_find(QUOLL_ENVIRONMENT_MEMORY, "queues")->physical,
    };
    if (!controller_works(&nvme.controller))
        disk_had_failed();
    pci_bus_master(&nvme.device, true);
    problem = controller_start(&nvme.controller);
    if (problem == NULL && !disk_is_the_same(nvme.controller.serial)) {
        (void)controller_stop(&nvme.controller);
        problem = "another disk, with another serial number, is in its place";
    }
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
    const struct disk_config *config = quoll_memory("config", sizeof(struct disk_config));
    disk_clients_find(&nvme.clients, config);
    const char *problem = start_device(config);
    while (problem != NULL && disk_try_again(problem))
        problem = start_device(config);
    if (problem != NULL) {
        quoll_log("the disk cannot be used: %s (controller %u)", problem, config->instance);
        disk_clients_failed(&nvme.clients, problem);
        return;
    }
    bool ignores_fua =
        nvme.device.vendor == VENDOR_REDHAT && nvme.device.device == DEVICE_QEMU_NVME;
    bool cached = (nvme.controller.geometry.abilities & BLOCK_VOLATILE_CACHE) != 0;
    transfers_start(&nvme.transfers, &nvme.controller, &nvme.clients.buffers, nvme.clients.losses,
                    ignores_fua && cached);
    nvme.working = true;
    announce();
    disk_clients_ready(&nvme.clients, &nvme.controller.geometry, nvme.transfers.count);
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
            answer(&result);
        if (event == TRANSFER_NONSENSE) {
            recover("the NVMe controller answers what it was not asked");
            return;
        }
    }
    queue_release(&nvme.controller.io);
}

/* A broken disk's requests are answered by the link. */
static bool has_room(void)
{
    return !nvme.working || !transfers_full(&nvme.transfers);
}

static void begin(uint32_t number, const struct block_request *request)
{
    bool cached = (nvme.controller.geometry.abilities & BLOCK_VOLATILE_CACHE) != 0;
    if (request->operation == BLOCK_FLUSH && !cached)
        disk_clients_complete(&nvme.clients, number, request->id, BLOCK_OK);
    else
        transfer_begin(&nvme.transfers, number, block_server_mark(&nvme.clients.server[number]),
                       request);
}

static void take_requests(void)
{
    struct block_request request;
    uint32_t number;
    while (has_room() && disk_clients_take(&nvme.clients, &number, &request))
        begin(number, &request);
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
    disk_clients_publish(&nvme.clients);
    if ((signals & nvme.interrupt_signal) != 0)
        end_interrupt();
    if (nvme.working)
        run_timer();
}

void component_main(void)
{
    start();
    /* What the interrupt did while the controller was brought up is acknowledged in the first round. */
    uint64_t signals = nvme.interrupt_signal;
    for (;;) {
        work(signals);
        signals = !has_room() || disk_clients_sleep(&nvme.clients) ? quoll_wait() : 0;
        disk_clients_awake(&nvme.clients);
    }
}
