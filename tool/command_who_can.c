/*
 * quoll who-can <read|write|signal> NAME FILE: who can reach something, from the tables that the kernel will enforce.
 *
 * NAME is a VM (its memory), a component (its memory, or its threads) or a disk.
 */
#include "command.h"

#include "../kernel/image.h"
#include "assemble.h"

#include <argp.h>
#include <string.h>

struct question {
    const char *verb, *name, *path;
    uint32_t right; /* QUOLL_READ, QUOLL_WRITE, or 0: signal */
    const struct description *description;
    struct image image;
    uint32_t answers;
};

/* ------------------------------------------------------------------------------------------------
 * Memory
 */

static const char *space_name(const struct question *question, const struct image_mapping *mapping)
{
    return mapping->space_kind == IMAGE_SPACE_VM ? question->image.vms[mapping->space].name
                                                 : question->image.components[mapping->space].name;
}

static bool same_space(const struct image_mapping *a, const struct image_mapping *b)
{
    return a->space_kind == b->space_kind && a->space == b->space;
}

/* The VMs into which somebody may map the region page by page. */
static void tell_pages(struct question *question, uint32_t region, const char *name)
{
    const struct image *image = &question->image;
    for (uint32_t i = 0; i < image->component_count; i++)
        for (uint32_t j = 0; j < image->components[i].object_count; j++) {
            const struct image_object *object =
                &image->objects[image->components[i].first_object + j];
            if (object->type != QUOLL_OBJECT_REGION || object->index != region)
                continue;
            for (uint32_t vm = 0; vm < image->vm_count; vm++)
                if (image->vms[vm].component == i) {
                    printf("VM %s can %s its `%s`, where its VMM maps it\n", image->vms[vm].name,
                           question->verb, name);
                    question->answers++;
                }
        }
}

/* Everyone who has the region of `target`, a mapping of the thing asked about. */
static void tell_region(struct question *question, const struct image_mapping *target)
{
    const struct image_region *region = &question->image.regions[target->region];
    if (region->kind != IMAGE_REGION_RAM)
        return;
    for (uint32_t i = 0; i < question->image.mapping_count; i++) {
        const struct image_mapping *mapping = &question->image.mappings[i];
        if (mapping->region != target->region || !(mapping->rights & question->right) ||
            same_space(mapping, target))
            continue;
        printf("%s %s can %s its `%s`\n",
               mapping->space_kind == IMAGE_SPACE_VM ? "VM" : "component",
               space_name(question, mapping), question->verb,
               target->name[0] ? target->name : region->name);
        question->answers++;
    }
    tell_pages(question, target->region, target->name[0] ? target->name : region->name);
}

static bool is_disk_driver(const char *name)
{
    return strncmp(name, "nvme.", 5) == 0 || strncmp(name, "virtio.", 7) == 0;
}

/* No IOMMU is used yet: what a device is told to read or write is its driver's word alone. */
static void tell_devices(struct question *question)
{
    for (uint32_t i = 0; i < question->image.component_count; i++)
        if (is_disk_driver(question->image.components[i].name)) {
            printf("component %s could make its device %s it (no IOMMU is used)\n",
                   question->image.components[i].name, question->verb);
            question->answers++;
        }
}

static void tell_memory(struct question *question, enum image_space_kind kind, uint32_t space)
{
    for (uint32_t i = 0; i < question->image.mapping_count; i++) {
        const struct image_mapping *mapping = &question->image.mappings[i];
        if (mapping->space_kind == kind && mapping->space == space)
            tell_region(question, mapping);
    }
    tell_devices(question);
}

/* ------------------------------------------------------------------------------------------------
 * Signals
 */

static void tell_channel(struct question *question, const struct image_object *object,
                         const char *from, uint32_t component)
{
    if (object->type != QUOLL_OBJECT_CHANNEL)
        return;
    const struct image_channel *channel = &question->image.channels[object->index];
    const struct image_thread *thread = &question->image.threads[channel->thread];
    if (thread->component != component)
        return;
    printf("component %s can signal its thread %lu, as `%s`\n", from,
           (unsigned long)thread->argument, object->name);
    question->answers++;
}

static void tell_signals(struct question *question, uint32_t component)
{
    for (uint32_t i = 0; i < question->image.component_count; i++) {
        const struct image_component *from = &question->image.components[i];
        for (uint32_t j = 0; j < from->object_count; j++)
            tell_channel(question, &question->image.objects[from->first_object + j], from->name,
                         component);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Disks
 */

static void tell_volumes(struct question *question, uint32_t disk, const char *kind,
                         const char *name, const char *client, const struct volume_use volumes[],
                         uint32_t count)
{
    const char *disk_name = question->description->disks[disk].name;
    for (uint32_t i = 0; i < count; i++) {
        const struct volume_use *use = &volumes[i];
        if (use->disk != disk || (use->read_only && question->right == QUOLL_WRITE))
            continue;
        printf("%s %s can %s %s%s: through %s", kind, name, question->verb,
               use->label[0] ? "label " : "all of it", use->label, client);
        if (use->rapilog)
            printf("rapilog.%s, ", name);
        printf("volume.%s, %s.%s\n", disk_name,
               question->description->disks[disk].virtio ? "virtio" : "nvme", disk_name);
        question->answers++;
    }
}

static void tell_disk(struct question *question, uint32_t disk)
{
    const struct description *description = question->description;
    for (uint32_t i = 0; i < description->vm_count; i++) {
        char client[64];
        const struct vm *vm = &description->vms[i];
        snprintf(client, sizeof client, "vmm.%s, ", vm->name);
        tell_volumes(question, disk, "VM", vm->name, client, vm->volumes, vm->volume_count);
    }
    for (uint32_t i = 0; i < description->component_count; i++)
        tell_volumes(question, disk, "component", description->components[i].name, "",
                     description->components[i].volumes, description->components[i].volume_count);
}

/* ------------------------------------------------------------------------------------------------
 * What the name means
 */

/* false: nothing is called so. */
static bool answer(struct question *question)
{
    const struct description *description = question->description;
    bool found = false;
    for (uint32_t i = 0; i < description->disk_count && question->right; i++)
        if (strcmp(description->disks[i].name, question->name) == 0) {
            tell_disk(question, i);
            found = true;
        }
    for (uint32_t i = 0; i < question->image.vm_count; i++)
        if (strcmp(question->image.vms[i].name, question->name) == 0) {
            if (question->right)
                tell_memory(question, IMAGE_SPACE_VM, i);
            else
                tell_signals(question, question->image.vms[i].component);
            found = true;
        }
    for (uint32_t i = 0; i < question->image.component_count; i++)
        if (strcmp(question->image.components[i].name, question->name) == 0) {
            if (question->right)
                tell_memory(question, IMAGE_SPACE_COMPONENT, i);
            else
                tell_signals(question, i);
            found = true;
        }
    return found;
}

static void unknown_name(const struct question *question)
{
    fprintf(stderr, "quoll: nothing in %s is called `%s`; there are:", question->path,
            question->name);
    for (uint32_t i = 0; i < question->image.component_count; i++)
        fprintf(stderr, " %s", question->image.components[i].name);
    for (uint32_t i = 0; i < question->image.vm_count; i++)
        fprintf(stderr, " %s", question->image.vms[i].name);
    for (uint32_t i = 0; i < question->description->disk_count; i++)
        fprintf(stderr, " %s", question->description->disks[i].name);
    fputc('\n', stderr);
}

static int ask(struct question *question)
{
    struct content image;
    char reason[256];
    if (!assemble(question->description, &image))
        return EXIT_BAD;
    bool found = image_check(image.bytes, image.size, &question->image, reason, sizeof reason) &&
                 answer(question);
    if (!found)
        unknown_name(question);
    else if (question->answers == 0)
        printf("nobody else\n");
    content_free(&image);
    return found ? EXIT_GOOD : EXIT_BAD;
}

static error_t take(int key, char *argument, struct argp_state *state)
{
    struct question *question = state->input;
    if (key == ARGP_KEY_ARG && state->arg_num < 3) {
        const char **places[] = {&question->verb, &question->name, &question->path};
        *places[state->arg_num] = argument;
        return 0;
    }
    if (key == ARGP_KEY_END && state->arg_num < 3)
        argp_error(state, "write for example: quoll who-can write disk0 FILE");
    return ARGP_ERR_UNKNOWN;
}

int command_who_can(int argc, char **argv)
{
    static const struct argp argp = {.parser = take,
                                     .args_doc = "read|write|signal NAME FILE",
                                     .doc = "Lists who can read, write or signal something: a VM, "
                                            "a component or a disk of a system description."};
    static const char *const verbs[] = {"signal", "read", "write", NULL};
    struct question question = {0};
    struct report report = {.out = stderr};
    struct description description;
    argp_parse(&argp, argc, argv, 0, NULL, &question);
    uint32_t verb = 0;
    while (verbs[verb] != NULL && strcmp(verbs[verb], question.verb) != 0)
        verb++;
    if (verbs[verb] == NULL) {
        fprintf(stderr, "quoll: who can `%s`? Write read, write or signal\n", question.verb);
        return EXIT_USAGE;
    }
    question.right = verb; /* QUOLL_READ is 1, QUOLL_WRITE 2 */
    question.description = &description;
    int result =
        description_load(&description, question.path, NULL, &report) ? ask(&question) : EXIT_BAD;
    description_free(&description);
    return result;
}
