/*
 * The environment by name. It is written by the kernel at boot and read-only, so it is trusted as far as the kernel is;
 * what is missing in it is a mistake of the system image, which the message names. Callable by every thread.
 */
#include <lib/runtime.h>
#include <string.h>

static bool same_name(const char *a, const char *b)
{
    return strncmp(a, b, QUOLL_NAME_SIZE) == 0;
}

const struct quoll_environment_entry *quoll_find(enum quoll_environment_kind kind, const char *name)
{
    const struct quoll_environment *environment = quoll_environment();
    for (uint32_t i = 0; i < environment->entry_count; i++) {
        const struct quoll_environment_entry *entry = &environment->entries[i];
        if (entry->kind == kind && same_name(entry->name, name))
            return entry;
    }
    return NULL;
}

void *quoll_memory(const char *name, uint64_t minimum_size)
{
    const struct quoll_environment_entry *entry = quoll_find(QUOLL_ENVIRONMENT_MEMORY, name);
    if (entry == NULL || entry->address == 0)
        quoll_fail("the system image maps no memory \"%s\" for this component", name);
    if (entry->size < minimum_size)
        quoll_fail("memory \"%s\" has %lu bytes, but %lu are needed", name,
                   (unsigned long)entry->size, (unsigned long)minimum_size);
    return (void *)(uintptr_t)entry->address;
}

uint32_t quoll_handle(const char *name, enum quoll_object_type type)
{
    const struct quoll_environment *environment = quoll_environment();
    for (uint32_t i = 0; i < environment->entry_count; i++) {
        const struct quoll_environment_entry *entry = &environment->entries[i];
        if (entry->kind == QUOLL_ENVIRONMENT_HANDLE && entry->type == type &&
            same_name(entry->name, name))
            return entry->number;
    }
    quoll_fail("the system image gives this component no object \"%s\" of type %u", name,
               (unsigned)type);
}

uint64_t quoll_receive(const char *name)
{
    const struct quoll_environment_entry *entry = quoll_find(QUOLL_ENVIRONMENT_RECEIVE, name);
    if (entry == NULL)
        quoll_fail("the system image gives this component no signal \"%s\" to receive", name);
    return QUOLL_SIGNAL(entry->number);
}

const char *quoll_numbered(const char *name, uint32_t number)
{
    char *result = runtime_name_buffer();
    quoll_format(result, QUOLL_NAME_SIZE, "%s%u", name, number);
    return result;
}
