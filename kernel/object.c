/* Where the kernel's objects are. */
#include "object.h"

struct component components[QUOLL_MAX_COMPONENTS];
struct thread threads[QUOLL_MAX_THREADS];
struct object objects[QUOLL_MAX_OBJECTS];
struct channel channels[QUOLL_MAX_CHANNELS];
struct irq irqs[QUOLL_MAX_IRQS];
struct region regions[QUOLL_MAX_REGIONS];
struct vm vms[QUOLL_MAX_VMS];
struct vcpu vcpus[QUOLL_MAX_VCPUS];
struct doorbell doorbells[QUOLL_MAX_DOORBELLS];
struct line lines[QUOLL_MAX_LINES];
struct core cores[QUOLL_MAX_CORES];
uint32_t component_count, thread_count, region_count, vm_count, vcpu_count, irq_count, core_count;
struct image system_image;
struct channel *log_channel;
