/* Putting a system image together: one VM and its VMM. See assemble.h. */
#include "assemble_parts.h"

#include "paths.h"

#include <quoll/guest_queue.h>
#include <quoll/life.h>
#include <quoll/stream.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/random.h>
#include <unistd.h>

#define READ_WRITE (QUOLL_READ | QUOLL_WRITE)
#define GUEST_RAM_ADDRESS 0x40000000ULL
/* virtio-mmio 1.2, 4.2.2: QueueNotify of the transport in a slot */
#define SLOT_ADDRESS 0x0a000000ULL
#define SLOT_SIZE 0x200u
#define QUEUE_NOTIFY 0x50u
#define FIRST_SPI (32u + 16u) /* INTID of slot 0's interrupt */
#define BLOCK (2ULL << 20)
/* Documentation/arch/arm64/booting.rst: magic number of an Image, at offset 56 */
#define IMAGE_MAGIC_OFFSET 56u

/* ------------------------------------------------------------------------------------------------
 * Payloads
 */

/* ${QUOLL_BUILD}/guests/NAME/... is made by guests/NAME/build. */
static void make_guest(struct assembly *assembly, const char *path)
{
    char name[32], *folder = text_print("%s/guests/", paths_build());
    if (access(path, F_OK) != 0 && strncmp(path, folder, strlen(folder)) == 0 &&
        sscanf(path + strlen(folder), "%31[a-z0-9-]/", name) == 1) {
        char *script = text_print("%s/guests/%s/build", paths_root(), name);
        char *command = text_print("'%s' '%s%s' >&2", script, folder, name);
        if (access(script, X_OK) == 0) {
            report_progress(assembly->report, "making the guest `%s` (guests/%s/build)", name,
                            name);
            if (system(command) != 0)
                report_failure(assembly->report, "guests/%s/build failed; see above", name);
        }
        free(script);
        free(command);
    }
    free(folder);
}

static bool read_payload(struct assembly *assembly, struct content *content, const char *name,
                         struct node node, const char *what)
{
    char *path = description_path(assembly->description, name);
    make_guest(assembly, path);
    bool good = content_read(
        content, path, assembly->report, node_place(node), what,
        "correct the path (relative to the description's folder, or ${QUOLL_BUILD}/...)");
    free(path);
    return good;
}

static bool read_kernel(struct assembly *assembly, const struct vm *vm, struct content *kernel)
{
    static const uint8_t magic[4] = {'A', 'R', 'M', 'd'};
    struct place place = node_place(vm->kernel_node);
    if (!read_payload(assembly, kernel, vm->kernel, vm->kernel_node, "the kernel"))
        return false;
    if (!content_unpack(kernel, vm->kernel, assembly->report, place))
        return false;
    if (kernel->size >= IMAGE_MAGIC_OFFSET + sizeof magic &&
        memcmp(kernel->bytes + IMAGE_MAGIC_OFFSET, magic, sizeof magic) == 0)
        return true;
    report_error(assembly->report, place,
                 "`%s` is no arm64 Linux Image; give a kernel's arch/arm64/boot/Image, or Debian's "
                 "vmlinuz for arm64",
                 vm->kernel);
    return false;
}

static bool add_payloads(struct assembly *assembly, const struct vm *vm, uint32_t vmm,
                         struct vmm_config *config)
{
    struct model *model = assembly->model;
    struct content kernel = {0}, initrd = {0};
    if (!read_kernel(assembly, vm, &kernel)) {
        content_free(&kernel);
        return false;
    }
    config->kernel_size = kernel.size;
    model_map(model, vmm, model_payload(model, "kernel", kernel), "kernel", QUOLL_READ);
    if (vm->initrd == NULL)
        return true;
    if (!read_payload(assembly, &initrd, vm->initrd, vm->initrd_node, "the initrd"))
        return false;
    if (initrd.size == 0) {
        node_error(vm->initrd_node,
                   "the initrd `%s` is empty; make it again, or leave `initrd` out", vm->initrd);
        return false;
    }
    config->initrd_size = initrd.size;
    model_map(model, vmm, model_payload(model, "initrd", initrd), "initrd", QUOLL_READ);
    return true;
}

/* The guest's RAM must hold what is loaded into it, each thing in blocks of its own. A nonsensical header is left to the
 * VMM, which says what is wrong with it. */
static void check_size(const struct vm *vm, const struct vmm_config *config)
{
    uint64_t needed = 0, parts[] = {config->kernel_size, config->initrd_size, BLOCK};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        needed += (parts[i] + BLOCK - 1) / BLOCK * BLOCK;
    if (needed > vm->memory)
        node_error(vm->node,
                   "VM `%s` has %lu MiB of memory, too little for its kernel and initrd; write "
                   "memory: %lu MiB",
                   vm->name, (unsigned long)(vm->memory >> 20),
                   (unsigned long)((needed >> 21) + 1) * 2);
}

/* ------------------------------------------------------------------------------------------------
 * The VMM
 */

static uint32_t add_vmm(struct assembly *assembly, const struct vm *vm)
{
    struct schedule threads[1 + QUOLL_MAX_VCPUS_PER_VM] = {vm->devices};
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        threads[1 + i] = vm->vcpus;
        threads[1 + i].core = vm->vcpu_core[i];
    }
    char *name = text_print("vmm.%s", vm->name);
    uint32_t component =
        add_component(assembly, name, "vmm", threads, 1 + vm->vcpu_count, node_place(vm->node));
    free(name);
    return component;
}

static void add_vcpus(struct assembly *assembly, const struct vm *vm, uint32_t vmm,
                      uint32_t vm_index)
{
    struct model *model = assembly->model;
    uint32_t to_device = model_channel(model, vmm, 0, "from-vcpu");
    model_may_signal(model, vmm, "to-device", to_device);
    for (uint32_t i = 0; i < vm->vcpu_count && model->vcpu_count < QUOLL_MAX_VCPUS; i++) {
        char *name = text_print("vcpu%u", i), *kick = text_print("kick%u", i);
        char *to = text_print("to-vcpu%u", i);
        uint32_t page = model_ram(model, name, QUOLL_PAGE_SIZE);
        model_map(model, vmm, page, name, READ_WRITE);
        model_object(model, vmm, name, QUOLL_OBJECT_VCPU, model->vcpu_count, 0);
        model->vcpu[model->vcpu_count++] = (struct image_vcpu){
            .vm = vm_index, .thread = model_thread(model, vmm, 1 + i), .page = page};
        model_signal(model, vmm, to, vmm, 1 + i, kick);
        free(name);
        free(kick);
        free(to);
    }
}

/* QueueNotify of the transport in this slot becomes a signal to `component`. */
static void add_doorbell(struct assembly *assembly, uint32_t component, const char *receive,
                         uint32_t vm_index, uint32_t slot)
{
    struct model *model = assembly->model;
    uint32_t channel = model_channel(model, component, 0, receive);
    if (model->doorbell_count < QUOLL_MAX_DOORBELLS)
        model->doorbell[model->doorbell_count++] = (struct image_doorbell){
            .vm = vm_index,
            .channel = channel,
            .address = SLOT_ADDRESS + (uint64_t)slot * SLOT_SIZE + QUEUE_NOTIFY,
            .size = 4};
    else
        model->overflow = "doorbell";
}

static void add_own_doorbell(struct assembly *assembly, uint32_t vmm, uint32_t vm_index,
                             uint32_t slot)
{
    char *name = text_print("doorbell%u", slot);
    add_doorbell(assembly, vmm, name, vm_index, slot);
    free(name);
}

/* RapiLog serves the queue of disk `number` itself (quoll/guest_queue.h). */
static void lend_queue(struct assembly *assembly, uint32_t vmm, uint32_t vm_index, uint32_t number,
                       const struct rapilog_parts *rapilog)
{
    struct model *model = assembly->model;
    uint32_t client = rapilog->config.client_count - 1, slot = VMM_SLOT_DISK + number;
    uint32_t page = model_ram(model, "queue", sizeof(struct guest_queue));
    char *here = text_print("queue%u", number), *there = text_print("queue%u", client);
    char *line = text_print("line%u", client);
    model_map(model, vmm, page, here, READ_WRITE);
    model_map(model, rapilog->component, page, there, READ_WRITE);
    model_line(model, rapilog->component, line, vm_index, FIRST_SPI + slot);
    add_doorbell(assembly, rapilog->component, there, vm_index, slot);
    free(here);
    free(there);
    free(line);
}

/* Memory behind the guest's RAM that is not there until the VMM maps it, page by page. */
static void add_paged(struct assembly *assembly, const struct vm *vm, uint32_t vmm,
                      struct image_vm *record)
{
    struct model *model = assembly->model;
    if (vm->paged == 0)
        return;
    uint32_t region = model_ram(model, "paged", vm->paged);
    record->paged_address = GUEST_RAM_ADDRESS + vm->memory;
    record->paged_size = vm->paged;
    model_map(model, vmm, region, "paged", READ_WRITE);
    model_object(model, vmm, "paged", QUOLL_OBJECT_REGION, region, 0);
}

struct guest {
    uint32_t index, ram; /* of the VM; region */
};

static struct guest add_guest(struct assembly *assembly, const struct vm *vm, uint32_t vmm)
{
    struct model *model = assembly->model;
    uint32_t index = model->vm_count++;
    struct image_vm *record = &model->vm[index];
    uint32_t interrupts = model_ram(model, "interrupts", QUOLL_PAGE_SIZE);
    uint32_t ram = model_ram(model, "guest-ram", vm->memory);
    *record = (struct image_vm){.component = vmm,
                                .interrupts = interrupts,
                                .first_vcpu = model->vcpu_count,
                                .vcpu_count = vm->vcpu_count};
    snprintf(record->name, sizeof record->name, "%s", vm->name);
    model_map(model, vmm, interrupts, "interrupts", READ_WRITE);
    model_map_at(model, IMAGE_SPACE_COMPONENT, vmm, ram, "guest-ram", READ_WRITE,
                 MODEL_RAM_ADDRESS);
    model_map_at(model, IMAGE_SPACE_VM, index, ram, "", READ_WRITE | QUOLL_EXECUTE,
                 GUEST_RAM_ADDRESS);
    uint32_t tree = model_special(model, "device-tree", IMAGE_REGION_DEVICE_TREE, IMAGE_NONE);
    model_map(model, vmm, tree, "device-tree", QUOLL_READ);
    model_object(model, vmm, "vm", QUOLL_OBJECT_VM, index, 0);
    add_paged(assembly, vm, vmm, record);
    add_vcpus(assembly, vm, vmm, index);
    for (uint32_t slot = 0; slot < VMM_SLOT_DISK; slot++)
        add_own_doorbell(assembly, vmm, index, slot);
    return (struct guest){index, ram};
}

static void add_vm_disks(struct assembly *assembly, const struct vm *vm, uint32_t vmm,
                         struct guest guest, struct vmm_config *config)
{
    struct rapilog_parts *rapilog = add_rapilog(assembly, &vm->rapilog, vm->name);
    if (rapilog != NULL)
        model_map_at(assembly->model, IMAGE_SPACE_COMPONENT, rapilog->component, guest.ram,
                     "guest-ram", READ_WRITE, MODEL_RAM_ADDRESS);
    for (uint32_t i = 0; i < vm->volume_count; i++) {
        const struct volume_use *use = &vm->volumes[i];
        config->disk[i].buffer = add_volume_use(assembly, vmm, i, use, rapilog);
        if (rapilog != NULL && use->rapilog)
            lend_queue(assembly, vmm, guest.index, i, rapilog);
        else
            add_own_doorbell(assembly, vmm, guest.index, VMM_SLOT_DISK + i);
        config->disk[i].read_only = use->read_only;
        config->disk[i].write_through = use->write_through;
        memcpy(config->disk[i].serial, use->serial,
               strnlen(use->serial, sizeof config->disk[i].serial));
    }
    config->disk_count = vm->volume_count;
    add_dump(assembly, &vm->rapilog, rapilog);
}

/* ------------------------------------------------------------------------------------------------
 * Its connections to console and supervisor
 */

static void connect_console(struct assembly *assembly, const struct vm *vm, uint32_t vmm,
                            uint32_t number)
{
    struct model *model = assembly->model;
    char *name = text_print("stream%u", number);
    uint32_t link = model_ram(model, name, STREAM_LINK_BYTES);
    model_map(model, vmm, link, "console", READ_WRITE);
    model_map(model, assembly->console, link, name, READ_WRITE);
    model_signal(model, vmm, "console", assembly->console, 0, name);
    model_signal(model, assembly->console, name, vmm, 0, "console");
    snprintf(assembly->console_config.name[number], QUOLL_NAME_SIZE, "%s", vm->name);
    assembly->console_config.stream_count = number + 1;
    free(name);
}

static void connect_supervisor(struct assembly *assembly, const struct vm *vm, uint32_t vmm,
                               uint32_t number)
{
    struct model *model = assembly->model;
    uint32_t supervisor = assembly->supervisor;
    char *name = text_print("vm%u", number), *fault = text_print("vm%u.fault", number);
    uint32_t status = model_ram(model, name, sizeof(struct vm_status));
    model_map(model, vmm, status, "status", READ_WRITE);
    uint32_t survival = model_ram(model, "survival", VMM_SURVIVAL_BYTES);
    model_map(model, vmm, survival, "survival", READ_WRITE);
    model_map(model, supervisor, status, name, READ_WRITE);
    model_signal(model, vmm, "supervisor", supervisor, 0, name);
    model_signal(model, supervisor, name, vmm, 0, "supervisor");
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        char *thread = text_print("vm%u.thread%u", number, i);
        model_object(model, supervisor, thread, QUOLL_OBJECT_THREAD,
                     model_thread(model, vmm, 1 + i), 0);
        free(thread);
    }
    if (vm->restart)
        add_part(assembly, vmm, number, CONFIG_NOBODY);
    else
        model->component[vmm].fault_channel = model_channel(model, supervisor, 0, fault);
    snprintf(assembly->supervisor_config.vm[number].name, QUOLL_NAME_SIZE, "%s", vm->name);
    assembly->supervisor_config.vm[number].thread_count = vm->vcpu_count;
    assembly->supervisor_config.vm_count = number + 1;
    free(name);
    free(fault);
}

/* The doorbell of the VM that watches the mains. */
static void connect_monitor(struct assembly *assembly, uint32_t vmm, uint32_t number)
{
    const struct power_settings *power = &assembly->description->power;
    if (power->vm != number)
        return;
    add_own_doorbell(assembly, vmm, number, VMM_SLOT_MONITOR);
    add_power_source(assembly, vmm);
    assembly->supervisor_config.vm[number].goes_on = power->vm_goes_on;
}

#define SEEDED_BOOT_TIME UINT64_C(1767225600) /* 2026-01-01 00:00 UTC */

static void fill_config(const struct vm *vm, struct vmm_config *config)
{
    snprintf(config->name, sizeof config->name, "%s", vm->name);
    snprintf(config->command_line, sizeof config->command_line, "%s", vm->command_line);
    config->vcpu_count = vm->vcpu_count;
    config->ram_size = vm->memory;
    config->seed_from_image = vm->seed != NULL;
    if (vm->seed != NULL)
        memcpy(config->seed, vm->seed, strnlen(vm->seed, sizeof config->seed));
    else if (getrandom(config->seed, sizeof config->seed, 0) != sizeof config->seed)
        abort(); /* cannot be for up to 256 bytes */
    /* The guest's clock starts at the time of building, which `quoll run` does anew each time. A description with a seed
     * gives the same image, and the guest the same time, whenever it is built. */
    config->boot_time = vm->seed != NULL ? SEEDED_BOOT_TIME : (uint64_t)time(NULL);
}

bool add_vm(struct assembly *assembly, const struct vm *vm, uint32_t number)
{
    struct vmm_config config = {0};
    fill_config(vm, &config);
    uint32_t vmm = add_vmm(assembly, vm);
    struct guest guest = add_guest(assembly, vm, vmm);
    connect_console(assembly, vm, vmm, number);
    connect_supervisor(assembly, vm, vmm, number);
    connect_monitor(assembly, vmm, number);
    add_vm_disks(assembly, vm, vmm, guest, &config);
    if (!add_payloads(assembly, vm, vmm, &config))
        return false;
    check_size(vm, &config);
    add_config(assembly, vmm, &config, sizeof config);
    return true;
}
