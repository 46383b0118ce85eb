/* Reports of faults; see report.h. */
#include "report.h"
#include "log.h"
#include "signal.h"

static void report_registers(const struct quoll_registers *registers)
{
    klog("  pc %016lx  sp %016lx  pstate %08lx", registers->pc, registers->sp, registers->pstate);
    for (uint32_t i = 0; i < 28; i += 4) {
        klog("  x%-2u %016lx %016lx %016lx %016lx", i, registers->x[i], registers->x[i + 1],
             registers->x[i + 2], registers->x[i + 3]);
    }
    klog("  x28 %016lx %016lx %016lx", registers->x[28], registers->x[29], registers->x[30]);
}

static void report_reach(const struct component *component)
{
    klog("  it may reach:");
    for (uint32_t i = 0; i < system_image.mapping_count; i++) {
        const struct image_mapping *mapping = &system_image.mappings[i];
        if (mapping->space_kind != IMAGE_SPACE_COMPONENT || mapping->space != component->index ||
            mapping->rights == 0) {
            continue;
        }
        const struct region *region = &regions[mapping->region];
        uint64_t size = mapping->size != 0 ? mapping->size : region->size - mapping->offset;
        klog("    %010lx-%010lx %c%c%c %s", mapping->address, mapping->address + size,
             mapping->rights & QUOLL_READ ? 'r' : '-', mapping->rights & QUOLL_WRITE ? 'w' : '-',
             mapping->rights & QUOLL_EXECUTE ? 'x' : '-', region->name);
    }
}

static void stop_component(struct core *core, const struct component *component)
{
    for (uint32_t i = 0; i < thread_count; i++) {
        if (threads[i].component == component) {
            thread_ask(&threads[i], THREAD_REQUEST_STOP, THREAD_REQUEST_RESTART);
            thread_poke(core, &threads[i]);
        }
    }
}

void component_fault(struct core *core, struct thread *thread, const char *what, uint64_t syndrome,
                     uint64_t address)
{
    struct component *component = thread->component;
    if (log_channel != NULL && log_channel->thread->component == component) {
        klog_take_back();
    }
    klog("component '%s' stopped: %s, address %lx", component->name, what, address);
    klog("  thread %u on core %u, ESR_EL2 %08lx", thread->number, core->index, syndrome);
    report_registers(&thread->registers);
    report_reach(component);
    stop_component(core, component);
    if (component->fault_channel != IMAGE_NONE) {
        const struct channel *channel = &channels[component->fault_channel];
        signal_raise(core, channel->thread, QUOLL_SIGNAL(channel->bit));
    }
}

void kernel_fault(struct core *core, const struct quoll_registers *registers, const char *what,
                  uint64_t syndrome, uint64_t address)
{
    static bool failed[QUOLL_MAX_CORES + 1]; /* the last: a core that does not know itself yet */
    bool *again = &failed[core != NULL ? core->index : QUOLL_MAX_CORES];
    if (*again) {
        arch_machine_off(); /* the report itself failed */
    }
    *again = true;
    klog_take_back();
    const struct thread *thread = core != NULL ? core->current : NULL;
    klog("the kernel itself failed: %s, address %lx, ESR_EL2 %08lx", what, address, syndrome);
    report_registers(registers);
    if (thread != NULL) {
        klog("  it was serving thread %u of component '%s'%s; its registers:", thread->number,
             thread->component->name, thread->in_guest ? " (in its guest)" : "");
        report_registers(thread->in_guest ? &thread->vcpu->page->registers : &thread->registers);
    }
    kpanic("halted; this is a bug in Quoll");
}
