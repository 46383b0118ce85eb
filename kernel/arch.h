/*
 * The boundary between the kernel and the machine. Each folder kernel/arch/<name> provides
 * "arch_types.h" (struct arch_core, struct arch_vcpu) and these functions; arch/host provides them as a
 * simulation inside a Linux process.
 */
#ifndef KERNEL_ARCH_H
#define KERNEL_ARCH_H

#include "types.h"
#include <arch_types.h>

struct core;
struct thread;
struct vcpu;

/* Time: the system counter. */
uint64_t arch_now(void);
uint64_t arch_frequency(void);
/* Programs this core's deadline interrupt; QUOLL_NEVER disarms. */
void arch_deadline_set(uint64_t deadline);

/* Interrupts. */
void arch_ipi_send(struct core *target);
/* Routes the SPI to the core and enables it. Boot only. */
void arch_irq_enable(uint32_t intid, struct core *core);
/* Ends the activation that delivered the interrupt, so that it can arrive again. */
void arch_irq_deactivate(uint32_t intid);

/* Machine. */
_Noreturn void arch_machine_off(void);
_Noreturn void arch_machine_reset(void);
_Noreturn void arch_halt(void);
void arch_early_putc(char c);

/* After translations were added: whoever is entered next finds them. */
void arch_tables_written(void);
/* After translations of the range were removed or changed: no core uses the old ones any more. */
struct stage2;
void arch_tlb_invalidate(const struct stage2 *space, ipaddr_t address, uint64_t size);

/* The core this runs on; NULL before it knows. */
struct core *arch_this_core(void);
/* Memory written through the kernel's cacheable mapping will be read with other attributes (a guest before it
 * switches its caches on, a device) or as instructions. */
void arch_memory_clean(paddr_t base, uint64_t size);
/* Zeroes memory; base and size are multiples of the page. */
void arch_memory_zero(paddr_t base, uint64_t size);

/* vCPUs (kernel/arch/aarch64/vcpu.c). */
/* Carries out page->request and checks page->registers. */
enum quoll_status arch_vcpu_prepare(struct core *core, struct vcpu *vcpu);
/* Whether an interrupt (virtual timer included) may be deliverable now: ends WFI. Never no when one is; yes, when the
 * interrupt page has not been looked at since it changed, for the look is made when the guest is entered. */
bool arch_vcpu_has_interrupt(struct vcpu *vcpu);

#endif
