/* See driver.h. */
#include "driver.h"
#include "random.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUPERVISOR_SLEEPS 100000u

struct options options = {.seed = 1};
static double started;

static double clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void options_read(int count, char **arguments)
{
    started = clock_now();
    for (int i = 1; i < count; i += 2) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (value != NULL && strcmp(name, "--seed") == 0) {
            options.seed = strtoull(value, NULL, 0);
        } else if (value != NULL && strcmp(name, "--seconds") == 0) {
            options.seconds = strtod(value, NULL);
        } else if (value != NULL && strcmp(name, "--calls") == 0) {
            options.calls = strtoull(value, NULL, 0);
        } else if (value != NULL && strcmp(name, "--world") == 0) {
            options.seed = strtoull(value, NULL, 0);
            options.one_world = true;
        } else {
            fprintf(
                stderr,
                "usage: %s [--seed N] [--seconds S] [--calls N] | --world SEED (only that one)\n",
                arguments[0]);
            exit(2);
        }
    }
    if (!options.one_world && options.seconds <= 0 && options.calls == 0)
        options.calls = 1000000;
}

double driver_seconds(void)
{
    return clock_now() - started;
}

bool driver_finished(uint64_t calls)
{
    return (options.calls != 0 && calls >= options.calls) ||
           (options.seconds > 0 && driver_seconds() >= options.seconds);
}

bool driver_vm_handle(const struct thread *thread, uint64_t *handle)
{
    const struct component *component = thread->component;
    for (uint32_t i = 0; i < component->object_count; i++) {
        if (objects[component->first_object + i].type == QUOLL_OBJECT_VM) {
            *handle = i;
            return true;
        }
    }
    return false;
}

bool driver_is_forgetful(const struct thread *thread)
{
    return thread->index >= world.supervisor &&
           (!thread->alarm.armed || thread->alarm.deadline > arch_now() + SUPERVISOR_SLEEPS);
}

static void set_words(uint64_t *words, uint32_t count, uint64_t bits)
{
    for (uint32_t i = 0; i < count; i++)
        __atomic_store_n(&words[i], bits & random_word(), __ATOMIC_SEQ_CST);
}

void driver_scribble(struct vm *vm)
{
    struct quoll_vm_interrupts *page = vm->interrupts;
    uint32_t spi = random_below(QUOLL_VM_SPIS), vcpu = random_below(QUOLL_MAX_VCPUS_PER_VM);
    __atomic_store_n(&page->target[spi], (uint8_t)random_below(8), __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->priority[spi], (uint8_t)random_word(), __ATOMIC_SEQ_CST);
    switch (random_below(6)) {
    case 0:
        set_words(page->enabled, ARRAY_SIZE(page->enabled), UINT64_MAX);
        break;
    case 1:
        set_words(page->level, ARRAY_SIZE(page->level), random_word() & random_word());
        break;
    case 2:
        set_words(page->level, ARRAY_SIZE(page->level), 0);
        break;
    case 3:
        __atomic_store_n(&page->vcpu[vcpu].enabled, (uint32_t)random_word(), __ATOMIC_SEQ_CST);
        break;
    case 4:
        __atomic_store_n(&page->distributor_enabled, !random_once_in(8), __ATOMIC_SEQ_CST);
        break;
    default:
        __atomic_store_n(&page->vcpu[vcpu].pending, 0, __ATOMIC_SEQ_CST);
        break;
    }
}

void driver_enable_interrupts(struct vm *vm)
{
    struct quoll_vm_interrupts *page = vm->interrupts;
    page->distributor_enabled = 1;
    memset(page->enabled, 0xff, sizeof(page->enabled));
    memset(page->group1, 0xff, sizeof(page->group1));
    for (uint32_t i = 0; i < QUOLL_MAX_VCPUS_PER_VM; i++)
        page->vcpu[i].enabled = page->vcpu[i].group1 = UINT32_MAX;
    for (uint32_t i = 0; i < QUOLL_VM_SPIS; i++)
        page->target[i] = (uint8_t)random_below(4);
}

void counts_add(struct counts *counts, const struct random_call *call, uint64_t status)
{
    uint64_t number = call->number < QUOLL_CALL_COUNT ? call->number : QUOLL_CALL_COUNT;
    counts->calls++;
    counts->answers[number][status < QUOLL_STATUS_COUNT ? status : QUOLL_BAD_CALL]++;
}

void counts_print(const struct counts *counts, uint64_t worlds)
{
    static const char *const names[] = {
#define CALL(number, name, arguments, summary) [number] = #name,
        QUOLL_CALLS(CALL)
#undef CALL
            [QUOLL_CALL_COUNT] = "unknown"};
    printf("%-16s %10s %10s\n", "call", "done", "refused");
    for (uint32_t i = 0; i <= QUOLL_CALL_COUNT; i++) {
        uint64_t refused = 0;
        for (uint32_t status = 1; status < QUOLL_STATUS_COUNT; status++)
            refused += counts->answers[i][status];
        printf("%-16s %10lu %10lu\n", names[i], counts->answers[i][QUOLL_OK], refused);
    }
    double seconds = driver_seconds();
    printf("%lu calls in %lu worlds, %.1f s, %.0f calls/s\n", counts->calls, worlds, seconds,
           (double)counts->calls / seconds);
}
