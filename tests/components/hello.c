/* The smallest component: says that it runs, what it was given, and powers the machine off when it may. */
#include <quoll/quoll.h>

void component_main(void)
{
    const struct quoll_environment *environment = quoll_environment();
    quoll_log("hello from %s, thread 0 of %u", environment->component, environment->thread_count);
    for (uint32_t i = 0; i < environment->entry_count; i++)
        quoll_log("it has %s", environment->entries[i].name);
    if (quoll_find(QUOLL_ENVIRONMENT_HANDLE, "machine") != NULL)
        quoll_machine_control(quoll_handle("machine", QUOLL_OBJECT_MACHINE), QUOLL_MACHINE_OFF);
}

void component_thread(uint32_t number)
{
    quoll_log("thread %u", number);
}
