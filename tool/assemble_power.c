/* Putting a system image together: the sources of the mains signal. See assemble.h. */
#include "assemble_parts.h"

#include "paths.h"

#include <quoll/power.h>

#include <stdlib.h>

#define POWER_KEY_LINE 3 /* gpio-keys of QEMU's virt */

void add_power_source(struct assembly *assembly, uint32_t component)
{
    struct model *model = assembly->model;
    char *name = text_print("power%u", assembly->supervisor_config.power_count++);
    uint32_t region = model_ram(model, name, sizeof(struct power_source));
    model_map(model, component, region, "power", QUOLL_READ | QUOLL_WRITE);
    model_map(model, assembly->supervisor, region, name, QUOLL_READ);
    if (assembly->mains_channel == IMAGE_NONE)
        assembly->mains_channel = model_channel(model, assembly->supervisor, 0, "mains");
    model_may_signal(model, component, "mains", assembly->mains_channel);
    free(name);
}

static void add_gpio(struct assembly *assembly, const struct power_settings *power)
{
    static const enum powerkey_kind kinds[] = {[POWER_GPIO_KEY] = POWERKEY_KEY,
                                               [POWER_GPIO_HIGH] = POWERKEY_HIGH,
                                               [POWER_GPIO_LOW] = POWERKEY_LOW};
    const struct powerkey_config config = {
        .line = power->gpio == POWER_GPIO_KEY ? POWER_KEY_LINE : power->gpio_line,
        .kind = kinds[power->gpio],
    };
    struct model *model = assembly->model;
    uint32_t component = add_service(assembly, SERVICE_powerkey, "powerkey");
    uint32_t device = model_device(model, "arm,pl061", 0);
    add_registers(assembly, component, "registers", device);
    model_interrupt(model, component, 0, device, 0, "interrupt");
    add_power_source(assembly, component);
    add_config(assembly, component, &config, sizeof config);
}

static void add_line(struct assembly *assembly, const struct power_settings *power)
{
    struct model *model = assembly->model;
    uint32_t component = add_service(assembly, SERVICE_powerline, "powerline");
    uint32_t device = model_device(model, power->interrupt, power->instance);
    model_interrupt(model, component, 0, device, power->number, "interrupt");
    add_power_source(assembly, component);
}

void add_power(struct assembly *assembly)
{
    const struct power_settings *power = &assembly->description->power;
    assembly->supervisor_config.off_after_ns = power->off_after;
    if (power->gpio != POWER_GPIO_NONE)
        add_gpio(assembly, power);
    if (power->interrupt != NULL)
        add_line(assembly, power);
}
