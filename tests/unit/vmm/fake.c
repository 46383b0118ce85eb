/* See fake.h. */
#include "fake.h"
#include <quoll/quoll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake fake;
struct guest_ram ram;
struct vgic vgic;
struct quoll_vm_interrupts interrupts;

int fake_setup(void **state)
{
    (void)state;
    free(ram.bytes); /* from the heap, so that the sanitizer sees the slightest step outside */
    ram = (struct guest_ram){aligned_alloc(4096, RAM_BYTES), RAM_BYTES};
    memset(ram.bytes, 0, RAM_BYTES);
    fake = (struct fake){0};
    vgic_start(&vgic, &interrupts, 0, 4);
    return 0;
}

uint8_t *at(uint64_t address)
{
    return ram.bytes + (address - VIRT_RAM);
}

enum quoll_status quoll_vcpu_irq(uint32_t vm, uint32_t vcpu, uint32_t intid)
{
    if (intid == QUOLL_VCPU_IRQ_LOOK) {
        fake.looks++;
        fake.looked_at = vcpu;
    } else {
        assert_true(intid < 512);
        fake.pulses[intid]++;
    }
    return QUOLL_OK;
}

enum quoll_status quoll_signal(uint32_t channel)
{
    fake.signals++;
    return QUOLL_OK;
}

uint64_t quoll_wait(void)
{
    if (fake.wait == NULL)
        abort();
    return fake.wait();
}
uint64_t quoll_now(void)
{
    return fake.now;
}
uint64_t quoll_frequency(void)
{
    return 1000000;
}

void quoll_log(const char *format, ...)
{
    size_t used = strlen(fake.log);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fake.log + used, sizeof(fake.log) - used, format, arguments);
    va_end(arguments);
}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return (size_t)length;
}

void quoll_fail(const char *format, ...)
{
    abort();
}

/* The environment: empty. */
const struct quoll_environment_entry *quoll_find(enum quoll_environment_kind kind, const char *name)
{
    return NULL;
}
void *quoll_memory(const char *name, uint64_t minimum_size)
{
    abort();
}
uint32_t quoll_handle(const char *name, enum quoll_object_type type)
{
    abort();
}
uint64_t quoll_receive(const char *name)
{
    abort();
}
const char *quoll_numbered(const char *name, uint32_t number)
{
    return name;
}
