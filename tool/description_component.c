/* Reading a system description: components of the user's own. See description.h. */
#include "description_parts.h"

#include <string.h>

#define PRIORITY_COMPONENT 50

/* Reports a map with more entries than there is room for; returns how many to read. */
static uint32_t limited(struct node node, const char *what)
{
    size_t length = node_length(node);
    if (length <= DESCRIPTION_MAX_ITEMS)
        return (uint32_t)length;
    node_error(node, "too many %s; a component can have %d", what, DESCRIPTION_MAX_ITEMS);
    return DESCRIPTION_MAX_ITEMS;
}

/* threads: 2 | threads: [{core: 1}, {core: 2, priority: 20}] */
static void read_threads(const struct description *description, struct component *component,
                         struct node owner)
{
    static const char *const keys[] = {"core", "priority", "budget", NULL};
    struct node node = node_get(owner, "threads");
    struct schedule schedule = {0, PRIORITY_COMPONENT, FULL_PERIOD, FULL_PERIOD};
    read_schedule(description, owner, &schedule);
    component->thread_count =
        node_is_list(node)
            ? limited(node, "threads")
            : (uint32_t)node_number(node, "`threads`", 1, DESCRIPTION_MAX_THREADS, 1);
    if (component->thread_count == 0) {
        node_error(node, "a component has at least one thread; write threads: 1");
        component->thread_count = 1;
    }
    for (uint32_t i = 0; i < component->thread_count; i++) {
        component->threads[i] = schedule;
        if (!node_is_list(node))
            continue;
        node_only_keys(node_value_at(node, i), "a thread", keys);
        read_schedule(description, node_value_at(node, i), &component->threads[i]);
    }
}

static void check_shared(const struct description *description, struct node node, const char *name)
{
    const char *names[DESCRIPTION_MAX_ITEMS + 1] = {NULL};
    for (uint32_t i = 0; i < description->shared_count; i++)
        names[i] = description->shared[i].name;
    for (uint32_t i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return;
    const char *near = nearest_word(name, names);
    node_error(node, "there is no shared memory `%s`; %s%s%s", name,
               near ? "did you mean `" : "declare it at the top: shared_memory: {",
               near ? near : name, near ? "`?" : ": 64 KiB}");
}

/* memory: {scratch: 64 KiB, pool: {shared: pool, writable: false}} */
static void read_memory(const struct description *description, struct component *component,
                        struct node node)
{
    static const char *const keys[] = {"size", "shared", "writable", NULL};
    if (!node_expect_map(node, "a component's `memory`"))
        return;
    node_unique_keys(node, "`memory`");
    component->memory_count = limited(node, "memory areas");
    for (uint32_t i = 0; i < component->memory_count; i++) {
        struct node key = node_key_at(node, i), value = node_value_at(node, i);
        struct memory_area *area = &component->memory[i];
        node_check_name(key, "memory", DESCRIPTION_NAME);
        *area = (struct memory_area){.name = node_text(key, "a name", ""), .writable = true};
        if (!node_is_map(value)) {
            area->size = node_size(value, "memory", 4096);
            continue;
        }
        node_only_keys(value, "memory", keys);
        area->size = node_size(node_get(value, "size"), "`size`", 4096);
        area->shared = node_text(node_get(value, "shared"), "`shared`", NULL);
        area->writable = node_boolean(node_get(value, "writable"), "`writable`", true);
        if (area->shared)
            check_shared(description, value, area->shared);
    }
}

/* channels: {ping: other} | channels: {ping: {to: other, thread: 1, as: ping}} */
static void read_channels(struct component *component, struct node node)
{
    static const char *const keys[] = {"to", "thread", "as", NULL};
    if (!node_expect_map(node, "`channels`"))
        return;
    node_unique_keys(node, "`channels`");
    component->channel_count = limited(node, "channels");
    for (uint32_t i = 0; i < component->channel_count; i++) {
        struct node key = node_key_at(node, i), value = node_value_at(node, i);
        struct channel_use *channel = &component->channels[i];
        node_check_name(key, "a channel", DESCRIPTION_NAME);
        *channel = (struct channel_use){.node = value, .name = node_text(key, "a name", "")};
        channel->as = channel->name;
        if (!node_is_map(value)) {
            channel->to = node_text(value, "a channel", "");
            continue;
        }
        node_only_keys(value, "a channel", keys);
        channel->to = node_text(node_get(value, "to"), "`to`", "");
        channel->as = node_text(node_get(value, "as"), "`as`", channel->name);
        channel->thread = (uint32_t)node_number(node_get(value, "thread"), "`thread`", 0,
                                                DESCRIPTION_MAX_THREADS - 1, 0);
    }
}

/* devices: {registers: {compatible: "arm,pl031", instance: 0, interrupt: true}} */
static void read_devices(struct component *component, struct node node)
{
    static const char *const keys[] = {"compatible", "instance", "interrupt", NULL};
    if (!node_expect_map(node, "a component's `devices`"))
        return;
    node_unique_keys(node, "`devices`");
    component->device_count = limited(node, "devices");
    for (uint32_t i = 0; i < component->device_count; i++) {
        struct node key = node_key_at(node, i), value = node_value_at(node, i);
        struct device_use *device = &component->devices[i];
        node_check_name(key, "a device", DESCRIPTION_NAME);
        *device = (struct device_use){.name = node_text(key, "a name", ""), .compatible = ""};
        if (!node_expect_map(value, "a device"))
            continue;
        node_only_keys(value, "a device", keys);
        device->compatible = node_text(node_get(value, "compatible"), "`compatible`", "");
        device->instance =
            (uint32_t)node_number(node_get(value, "instance"), "`instance`", 0, 255, 0);
        device->interrupt = node_boolean(node_get(value, "interrupt"), "`interrupt`", false);
        if (device->compatible[0] == '\0' || strlen(device->compatible) > 47)
            node_error(
                value,
                "a device is found by its `compatible` string of at most 47 characters; write "
                "for example compatible: \"arm,pl031\"");
    }
}

static void read_controls(struct component *component, struct node node)
{
    component->control_count = limited(node, "controlled components");
    for (uint32_t i = 0; i < component->control_count; i++)
        component->controls[i] = node_text(node_value_at(node, i), "a component's name", "");
}

static void read_component(struct description *description, struct node key, struct node node)
{
    static const char *const keys[] = {"elf",     "core",     "priority", "budget", "threads",
                                       "memory",  "channels", "devices",  "disks",  "rapilog",
                                       "machine", "controls", "restart",  NULL};
    if (!node_check_name(key, "a component", DESCRIPTION_NAME) ||
        !node_expect_map(node, "a component"))
        return;
    struct component *component = &description->components[description->component_count++];
    *component = (struct component){.node = key, .name = node_text(key, "a name", "")};
    node_only_keys(node, "a component", keys);
    component->elf_node = node_get(node, "elf");
    component->elf = node_text(component->elf_node, "`elf`", component->name);
    read_threads(description, component, node);
    read_memory(description, component, node_get(node, "memory"));
    read_channels(component, node_get(node, "channels"));
    read_devices(component, node_get(node, "devices"));
    read_controls(component, node_get(node, "controls"));
    read_volumes(description, node, component->volumes, &component->volume_count,
                 &component->rapilog);
    component->restart = node_boolean(node_get(node, "restart"), "`restart`", false);
    component->machine = node_boolean(node_get(node, "machine"), "`machine`", false);
}

static struct component *find_component(struct description *description, const char *name)
{
    for (uint32_t i = 0; i < description->component_count; i++)
        if (strcmp(description->components[i].name, name) == 0)
            return &description->components[i];
    return NULL;
}

static void check_names(struct description *description, const struct component *component)
{
    for (uint32_t i = 0; i < component->channel_count; i++) {
        const struct channel_use *channel = &component->channels[i];
        const struct component *to = find_component(description, channel->to);
        if (to == NULL)
            node_error(channel->node,
                       "there is no component `%s` to signal; name one of `components`",
                       channel->to);
        else if (channel->thread >= to->thread_count)
            node_error(channel->node, "component `%s` has no thread %u; write 0 to %u", channel->to,
                       channel->thread, to->thread_count - 1);
    }
    for (uint32_t i = 0; i < component->control_count; i++)
        if (find_component(description, component->controls[i]) == NULL)
            node_error(component->node,
                       "there is no component `%s` to control; name one of `components`",
                       component->controls[i]);
}

void read_components(struct description *description, struct node node)
{
    if (!node_expect_map(node, "`components`"))
        return;
    node_unique_keys(node, "`components`");
    for (size_t i = 0; i < node_length(node); i++) {
        struct node key = node_key_at(node, i), value = node_value_at(node, i);
        if (description->component_count == DESCRIPTION_MAX_COMPONENTS) {
            node_error(key, "too many components; a system can have %d of its own",
                       DESCRIPTION_MAX_COMPONENTS);
            return;
        }
        if (!node_present(value))
            node_error(key, "the component is empty; write `elf: PATH` below it, indented");
        read_component(description, key, value);
    }
    for (uint32_t i = 0; i < description->component_count; i++)
        check_names(description, &description->components[i]);
}
