/* The sources of the mains signal; see mains.h. */
#include "mains.h"

#include <quoll/power.h>

static struct {
    const struct power_source *source[CONFIG_MAX_POWER_SOURCES];
    uint32_t count;
} mains;

void mains_find(uint32_t count)
{
    if (count > CONFIG_MAX_POWER_SOURCES)
        quoll_fail("config names %u sources of the mains signal, at most %u are possible", count,
                   CONFIG_MAX_POWER_SOURCES);
    for (uint32_t i = 0; i < count; i++)
        mains.source[i] = quoll_memory(quoll_numbered("power", i), sizeof(struct power_source));
    mains.count = count;
}

bool mains_are_lost(void)
{
    for (uint32_t i = 0; i < mains.count; i++)
        if (power_is_lost(mains.source[i]))
            return true;
    return false;
}
