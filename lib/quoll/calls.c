/*
 * The system calls: SVC #0 with the number in x8, arguments in x0..x4, status in x0 and up to two
 * values in x1 and x2 (abi.h). Numbers come from QUOLL_CALLS; no state; callable by every thread.
 */
#include <quoll/quoll.h>
#include <string.h>

struct answer {
    enum quoll_status status;
    uint64_t value;
};

static struct answer call(enum quoll_call number, uint64_t a0, uint64_t a1, uint64_t a2,
                          uint64_t a3, uint64_t a4)
{
    register uint64_t x8 __asm__("x8") = number;
    register uint64_t x0 __asm__("x0") = a0;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = a2;
    register uint64_t x3 __asm__("x3") = a3;
    register uint64_t x4 __asm__("x4") = a4;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2)
                     : "r"(x8), "r"(x3), "r"(x4)
                     : "memory");
    return (struct answer){(enum quoll_status)x0, x1};
}

uint64_t quoll_wait(void)
{
    return call(QUOLL_CALL_wait, 0, 0, 0, 0, 0).value;
}

enum quoll_status quoll_vcpu_run(uint32_t vcpu, uint64_t *signals)
{
    struct answer answer = call(QUOLL_CALL_vcpu_run, vcpu, 0, 0, 0, 0);
    *signals = answer.status == QUOLL_OK ? answer.value : 0;
    return answer.status;
}

enum quoll_status quoll_signal(uint32_t channel)
{
    return call(QUOLL_CALL_signal, channel, 0, 0, 0, 0).status;
}

enum quoll_status quoll_irq_ack(uint32_t irq)
{
    return call(QUOLL_CALL_irq_ack, irq, 0, 0, 0, 0).status;
}

enum quoll_status quoll_timer_set(uint64_t deadline)
{
    return call(QUOLL_CALL_timer_set, deadline, 0, 0, 0, 0).status;
}

enum quoll_status quoll_vcpu_irq(uint32_t vm, uint32_t vcpu, uint32_t intid)
{
    return call(QUOLL_CALL_vcpu_irq, vm, vcpu, intid, 0, 0).status;
}

enum quoll_status quoll_map(uint32_t vm, uint64_t address, uint32_t region, uint64_t offset,
                            uint64_t size_and_rights)
{
    return call(QUOLL_CALL_map, vm, address, region, offset, size_and_rights).status;
}

enum quoll_status quoll_unmap(uint32_t vm, uint64_t address, uint64_t size)
{
    return call(QUOLL_CALL_unmap, vm, address, size, 0, 0).status;
}

enum quoll_status quoll_protect(uint32_t vm, uint64_t address, uint64_t size, uint32_t rights)
{
    return call(QUOLL_CALL_protect, vm, address, size, rights, 0).status;
}

enum quoll_status quoll_thread_control(uint32_t thread, enum quoll_thread_operation operation)
{
    return call(QUOLL_CALL_thread_control, thread, operation, 0, 0, 0).status;
}

enum quoll_status quoll_thread_restart(uint32_t thread, uint64_t life)
{
    return call(QUOLL_CALL_thread_control, thread, QUOLL_THREAD_RESTART, life, 0, 0).status;
}

enum quoll_status quoll_thread_budget(uint32_t thread, uint64_t budget, uint64_t period)
{
    return call(QUOLL_CALL_thread_budget, thread, budget, period, 0, 0).status;
}

enum quoll_status quoll_machine_control(uint32_t machine, enum quoll_machine_operation operation)
{
    return call(QUOLL_CALL_machine_control, machine, operation, 0, 0, 0).status;
}

void quoll_debug_put(const char *text, size_t length)
{
    while (length > 0) {
        uint64_t words[4] = {0};
        size_t part = length < sizeof words ? length : sizeof words;
        memcpy(words, text, part);
        call(QUOLL_CALL_debug_put, part, words[0], words[1], words[2], words[3]);
        text += part;
        length -= part;
    }
}
