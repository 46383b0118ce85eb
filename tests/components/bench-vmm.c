/*
 * A VMM for benchmarks of what Quoll's own does not do yet: paging a guest, and interrupts with no device model behind
 * them. It takes the real one's place (a file `vmm` beside the description), with the same environment, one vCPU, and a
 * paged range. Its guest is guests/bench in the modes "pager" and "inject".
 *
 *     thread 0   on another core: when asked to, writes down the time and makes an interrupt pending in the guest
 *     thread 1   runs the guest; serves faults in the paged range, and the guest's calls below
 *
 * What the guest writes to its UART goes to the log. Its interrupt controller is set up once, here.
 */
#include <quoll/life.h>
#include <quoll/quoll.h>
#include <string.h>

#define GUEST_RAM 0x40000000ull
#define TREE_OFFSET 0xf00000u   /* of the guest's RAM: what it takes for a device tree */
#define INJECT_OFFSET 0xf10000u /* time of the newest injection */
#define PSTATE_EL1H_MASKED 0x3c5u
#define UART 0x09000000u
#define PSCI_SYSTEM_OFF 0x84000008u
#define INJECTED 40u /* INTID */
#define PRIORITY 0xa0
#define SETTLE_NS 20000u

enum bench_call {
    CALL_UNMAP = 0xc6000001,
    CALL_PROTECT = 0xc6000002,
    CALL_INJECT = 0xc6000003,
};

static uint8_t *ram;
static struct quoll_vcpu_page *page;
static struct vm_status *status;
static uint32_t vm, region;
static uint64_t paged_size, paged_address;
static uint32_t to_device;
static bool loaded; /* atomic: thread 1 may begin */

static void start_interrupts(void)
{
    struct quoll_vm_interrupts *interrupts =
        quoll_memory("interrupts", sizeof(struct quoll_vm_interrupts));
    interrupts->vcpu[0].enabled = interrupts->vcpu[0].group1 = UINT32_MAX;
    memset(interrupts->vcpu[0].priority, PRIORITY, sizeof interrupts->vcpu[0].priority);
    interrupts->enabled[0] = interrupts->group1[0] = UINT64_C(1) << (INJECTED - 32);
    interrupts->priority[INJECTED - 32] = PRIORITY;
    interrupts->target[INJECTED - 32] = 0;
    interrupts->distributor_enabled = 1;
}

/* The guest looks for its command line in what it is given as device tree, and for nothing else. */
static void load_guest(void)
{
    const struct quoll_environment_entry *kernel = quoll_find(QUOLL_ENVIRONMENT_MEMORY, "kernel");
    static const uint8_t tree[] = "\xd0\x0d\xfe\xed\0\0\0\x40 bench:pager";
    memcpy(ram, (const void *)(uintptr_t)kernel->address, kernel->size);
    memcpy(ram + TREE_OFFSET, tree, sizeof tree);
    page->registers.x[0] = GUEST_RAM + TREE_OFFSET;
    page->registers.pc = GUEST_RAM;
    page->registers.pstate = PSTATE_EL1H_MASKED;
    page->request = QUOLL_VCPU_RESET;
}

static void serve_access(void)
{
    uint64_t at = page->address & ~(QUOLL_PAGE_SIZE - 1), offset = at - paged_address;
    if (offset < paged_size) { /* the guest tries again */
        (void)quoll_map(vm, at, region, offset, QUOLL_PAGE_SIZE | QUOLL_READ | QUOLL_WRITE);
        return;
    }
    if (page->address == UART && page->mmio.write) {
        char byte = (char)page->mmio.value;
        if (byte != '\r')
            quoll_debug_put(&byte, 1);
    }
    page->mmio.value = 0;
    page->request = QUOLL_VCPU_FINISH_MMIO;
}

/* False: the guest is off. */
static bool serve_call(void)
{
    uint64_t *x = page->registers.x;
    switch (x[0]) {
    case CALL_UNMAP:
        x[0] = quoll_unmap(vm, x[1], QUOLL_PAGE_SIZE);
        return true;
    case CALL_PROTECT:
        x[0] = quoll_protect(vm, x[1], QUOLL_PAGE_SIZE, QUOLL_READ);
        return true;
    case CALL_INJECT:
        (void)quoll_signal(to_device);
        return true;
    case PSCI_SYSTEM_OFF:
        return false;
    default:
        x[0] = UINT64_MAX;
        return true;
    }
}

void component_main(void)
{
    const struct quoll_environment_entry *paged = quoll_find(QUOLL_ENVIRONMENT_MEMORY, "paged");
    volatile uint64_t *time;
    if (paged == NULL)
        quoll_fail("the VM has no paged range; write paged: 2 MiB");
    ram = quoll_memory("guest-ram", 16 << 20);
    time = (volatile uint64_t *)(void *)(ram + INJECT_OFFSET);
    page = quoll_memory("vcpu0", sizeof(struct quoll_vcpu_page));
    status = quoll_memory("status", sizeof(struct vm_status));
    vm = quoll_handle("vm", QUOLL_OBJECT_VM);
    region = quoll_handle("paged", QUOLL_OBJECT_REGION);
    paged_size = paged->size;
    paged_address = GUEST_RAM + quoll_find(QUOLL_ENVIRONMENT_MEMORY, "guest-ram")->size;
    to_device = quoll_handle("to-device", QUOLL_OBJECT_CHANNEL);
    start_interrupts();
    load_guest();
    status->state = VM_RUNNING;
    __atomic_store_n(&loaded, true, __ATOMIC_SEQ_CST);
    (void)quoll_signal(quoll_handle("to-vcpu0", QUOLL_OBJECT_CHANNEL));
    for (;;) {
        if ((quoll_wait() & quoll_receive("from-vcpu")) == 0)
            continue;
        (void)quoll_timer_set(quoll_now() + quoll_ticks_from_ns(SETTLE_NS));
        while ((quoll_wait() & QUOLL_SIGNAL_TIMER) == 0)
            ;
        *time = quoll_now();
        (void)quoll_vcpu_irq(vm, 0, INJECTED);
    }
}

void component_thread(uint32_t number)
{
    uint32_t vcpu = quoll_handle("vcpu0", QUOLL_OBJECT_VCPU);
    uint64_t signals;
    if (number != 1)
        return;
    while (!__atomic_load_n(&loaded, __ATOMIC_SEQ_CST))
        (void)quoll_wait();
    for (;;) {
        if (quoll_vcpu_run(vcpu, &signals) != QUOLL_OK)
            quoll_fail("the guest cannot be run");
        if (signals != 0)
            continue;
        if (page->exit == QUOLL_EXIT_MMIO)
            serve_access();
        else if (page->exit == QUOLL_EXIT_CALL && !serve_call())
            break;
        else if (page->exit == QUOLL_EXIT_MEMORY)
            quoll_fail("the guest went astray at %lx", (unsigned long)page->registers.pc);
    }
    __atomic_store_n(&status->state, VM_OFF, __ATOMIC_SEQ_CST);
    (void)quoll_signal(quoll_handle("supervisor", QUOLL_OBJECT_CHANNEL));
}
