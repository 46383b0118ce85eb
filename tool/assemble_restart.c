/* Putting a system image together: what is restarted when it fails, and what a test kills. See assemble.h. */
#include "assemble_parts.h"

#include "paths.h"

#include <stdlib.h>
#include <string.h>

static void connect(struct assembly *assembly, uint32_t component, uint32_t number)
{
    struct model *model = assembly->model;
    uint32_t supervisor = assembly->supervisor;
    for (uint32_t i = 0; i < model->space[component].thread_count; i++) {
        char *thread = text_print("part%u.thread%u", number, i);
        model_object(model, supervisor, thread, QUOLL_OBJECT_THREAD,
                     model_thread(model, component, i), 0);
        free(thread);
    }
    char *fault = text_print("part%u.fault", number);
    model->component[component].fault_channel = model_channel(model, supervisor, 0, fault);
    free(fault);
}

void add_part(struct assembly *assembly, uint32_t component, uint32_t vm, uint32_t drain)
{
    struct supervisor_config *config = &assembly->supervisor_config;
    if (assembly->supervisor == NO_COMPONENT)
        return;
    if (config->part_count == CONFIG_MAX_PARTS) {
        report_failure(assembly->report,
                       "the system has more than %d components that are restarted when they fail; "
                       "write `restart: false` for some of them",
                       CONFIG_MAX_PARTS);
        return;
    }
    uint32_t number = config->part_count++;
    config->part[number].thread_count = assembly->model->space[component].thread_count;
    config->part[number].vm = vm;
    config->part[number].drain = drain;
    memcpy(config->part[number].name, assembly->model->component[component].name, QUOLL_NAME_SIZE);
    connect(assembly, component, number);
}

static void list_parts(const struct supervisor_config *config, char *text, size_t size)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < config->part_count; i++)
        snprintf(text + strlen(text), size - strlen(text), "%s%s", i ? ", " : "",
                 config->part[i].name);
}

static void add_kill(struct assembly *assembly, const struct kill *kill)
{
    struct supervisor_config *config = &assembly->supervisor_config;
    char known[1024];
    for (uint32_t i = 0; i < config->part_count; i++) {
        if (strcmp(config->part[i].name, kill->component) != 0)
            continue;
        config->part[i].kills = kill->times;
        config->part[i].kill_after_ns = kill->after;
        config->part[i].kill_every_ns = kill->every;
        return;
    }
    list_parts(config, known, sizeof known);
    report_error(assembly->report, node_place(kill->node),
                 "no component that is restarted has the name `%s`; there are: %s", kill->component,
                 config->part_count != 0 ? known : "none");
}

void add_kills(struct assembly *assembly)
{
    for (uint32_t i = 0; i < assembly->description->kill_count; i++)
        add_kill(assembly, &assembly->description->kills[i]);
}
