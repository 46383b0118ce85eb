/* Reading a system description: what signals the loss of mains. See description.h. */
#include "description_parts.h"

#include <quoll/image.h>

#include <string.h>

#define GPIO_LINES 8
#define LONGEST_COMPATIBLE ((int)sizeof((struct image_device){0}.compatible) - 1)

static const struct power_settings no_power = {.vm = NO_POWER_VM};

bool power_is_signalled(const struct power_settings *power)
{
    return power->gpio != POWER_GPIO_NONE || power->interrupt != NULL || power->vm != NO_POWER_VM;
}

/* gpio: {line: 5, active: low} */
static void read_gpio(struct power_settings *power, struct node node)
{
    static const char *const keys[] = {"line", "active", NULL};
    if (!node_present(node) || !node_expect_map(node, "`gpio`"))
        return;
    if (power->gpio == POWER_GPIO_KEY)
        node_error(node, "`powerkey` is a line of the same GPIO controller; write one of the two");
    node_only_keys(node, "`gpio`", keys);
    if (!node_present(node_get(node, "line")))
        node_error(node, "which line? Write for example gpio: {line: 5, active: low}");
    power->gpio_line =
        (uint32_t)node_number(node_get(node, "line"), "`line`", 0, GPIO_LINES - 1, 0);
    const char *active = node_text(node_get(node, "active"), "`active`", "");
    power->gpio = strcmp(active, "low") == 0 ? POWER_GPIO_LOW : POWER_GPIO_HIGH;
    if (strcmp(active, "low") != 0 && strcmp(active, "high") != 0)
        node_error(node, "write the level that the line has while the mains are lost: active: low, "
                         "or active: high");
}

/* interrupt: COMPATIBLE | interrupt: {compatible: COMPATIBLE, instance: 0, number: 0} */
static void read_interrupt(struct power_settings *power, struct node node)
{
    static const char *const keys[] = {"compatible", "instance", "number", NULL};
    struct node compatible = node;
    if (!node_present(node))
        return;
    if (node_is_map(node)) {
        node_only_keys(node, "`interrupt`", keys);
        compatible = node_get(node, "compatible");
    }
    power->interrupt = node_text(compatible, "`interrupt`", "");
    power->instance = (uint32_t)node_number(
        node_is_map(node) ? node_get(node, "instance") : no_power.node, "`instance`", 0, 255, 0);
    power->number = (uint32_t)node_number(
        node_is_map(node) ? node_get(node, "number") : no_power.node, "`number`", 0, 255, 0);
    if (power->interrupt[0] == '\0' || (int)strlen(power->interrupt) > LONGEST_COMPATIBLE)
        node_error(node,
                   "the interrupt is that of a device tree node, named by its `compatible` of 1 to "
                   "%d characters; write for example interrupt: acme,power-monitor",
                   LONGEST_COMPATIBLE);
}

void read_power(struct description *description, struct node node)
{
    static const char *const keys[] = {"powerkey", "gpio", "interrupt", "vm", "off_after", NULL};
    struct power_settings *power = &description->power;
    *power = no_power;
    power->node = node;
    if (!node_is_map(node)) {
        const char *word = node_text(node, "`power_fail`", "none");
        if (strcmp(word, "powerkey") == 0)
            power->gpio = POWER_GPIO_KEY;
        else if (strcmp(word, "none") != 0)
            node_error(
                node,
                "`power_fail` cannot be `%s`; write none, powerkey, or what signals the loss "
                "of mains: {gpio: {line: 5, active: low}}, {interrupt: COMPATIBLE} or {vm: "
                "NAME}",
                word);
        return;
    }
    node_only_keys(node, "`power_fail`", keys);
    if (node_boolean(node_get(node, "powerkey"), "`powerkey`", false))
        power->gpio = POWER_GPIO_KEY;
    read_gpio(power, node_get(node, "gpio"));
    read_interrupt(power, node_get(node, "interrupt"));
    power->off_after = node_duration(node_get(node, "off_after"), "`off_after`", 0);
}

static bool uses_rapilog(const struct vm *vm)
{
    for (uint32_t i = 0; i < vm->volume_count; i++)
        if (vm->volumes[i].rapilog)
            return true;
    return false;
}

void read_power_vm(struct description *description)
{
    struct power_settings *power = &description->power;
    struct node node =
        node_is_map(power->node) ? node_get(power->node, "vm") : (struct node){NULL, NULL};
    const char *names[QUOLL_MAX_VMS + 1] = {NULL};
    if (!node_present(node))
        return;
    const char *name = node_text(node, "`vm`", "");
    for (uint32_t i = 0; i < description->vm_count; i++) {
        names[i] = description->vms[i].name;
        if (strcmp(names[i], name) == 0)
            power->vm = i;
    }
    if (power->vm == NO_POWER_VM) {
        const char *near = nearest_word(name, names);
        node_error(node, "there is no VM `%s` to tell of the mains%s%s%s", name,
                   near ? "; did you mean `" : "; write the name of one in `vms`", near ? near : "",
                   near ? "`?" : "");
        return;
    }
    power->vm_goes_on = !uses_rapilog(&description->vms[power->vm]);
    if (!power->vm_goes_on)
        node_warning(node,
                     "VM `%s` writes through RapiLog, so it stands still when it has told that the "
                     "mains are lost, and cannot tell that they are back; let a VM of its own "
                     "watch the mains",
                     name);
}
