/*
 * The whole VMM as a component on the Linux twin: device thread and vCPU threads, with scripts in place of guests.
 * The test is its console service, its disk and its supervisor.
 */
#include <quoll/block_io.h>
#include <quoll/guest_queue.h>
#include <quoll/life.h>
#include <quoll/stream.h>
#include <quoll/twin.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

void vmm_main(void);
void vmm_thread(uint32_t number);

#define VCPUS 2u
#define RAM_BYTES (8u << 20)
#define PATIENCE 20000u /* ms */

/* ---- scripts ---- */

enum kind { READ, WRITE, CALL, FETCH, UNTIL, IDLE };

struct step {
    enum kind kind;
    uint64_t a, b, c,
        d; /* address, value; or x0..x3. UNTIL: the call a(b) is repeated until it answers c */
};

#define UART UINT64_C(0x09000000)
#define ABORTED UINT64_C(0xabababababababab)

static const struct step first_boot[] = {
    {READ, 0x08000004, 0, 0, 0},               /* 0: GICD_TYPER */
    {READ, 0x080a0008, 0, 0, 0},               /* 1: GICR_TYPER */
    {WRITE, UART, 'H', 0, 0},                  /* 2 */
    {WRITE, UART, 'i', 0, 0},                  /* 3 */
    {READ, 0x0b000000, 0, 0, 0},               /* 4: nothing there */
    {WRITE, 0x10, 1, 0, 0},                    /* 5: nor there */
    {READ, 0x0a000000, 0, 0, 0},               /* 6: virtio slot 0: magic */
    {READ, 0x0a000408, 0, 0, 0},               /* 7: slot 2: a disk */
    {READ, 0x0a000500, 0, 0, 0},               /* 8: its capacity */
    {READ, 0x0a003e08, 0, 0, 0},               /* 9: slot 31: empty */
    {FETCH, 0x0c000000, 0, 0, 0},              /* 10: runs into nowhere */
    {CALL, 0x84000000, 0, 0, 0},               /* 11: PSCI_VERSION */
    {CALL, 0xc4000003, 1, 0x40001000, 0x1234}, /* 12: CPU_ON */
    {UNTIL, 0xc4000004, 1, 1, 0},              /* 13: until it is off again */
    {CALL, 0x84000009, 0, 0, 0},               /* 14: SYSTEM_RESET */
};
static const struct step second_cpu[] = {
    {READ, 0x080c0008, 0, 0, 0}, {WRITE, UART, '2', 0, 0}, {CALL, 0x84000002, 0, 0, 0}};
static const struct step second_boot[] = {{WRITE, UART, 'R', 0, 0}, {CALL, 0x84000008, 0, 0, 0}};
static const struct step third_boot[] = {{WRITE, UART, 'T', 0, 0}, {IDLE, 0, 0, 0, 0}};

static struct guest {
    struct quoll_vcpu_page *page;
    const struct step *script;
    uint32_t next;
    uint64_t context, entry;
    uint64_t result[32];
} guests[VCPUS];
static uint32_t boots;

static void reset(struct guest *guest, uint32_t vcpu)
{
    guest->context = guest->page->registers.x[0];
    guest->entry = guest->page->registers.pc;
    guest->next = 0;
    if (vcpu == 1)
        guest->script = second_cpu;
    else
        guest->script = ++boots == 1 ? first_boot : boots == 2 ? second_boot : third_boot;
}

/* What the VMM made of the last exit. */
static void take_answer(struct guest *guest, uint32_t request)
{
    const struct step *last = guest->next == 0 ? NULL : &guest->script[guest->next - 1];
    if (last == NULL)
        return;
    uint64_t *result = &guest->result[guest->next - 1];
    if (request & QUOLL_VCPU_INJECT_ABORT)
        *result = ABORTED;
    else if (request & QUOLL_VCPU_FINISH_MMIO)
        *result = guest->page->mmio.value;
    else if (last->kind == CALL || last->kind == UNTIL)
        *result = guest->page->registers.x[0];
    if (last->kind == UNTIL && *result != last->c)
        guest->next--;
}

static void leave(struct guest *guest, const struct step *step)
{
    struct quoll_vcpu_page *page = guest->page;
    page->exit = step->kind == READ || step->kind == WRITE ? QUOLL_EXIT_MMIO
                 : step->kind == FETCH                     ? QUOLL_EXIT_MEMORY
                 : step->kind == IDLE                      ? QUOLL_EXIT_NONE
                                                           : QUOLL_EXIT_CALL;
    page->address = step->a;
    page->mmio.value = step->b;
    page->mmio.size = 4;
    page->mmio.write = step->kind == WRITE;
    page->registers.x[0] = step->a;
    page->registers.x[1] = step->b;
    page->registers.x[2] = step->kind == UNTIL ? 0 : step->c;
    page->registers.x[3] = step->d;
}

static struct quoll_vcpu_page *run(void *context, uint32_t vcpu)
{
    struct guest *guest = &guests[vcpu];
    uint32_t request = guest->page->request;
    guest->page->request = 0;
    if (request & QUOLL_VCPU_RESET)
        reset(guest, vcpu);
    else
        take_answer(guest, request);
    const struct step *step = &guest->script[guest->next];
    if (step->kind != IDLE)
        guest->next++;
    leave(guest, step);
    return guest->page;
}

static enum quoll_status irq(void *context, uint32_t vcpu, uint32_t intid)
{
    return QUOLL_OK;
}

/* ---- the system around it ---- */

static struct twin *twin;
static struct twin_component *test, *vmm;
static struct vm_status *status;
static struct block_server disk;
static struct stream_end console;
static uint8_t kernel[4096];
static struct vmm_config config;

static void build(void)
{
    static const char *const doorbells[] = {"doorbell0", "doorbell1", "doorbell2"};
    twin = twin_create();
    test = twin_adopt(twin, "test");
    vmm = twin_component(twin, "vmm", vmm_main, vmm_thread, 1 + VCPUS);
    config = (struct vmm_config){.name = "guest",
                                 .vcpu_count = VCPUS,
                                 .disk_count = 1,
                                 .ram_size = RAM_BYTES,
                                 .kernel_size = sizeof(kernel)};
    twin_give_config(vmm, &config, sizeof(config));
    twin_give_memory(vmm, "guest-ram", twin_memory(twin, RAM_BYTES), RAM_BYTES);
    twin_give_memory(vmm, "kernel", kernel, sizeof(kernel));
    twin_give_memory(vmm, "interrupts", twin_memory(twin, 4096), 4096);
    twin_give_memory(vmm, "buffer0", twin_memory(twin, 65536), 65536);
    status = twin_link(test, "vm0", vmm, "supervisor", 4096);
    twin_give_memory(vmm, "status", status, 4096);
    twin_link(test, "client0", vmm, "disk0", BLOCK_LINK_BYTES);
    twin_link(test, "stream0", vmm, "console", STREAM_LINK_BYTES);
    twin_give_guest(vmm, &(struct twin_guest){.run = run, .irq = irq}, VCPUS);
    twin_connect(vmm, "to-device", vmm, 0, "from-vcpu");
    for (uint32_t i = 0; i < VCPUS; i++) {
        static const char *const pages[] = {"vcpu0", "vcpu1"}, *const kicks[] = {"kick0", "kick1"},
                                 *const channels[] = {"to-vcpu0", "to-vcpu1"};
        guests[i].page = twin_memory(twin, 4096);
        twin_give_memory(vmm, pages[i], guests[i].page, 4096);
        twin_connect(vmm, channels[i], vmm, 1 + i, kicks[i]);
    }
    for (int i = 0; i < 3; i++)
        twin_connect(test, doorbells[i], vmm, 0, doorbells[i]);
    stream_open(&console, "stream0", true);
    block_server_find(&disk, 0, NULL, 1);
}

static uint32_t flushes; /* that the disk has done, and no test has looked at */

/* False: it is asked for nothing. */
static bool disk_flushes(void)
{
    struct block_request request;
    if (!block_server_take(&disk, &request))
        return false;
    assert_int_equal(request.operation, BLOCK_FLUSH);
    block_server_complete(&disk, request.id, BLOCK_OK);
    block_server_publish(&disk);
    flushes++;
    return true;
}

static void a_new_guest_flushes(void)
{
    for (int i = 0; i < 200 && flushes == 0; i++) {
        if (!disk_flushes() && block_server_sleep(&disk))
            twin_wait(PATIENCE / 200);
        block_server_awake(&disk);
    }
    assert_int_equal(flushes, 1);
    flushes = 0;
}

static void disk_is_ready(void)
{
    struct block_geometry geometry = {.sectors = 1234,
                                      .abilities = BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE,
                                      .physical_block = 512,
                                      .max_sectors = 128};
    block_server_ready(&disk, &geometry);
    for (int i = 0; i < 1000 && disk.session == 0; i++) { /* until the VMM has joined */
        (void)disk_flushes();
        twin_wait(10);
    }
}

static void await_state(enum vm_state state)
{
    for (int i = 0; i < 200; i++) {
        if (__atomic_load_n(&status->state, __ATOMIC_ACQUIRE) == state)
            return;
        twin_wait(PATIENCE / 200);
    }
    fail_msg("state %u instead of %u: %s", status->state, state, status->message);
}

static void wish(enum vm_wish wanted)
{
    __atomic_store_n(&status->wish, wanted, __ATOMIC_SEQ_CST);
    quoll_signal(quoll_handle("vm0", QUOLL_OBJECT_CHANNEL));
}

static void printed(const char *text)
{
    char bytes[64] = {0};
    for (uint32_t at = 0; at < strlen(text);) {
        uint32_t more = stream_read(&console, bytes + at, (uint32_t)(strlen(text) - at));
        at += more;
        if (more == 0 && stream_sleep(&console) && twin_wait(PATIENCE) == 0)
            fail_msg("\"%s\" instead of \"%s\"", bytes, text);
    }
    assert_string_equal(bytes, text);
}

static void make_kernel(void)
{
    static const uint64_t image_size = 8192;
    memcpy(kernel + 16, &image_size, 8);
    memcpy(kernel + 56, "ARM\x64", 4);
}

static void a_guest_boots_resets_and_powers_off(void **state)
{
    make_kernel();
    build();
    twin_start(twin);
    twin_wait(50);
    assert_int_equal(status->state, VM_STARTING); /* without its disk it does not begin */
    disk_is_ready();
    a_new_guest_flushes();
    printed("Hi2R");
    await_state(VM_OFF);
    (void)
        disk_flushes(); /* for the second guest, unless the first one was over before its own was done */
    assert_int_equal(status->resets, 1);
    assert_int_equal(boots, 2);
    const uint64_t *result = guests[0].result;
    assert_int_equal(result[4], ABORTED);
    assert_int_equal(result[5], ABORTED);
    assert_int_equal(result[6], 0x74726976);
    assert_int_equal(result[7], 2);
    assert_int_equal(result[8], 1234);
    assert_int_equal(result[9], 0);
    assert_int_equal(result[10], ABORTED);
    assert_int_equal(result[11], 0x10001);
    assert_int_equal(result[12], 0);
    assert_int_equal(guests[1].entry, 0x40001000);
    assert_int_equal(guests[1].context, 0x1234);
    assert_int_equal(guests[1].result[0] >> 4 & 1, 1); /* the last redistributor */

    wish(VM_WISH_RESET); /* the supervisor starts it again... */
    a_new_guest_flushes();
    printed("T");
    await_state(VM_RUNNING);
    wish(VM_WISH_RESET); /* ... and again, while its vCPU idles */
    a_new_guest_flushes();
    printed("T");
    wish(VM_WISH_OFF);
    await_state(VM_OFF);
    assert_int_equal(boots, 4);
    twin_destroy(twin);
}

static void a_file_that_is_no_kernel_is_named(void **state)
{
    build();
    twin_start(twin);
    disk_is_ready();
    await_state(VM_FAILED);
    assert_non_null(strstr(status->message, "not an arm64 Linux Image"));
    wish(VM_WISH_RESET); /* does not help, and does not hurt */
    twin_wait(50);
    await_state(VM_FAILED);
    twin_destroy(twin);
}

static void a_vm_does_not_start_without_its_disk(void **state)
{
    make_kernel();
    build();
    block_server_failed(&disk, "no partition \"root\" on nvme0");
    twin_start(twin);
    await_state(VM_FAILED);
    assert_non_null(strstr(status->message, "no partition \"root\""));
    twin_destroy(twin);
}

/* A former life of the VMM ended while it switched its guest off: the disk's server still serves the old guest's queue. */
static void a_lent_queue_is_taken_back_before_the_kernel_is_loaded(void **state)
{
    make_kernel();
    build();
    struct guest_queue *queue = twin_memory(twin, 4096);
    queue->wanted = queue->served = 1;
    twin_give_memory(vmm, "queue0", queue, 4096);
    twin_start(twin);
    disk_is_ready();
    for (int i = 0; i < 1000 && __atomic_load_n(&queue->wanted, __ATOMIC_SEQ_CST) == 1; i++)
        twin_wait(10);
    assert_int_equal(__atomic_load_n(&queue->wanted, __ATOMIC_SEQ_CST), 2);
    twin_wait(50);
    assert_int_equal(status->state, VM_STARTING);
    __atomic_store_n(&queue->served, 2, __ATOMIC_SEQ_CST);
    quoll_signal(quoll_handle("client0", QUOLL_OBJECT_CHANNEL));
    printed("Hi2R");
    await_state(VM_OFF);
    twin_destroy(twin);
}

/* A component's variables exist once per process: one test per run, named by the argument. */
int main(int argc, char **argv)
{
    const struct CMUnitTest life[] = {cmocka_unit_test(a_guest_boots_resets_and_powers_off)};
    const struct CMUnitTest kernels[] = {cmocka_unit_test(a_file_that_is_no_kernel_is_named)};
    const struct CMUnitTest disks[] = {cmocka_unit_test(a_vm_does_not_start_without_its_disk)};
    const struct CMUnitTest lent[] = {
        cmocka_unit_test(a_lent_queue_is_taken_back_before_the_kernel_is_loaded)};
    if (argc > 1 && strcmp(argv[1], "lent") == 0)
        return cmocka_run_group_tests(lent, NULL, NULL);
    if (argc > 1 && strcmp(argv[1], "kernel") == 0)
        return cmocka_run_group_tests(kernels, NULL, NULL);
    if (argc > 1 && strcmp(argv[1], "disk") == 0)
        return cmocka_run_group_tests(disks, NULL, NULL);
    return cmocka_run_group_tests(life, NULL, NULL);
}
