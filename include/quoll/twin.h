/*
 * The Linux twin of the Quoll kernel: components as threads of one process, for tests, sanitizers, fuzzers
 * and a debugger. Implements <quoll/quoll.h> (lib/linux/twin.c).
 *
 * A test builds a system, starts it, and takes part in it as a component itself:
 *
 *     struct twin *twin = twin_create();
 *     struct twin_component *test = twin_adopt(twin, "test");          this thread is its thread 0
 *     struct twin_component *disk = twin_component(twin, "disk", disk_main, NULL, 1);
 *     twin_link(disk, "client0", test, "disk0", BLOCK_LINK_BYTES);
 *     twin_start(twin);
 *     ... quoll_memory("disk0", ...), quoll_signal(...), twin_wait(1000) ...
 *     twin_destroy(twin);
 *
 * component_main() of several components in one process need names of their own: the test's meson.build compiles each
 * component with -Dcomponent_main=<name>_main (and -Dcomponent_thread=<name>_thread), for example
 *
 *     executable('test_volume', 'test_volume.c', files('../../../services/volume/volume.c'),
 *       c_args: test_arguments + ['-Dcomponent_main=volume_main'], dependencies: [quoll_twin_dep, cmocka])
 *
 * or, for several of them, one static_library() each. A component's static variables exist once per process: run it once per
 * test program, or let it set all of them up in component_main().
 *
 * Where the twin differs from the kernel: a suspended or stopped thread stops at its next call, not at once; budgets and
 * priorities mean nothing; physical addresses are the process's addresses. A component that calls
 * quoll_fail() ends the process with its message, unless the test said twin_expect_failure().
 */
#ifndef QUOLL_TWIN_H
#define QUOLL_TWIN_H

#include <quoll/quoll.h>

struct twin;
struct twin_component;
struct twin_irq;

struct twin *twin_create(void);
/* Stops every component, waits for its threads, frees all memory. */
void twin_destroy(struct twin *twin);
/* Starts the threads of every component that was not started yet. */
void twin_start(struct twin *twin);
/* Power cut: every component's threads end at their next call; returns when all have. Memory stays. */
void twin_stop(struct twin *twin);

/* thread may be NULL when threads is 1. */
struct twin_component *twin_component(struct twin *twin, const char *name, void (*main)(void),
                                      void (*thread)(uint32_t), uint32_t threads);
/* The calling thread becomes thread 0 of a new component. */
struct twin_component *twin_adopt(struct twin *twin, const char *name);
/* A crash: its threads end at their next call, its fault channel is raised; returns when they have. */
void twin_kill(struct twin_component *component);
/* quoll_fail() in it is a crash instead of the end of the test. */
void twin_expect_failure(struct twin_component *component);
/* What it failed with, or NULL. */
const char *twin_failure(struct twin_component *component);

/* The environment, before the component is started. */
void *twin_memory(struct twin *twin, size_t size); /* zeroed, page-aligned, the twin's */
void twin_give_memory(struct twin_component *component, const char *name, void *memory,
                      size_t size);
/* Not mapped, only its physical address is told: for DMA. */
void twin_tell_memory(struct twin_component *component, const char *name, void *memory,
                      size_t size);
/* Memory "config" with a copy of it. */
void twin_give_config(struct twin_component *component, const void *config, size_t size);
/* A channel of `from`, received by thread `thread` of `to`. */
void twin_connect(struct twin_component *from, const char *channel, struct twin_component *to,
                  uint32_t thread, const char *receive);
/* A link: shared memory of `size` bytes, and a channel each way, all named server_name for the server and
 * client_name for the client; both receive on thread 0. Returns the memory. */
void *twin_link(struct twin_component *server, const char *server_name,
                struct twin_component *client, const char *client_name, size_t size);
/* Raised on `channel`'s receiver when a thread of the component fails or it is killed. */
void twin_fault_channel(struct twin_component *component, struct twin_component *to,
                        uint32_t thread, const char *receive);
struct twin_irq *twin_give_irq(struct twin_component *component, uint32_t thread, const char *name);
void twin_give_thread(struct twin_component *component, const char *name,
                      struct twin_component *target, uint32_t number);
void twin_give_machine(struct twin_component *component, const char *name);
/* Signalling the line calls the function, in the caller's thread. */
void twin_give_line(struct twin_component *component, const char *name, void (*raise)(void *),
                    void *context);
/* The kernel log: memory "kernel-log" and receive "kernel-log". All components' log lines go there. */
void twin_give_kernel_log(struct twin_component *component, uint32_t thread);

/* A simulated guest for a VMM: objects "vm" and "vcpu0".. with these functions behind the calls. NULL: NOT_SUPPORTED.
 * run: one entry of the guest; it fills the vCPU page. An exit of QUOLL_EXIT_NONE in the page means that the guest idles:
 * the call then waits for a signal. */
struct twin_guest {
    void *context;
    struct quoll_vcpu_page *(*run)(void *context, uint32_t vcpu);
    enum quoll_status (*irq)(void *context, uint32_t vcpu, uint32_t intid);
    enum quoll_status (*map)(void *context, uint64_t address, uint64_t offset,
                             uint64_t size_and_rights);
    enum quoll_status (*unmap)(void *context, uint64_t address, uint64_t size);
};
void twin_give_guest(struct twin_component *component, const struct twin_guest *guest,
                     uint32_t vcpus);

/* While it runs; for the test's own thread. */
/* Like quoll_wait, but at most so long; 0: nothing arrived. */
uint64_t twin_wait(unsigned milliseconds);
/* As quoll_wait, until a signal of the mask has arrived; others are kept. false: not in that time. */
bool twin_await(uint64_t signals, unsigned milliseconds);
/* Level-triggered: it arrives once and again only after irq_ack. A raise before the ack arrives after it. */
void twin_irq_raise(struct twin_irq *irq);
uint32_t twin_irq_acks(const struct twin_irq *irq);
/* With which life the thread was last asked to begin anew; 0: never. The twin only notes it. */
uint64_t twin_life(struct twin_component *component, uint32_t thread);
bool twin_is_suspended(struct twin_component *component, uint32_t thread);
/* Waits for machine_control; false: not in that time. */
bool twin_await_machine(struct twin *twin, enum quoll_machine_operation *operation,
                        unsigned milliseconds);
/* Whether the text is in the log; and waiting for it. Each line starts "component: ". With QUOLL_TWIN_LOG set in the
 * process's environment the log goes to standard error too. */
bool twin_logged(struct twin *twin, const char *text);
bool twin_await_log(struct twin *twin, const char *text, unsigned milliseconds);

#endif
