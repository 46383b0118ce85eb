/*
 * The interface between the Quoll kernel and components.
 *
 * A component thread issues SVC #0 with the call number in x8 and arguments in x0..x4. The kernel
 * answers with a status (enum quoll_status) in x0 and up to two values in x1 and x2; all other
 * registers are preserved. Objects are named by *handle*: the index of an entry in the component's
 * own object table, filled at boot from the system image. No call allocates anything.
 *
 * QUOLL_CALLS is the single list from which call numbers, the decoder's dispatch table, the stubs'
 * numbers, trace names, fuzz grammar and the manual's table are made.
 */
#ifndef QUOLL_ABI_H
#define QUOLL_ABI_H

#include <stdint.h>

/* CALL(number, name, number of arguments, summary) */
#define QUOLL_CALLS(CALL)                                                                          \
    CALL(0, wait, 0, "sleep until a signal arrives; take all pending signals")                     \
    CALL(1, vcpu_run, 1, "a wait with a guest inside: run the guest until it needs its VMM")       \
    CALL(2, signal, 1, "raise a channel's signal, or a line's guest interrupt")                    \
    CALL(3, irq_ack, 1, "a device interrupt has been served; let it arrive again")                 \
    CALL(4, timer_set, 1, "raise QUOLL_SIGNAL_TIMER at an absolute counter value")                 \
    CALL(5, vcpu_irq, 3, "make an interrupt pending in a guest, or have its state looked at anew") \
    CALL(6, map, 5, "map part of a region into a VM")                                              \
    CALL(7, unmap, 3, "remove a range from a VM")                                                  \
    CALL(8, protect, 4, "change the rights of a range of a VM")                                    \
    CALL(9, thread_control, 3, "suspend, resume or restart a thread")                              \
    CALL(10, thread_budget, 3, "change a thread's budget and period")                              \
    CALL(11, machine_control, 2, "power the machine off or reset it")                              \
    CALL(12, debug_put, 5, "append up to 32 bytes to the thread's line of the kernel log")

enum quoll_call {
#define CALL(number, name, arguments, summary) QUOLL_CALL_##name = number,
    QUOLL_CALLS(CALL)
#undef CALL
        QUOLL_CALL_COUNT
};

/* STATUS(number, name, text) */
#define QUOLL_STATUSES(STATUS)                                                                     \
    STATUS(0, OK, "done")                                                                          \
    STATUS(1, BAD_CALL, "no such call")                                                            \
    STATUS(2, BAD_HANDLE, "handle outside the component's object table")                           \
    STATUS(3, WRONG_TYPE, "the handle names an object of another type")                            \
    STATUS(4, BAD_ARGUMENT, "an argument is out of range")                                         \
    STATUS(5, NOT_ALLOWED, "the object's rights do not cover this")                                \
    STATUS(6, BUSY, "the object is in use")                                                        \
    STATUS(7, NOT_SUPPORTED, "this machine cannot do that")

enum quoll_status {
#define STATUS(number, name, text) QUOLL_##name = number,
    QUOLL_STATUSES(STATUS)
#undef STATUS
        QUOLL_STATUS_COUNT
};

#define QUOLL_PAGE_SIZE 4096ULL

/* Limits of one system; the host tool refuses a description that exceeds them. */
enum quoll_limit {
    QUOLL_MAX_CORES = 16,
    QUOLL_MAX_COMPONENTS = 64,
    QUOLL_MAX_THREADS = 128,
    QUOLL_MAX_THREADS_PER_CORE = 64,
    QUOLL_MAX_REGIONS = 512,
    QUOLL_MAX_MAPPINGS = 1024,
    QUOLL_MAX_OBJECTS = 1024,
    QUOLL_MAX_CHANNELS = 512,
    QUOLL_MAX_IRQS = 64,
    QUOLL_MAX_DEVICES = 32,
    QUOLL_MAX_VMS = 16,
    QUOLL_MAX_VCPUS = 64,
    QUOLL_MAX_VCPUS_PER_VM = 16,
    QUOLL_MAX_DOORBELLS = 128,
    QUOLL_MAX_LINES = 128,
};

/* Signals: a thread has 64 of them, as bits of one word. The upper ones are the kernel's. */
#define QUOLL_SIGNAL(bit) (UINT64_C(1) << (bit))
#define QUOLL_SIGNAL_TIMER_BIT 63
#define QUOLL_SIGNAL_TIMER QUOLL_SIGNAL(QUOLL_SIGNAL_TIMER_BIT)
#define QUOLL_SIGNAL_CHANNELS 62 /* channel and IRQ bits are 0..61 */

/* timer_set: this deadline disarms. Deadlines are absolute values of CNTVCT_EL0. */
#define QUOLL_NEVER UINT64_MAX

/* Rights of a mapping. Writable and executable together are refused for components (W^X), allowed
 * for VMs, whose memory is their own business. */
enum quoll_rights {
    QUOLL_READ = 1,
    QUOLL_WRITE = 2,
    QUOLL_EXECUTE = 4,
    QUOLL_UNCACHED = 8, /* Device-nGnRE; required for device regions */
};

/* Types of objects that a handle can name. */
enum quoll_object_type {
    QUOLL_OBJECT_NONE,
    QUOLL_OBJECT_CHANNEL, /* signal: raises one bit of one thread */
    QUOLL_OBJECT_LINE,    /* signal: makes one SPI pending in one VM */
    QUOLL_OBJECT_IRQ,     /* irq_ack */
    QUOLL_OBJECT_VCPU,    /* vcpu_run, by the vCPU's own thread only */
    QUOLL_OBJECT_VM,      /* vcpu_irq, map, unmap, protect */
    QUOLL_OBJECT_REGION,  /* map */
    QUOLL_OBJECT_THREAD,  /* thread_control, thread_budget */
    QUOLL_OBJECT_MACHINE, /* machine_control */
    QUOLL_OBJECT_RECEIVE, /* no authority: names a signal bit on which the component receives */
    QUOLL_OBJECT_TYPE_COUNT
};

enum quoll_thread_operation { QUOLL_THREAD_SUSPEND, QUOLL_THREAD_RESUME, QUOLL_THREAD_RESTART };
enum quoll_machine_operation { QUOLL_MACHINE_OFF, QUOLL_MACHINE_RESET };

/*
 * The calls, as seen by a component (stubs in <quoll/quoll.h>):
 *
 * wait() -> x1: the signals that were pending, at least one; they are taken.
 *
 * vcpu_run(vcpu) -> x1: signals taken. When x1 is 0 the guest needs its VMM and the vCPU page
 *     (struct quoll_vcpu_page) tells why. Signals already pending make it return at once. Only the
 *     vCPU's handler thread may call it. BAD_ARGUMENT: the page holds a state that cannot be entered
 *     (exception level above EL1, AArch32).
 *
 * signal(channel or line)
 *
 * irq_ack(irq)
 *
 * timer_set(deadline): one one-shot timer per thread; setting it anew replaces the deadline; a
 *     deadline in the past fires at once.
 *
 * vcpu_irq(vm, vcpu index, INTID): latches INTID pending in the VM (an SGI or PPI of that vCPU, or
 *     an SPI: the vCPU index is then ignored). INTID QUOLL_VCPU_IRQ_LOOK latches nothing but makes the kernel
 *     look at the vCPU's (for QUOLL_VCPU_ALL: every vCPU's) interrupt page state anew, after the
 *     VMM has changed it.
 *
 * map(vm, guest-physical address, region, offset in region, size | rights)
 * unmap(vm, guest-physical address, size), protect(vm, guest-physical address, size, rights):
 *     addresses and sizes are multiples of QUOLL_PAGE_SIZE, inside a range that the system description
 *     declares as paged for this VM; its tables exist since boot, so that nothing is allocated. At most
 *     QUOLL_MAP_BYTES per call, so that no call takes long.
 *
 * thread_control(thread, operation, life): a suspended thread stops wherever it is, a guest inside it
 *     too; resume lets it go on. Restart takes it back to its entry point, with the registers that it had at boot
 *     but for `life` in x2 (at boot: 0); a thread that a fault has stopped runs again. With the life that the thread has
 *     already, nothing happens. Its timer is disarmed; signals
 *     that have arrived stay pending, its vCPU, its budget and all memory stay as they are, and suspended it
 *     stays suspended. No thread can restart itself (NOT_ALLOWED). On another core the effect is not immediate (one
 *     inter-processor interrupt later). Restarts asked for one after the other may become one, with the last life. Of
 *     those asked for at the same time, by two cores, at least one is begun, each at most once, in whatever
 *     order: whose life the thread has in the end is open, so a thread should have one restarter.
 *
 * thread_budget(thread, budget, period): counter ticks; 0 < budget <= period.
 *
 * machine_control(machine, operation): does not return when it succeeds.
 *
 * debug_put(length, w0, w1, w2, w3): length 0..32 bytes, packed little-endian in four words. The kernel
 *     appends them to the thread's line and logs the line, prefixed with the component's name, at '\n'
 *     or after QUOLL_DEBUG_LINE bytes.
 */
#define QUOLL_MAP_BYTES (UINT64_C(2) << 20)
#define QUOLL_DEBUG_LINE 160
#define QUOLL_VCPU_IRQ_LOOK UINT32_MAX
#define QUOLL_VCPU_ALL UINT32_MAX

/* ------------------------------------------------------------------------------------------------
 * The vCPU page: shared by the kernel and the VMM, one page per vCPU. While the guest runs it
 * belongs to the kernel; after vcpu_run returned, to the VMM, which may change anything in it.
 * The kernel reads every field once and checks what it reads.
 */

/* The registers of a context: also the kernel's own layout for component threads. */
struct quoll_registers {
    uint64_t x[31];
    uint64_t sp; /* SP_EL0 */
    uint64_t pc;
    uint64_t pstate; /* SPSR_EL2 layout */
};

/* EXIT(number, name, summary): why vcpu_run returned with no signal */
#define QUOLL_EXITS(EXIT)                                                                          \
    EXIT(0, NONE, "no exit yet")                                                                   \
    EXIT(1, MMIO, "access to unmapped guest-physical memory, decoded")                             \
    EXIT(2, CALL, "HVC or SMC; the SMCCC function number is in x[0], pc is past the instruction")  \
    EXIT(3, MEMORY, "instruction fetch, undecodable access or rights violation; pc unchanged")

enum quoll_exit {
#define EXIT(number, name, summary) QUOLL_EXIT_##name = number,
    QUOLL_EXITS(EXIT)
#undef EXIT
        QUOLL_EXIT_COUNT
};

/* Requests of the VMM to the kernel, in `request`; taken (zeroed) by the next vcpu_run. */
enum quoll_vcpu_request {
    QUOLL_VCPU_RESET = 1,      /* system registers, FP state and private interrupts to their reset
                                  values; general registers, pc, pstate are taken from the page */
    QUOLL_VCPU_FINISH_MMIO = 2 /* complete the MMIO exit: a load's `mmio.value` goes to its register
                                  (sized and sign-extended), pc moves past the instruction */
    ,
    QUOLL_VCPU_INJECT_ABORT =
        4, /* raise a synchronous external abort in the guest at the exit's address */
    QUOLL_VCPU_INJECT_UNDEFINED = 8 /* raise an Undefined Instruction exception */
};

struct quoll_vcpu_page {
    struct quoll_registers registers; /* first: the kernel's vectors store here directly */
    uint32_t request;                 /* VMM to kernel: enum quoll_vcpu_request bits */
    uint32_t exit;                    /* kernel to VMM: enum quoll_exit */
    uint64_t syndrome;                /* ESR_EL2 of the exit */
    uint64_t address;                 /* guest-physical address (MMIO, MEMORY) */
    uint64_t virtual_address;         /* FAR_EL2 */
    struct {
        uint64_t value; /* store: the value, zero-extended; load: to be filled in by the VMM */
        uint8_t size;   /* 1, 2, 4 or 8 bytes */
        uint8_t write;  /* 1: store */
        uint8_t reg;    /* register number, 31: zero register */
        uint8_t flags;  /* bit 0: sign-extend, bit 1: 64-bit register */
        uint32_t reserved;
    } mmio;
    uint64_t exits[8]; /* counters: 0 all, 1 to the VMM, 2 interrupts, 3 WFI, 4 SGI, 5 doorbell,
                          6 system register, 7 virtual timer; written by the kernel only */
};

/* ------------------------------------------------------------------------------------------------
 * The interrupt page: one per VM, shared by the kernel and the VMM. The VMM models the GICv3
 * distributor and redistributors on it; the kernel takes pending bits from it into list registers.
 * All bitmap words are changed with atomic operations by both sides. Whatever it holds
 * concerns this VM only.
 *
 * An interrupt is deliverable to a vCPU when (pending or level) and enabled. Taking it into a list
 * register clears `pending` (not `level`); a level interrupt that is still asserted when the guest
 * deactivates it is delivered again.
 */
#define QUOLL_VM_SPIS 256 /* INTIDs 32..287, as on QEMU's virt machine */

struct quoll_vcpu_interrupts { /* INTIDs 0..31 of one vCPU: bit n is INTID n */
    uint32_t pending;
    uint32_t enabled;
    uint32_t level;  /* asserted level-triggered inputs */
    uint32_t group1; /* 1: group 1 (as Linux uses) */
    uint8_t priority[32];
};

struct quoll_vm_interrupts { /* SPIs: bit (n - 32) is INTID n */
    uint64_t pending[QUOLL_VM_SPIS / 64];
    uint64_t enabled[QUOLL_VM_SPIS / 64];
    uint64_t level[QUOLL_VM_SPIS / 64];
    uint64_t group1[QUOLL_VM_SPIS / 64];
    uint8_t priority[QUOLL_VM_SPIS];
    uint8_t target[QUOLL_VM_SPIS]; /* vCPU index; out of range: not delivered */
    uint32_t distributor_enabled;  /* GICD_CTLR.EnableGrp1: 0 holds back everything */
    uint32_t reserved[15];
    struct quoll_vcpu_interrupts vcpu[QUOLL_MAX_VCPUS_PER_VM];
};

_Static_assert(sizeof(struct quoll_vcpu_page) <= QUOLL_PAGE_SIZE, "one page");
_Static_assert(sizeof(struct quoll_vm_interrupts) <= QUOLL_PAGE_SIZE, "one page");

/* ------------------------------------------------------------------------------------------------
 * The environment: what a component is told at its start, mapped read-only at
 * QUOLL_ENVIRONMENT_ADDRESS. Written by the kernel at boot from the system image, with the addresses found on this machine.
 */
#define QUOLL_ENVIRONMENT_ADDRESS 0x10000000ULL
#define QUOLL_ENVIRONMENT_MAGIC 0x766e656c6c6f7571ULL /* "quollenv" */
#define QUOLL_NAME_SIZE 32                            /* with the terminating zero */

enum quoll_environment_kind {
    QUOLL_ENVIRONMENT_MEMORY = 1, /* a named mapping: address, size, physical */
    QUOLL_ENVIRONMENT_HANDLE,     /* a named object: number is the handle, type its type */
    QUOLL_ENVIRONMENT_RECEIVE, /* a named signal: number is the bit, thread the receiving thread */
};

struct quoll_environment_entry {
    char name[QUOLL_NAME_SIZE];
    uint16_t kind; /* enum quoll_environment_kind */
    uint16_t type; /* HANDLE: enum quoll_object_type; MEMORY: enum quoll_rights */
    uint16_t number;
    uint16_t thread;
    uint64_t address;  /* in the component's address space */
    uint64_t size;     /* bytes */
    uint64_t physical; /* of the first byte, for DMA; regions are physically contiguous */
};

struct quoll_environment {
    uint64_t magic;
    char component[QUOLL_NAME_SIZE];
    uint64_t counter_frequency; /* Hz of CNTVCT_EL0 */
    uint32_t thread_count;
    uint32_t entry_count;
    struct quoll_environment_entry entries[];
};

#endif
