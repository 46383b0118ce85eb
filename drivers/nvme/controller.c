/* Bringing an NVMe controller up and down; see controller.h. */
#include "controller.h"
#include "barrier.h"
#include <quoll/quoll.h>
#include <string.h>

enum memory_layout {
    ADMIN_SUBMISSIONS = 0x0000,
    ADMIN_COMPLETIONS = 0x1000,
    IDENTIFIED = 0x2000,
    IO_SUBMISSIONS = 0x3000,
    IO_COMPLETIONS = 0x5000,
    LISTS = 0x6000,
};

#define ADMIN_DEPTH 16u
#define IO_QUEUE 1u
#define LARGEST_MDTS 16u
#define POLL_NS 1000000u
/* As long as any command (transfer.c): a disk that is reset may be busy with writing back its cache, and what is given up then, RapiLog
 * can never write. */
#define ADMIN_TIMEOUT_NS 120000000000u
#define SHORTEST_READY_NS 1000000000u

_Static_assert(LISTS + CONTROLLER_DEPTH * CONTROLLER_LIST_BYTES <= NVME_QUEUES_BYTES,
               "everything fits the memory");
_Static_assert(CONTROLLER_LIST_BYTES *(CONTROLLER_PAGE / 8) >= BLOCK_MAX_SECTORS * BLOCK_SECTOR,
               "a list reaches over the largest transfer");

static uint32_t read32(const struct controller *controller, uint32_t offset)
{
    return *(const volatile uint32_t *)(controller->registers + offset);
}

static void write32(const struct controller *controller, uint32_t offset, uint32_t value)
{
    barrier_before_doorbell();
    *(volatile uint32_t *)(controller->registers + offset) = value;
}

/* Halves are always allowed (3.1), whole accesses not everywhere. */
static uint64_t read64(const struct controller *controller, uint32_t offset)
{
    return read32(controller, offset) | (uint64_t)read32(controller, offset + 4) << 32;
}

static void write64(const struct controller *controller, uint32_t offset, uint64_t value)
{
    write32(controller, offset, (uint32_t)value);
    write32(controller, offset + 4, (uint32_t)(value >> 32));
}

/* Sleeps a moment; false when the deadline is over. */
static bool pause_until(uint64_t deadline)
{
    uint64_t now = quoll_now();
    if (now >= deadline)
        return false;
    quoll_timer_set(now + quoll_ticks_from_ns(POLL_NS));
    (void)quoll_wait();
    return true;
}

bool controller_fatal(const struct controller *controller)
{
    return (read32(controller, NVME_CSTS) & NVME_CSTS_FATAL) != 0; /* all ones: it is gone */
}

bool controller_works(const struct controller *controller)
{
    return controller->register_bytes > NVME_CSTS + 4 && !controller_fatal(controller) &&
           (read32(controller, NVME_CSTS) & NVME_CSTS_READY) != 0;
}

static bool wait_ready(const struct controller *controller, uint32_t ready)
{
    uint64_t deadline = quoll_now() + controller->ready_timeout;
    while ((read32(controller, NVME_CSTS) & NVME_CSTS_READY) != ready) {
        if ((ready != 0 && controller_fatal(controller)) || !pause_until(deadline))
            return false;
    }
    return true;
}

bool controller_stop(struct controller *controller)
{
    write32(controller, NVME_INTMS, UINT32_MAX);
    write32(controller, NVME_CC, 0);
    return wait_ready(controller, 0);
}

/* ---- Queues ---- */

static volatile uint32_t *doorbell(const struct controller *controller, uint32_t number)
{
    uint64_t offset = NVME_DOORBELLS + (uint64_t)number * controller->doorbell_bytes;
    return (volatile uint32_t *)(controller->registers + offset);
}

static void queue_prepare(const struct controller *controller, struct nvme_queue *queue,
                          uint32_t number, uint32_t submissions, uint32_t completions,
                          uint32_t depth)
{
    queue->submissions = (struct nvme_command *)(void *)(controller->memory + submissions);
    queue->completions = (struct nvme_completion *)(void *)(controller->memory + completions);
    queue->submission_doorbell = doorbell(controller, 2 * number);
    queue->completion_doorbell = doorbell(controller, 2 * number + 1);
    queue_start(queue, depth);
}

uint64_t *controller_list(const struct controller *controller, uint32_t command)
{
    return (uint64_t *)(void *)(controller->memory + LISTS +
                                (size_t)command * CONTROLLER_LIST_BYTES);
}

uint64_t controller_list_physical(const struct controller *controller, uint32_t command)
{
    return controller->memory_physical + LISTS + (uint64_t)command * CONTROLLER_LIST_BYTES;
}

/* One admin command, waited for. NULL, with the command's result, or what went wrong. */
static const char *admin_result(struct controller *controller, struct nvme_command command,
                                uint32_t *result)
{
    struct nvme_completion completion;
    uint64_t deadline = quoll_now() + quoll_ticks_from_ns(ADMIN_TIMEOUT_NS);
    command.id = (uint16_t)controller->admin.tail;
    queue_put(&controller->admin, &command);
    queue_ring(&controller->admin);
    while (!queue_take(&controller->admin, &completion)) {
        if (controller_fatal(controller))
            return "the NVMe controller reports a fatal error";
        if (!pause_until(deadline))
            return "the NVMe controller does not answer";
    }
    queue_release(&controller->admin);
    if (completion.id != command.id)
        return "the NVMe controller answers what it was not asked";
    *result = completion.result;
    if (nvme_status_type(completion.status) == 0 && nvme_status_code(completion.status) == 0)
        return NULL;
    quoll_log("admin command 0x%02x fails: status type %u, code 0x%02x", command.opcode,
              nvme_status_type(completion.status), nvme_status_code(completion.status));
    return "the NVMe controller refuses an administrative command";
}

static const char *admin(struct controller *controller, struct nvme_command command)
{
    uint32_t unused;
    return admin_result(controller, command, &unused);
}

/* ---- Identification ---- */

static uint64_t identified(const struct controller *controller, uint32_t offset, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)controller->memory[IDENTIFIED + offset + i] << 8 * i;
    return value;
}

static const char *identify(struct controller *controller, uint32_t what, uint32_t namespace_id)
{
    return admin(controller, (struct nvme_command){
                                 .opcode = NVME_ADMIN_IDENTIFY,
                                 .namespace_id = namespace_id,
                                 .prp1 = controller->memory_physical + IDENTIFIED,
                                 .dword10 = what,
                             });
}

/* The model is padded with spaces. */
static void copy_model(struct controller *controller)
{
    char *name = controller->geometry.name;
    size_t length = sizeof(controller->geometry.name) - 1;
    memcpy(name, controller->memory + IDENTIFIED + NVME_CONTROLLER_MODEL, length);
    while (length > 0 && name[length - 1] == ' ')
        length--;
    name[length] = '\0';
}

/* MDTS: the largest transfer is 2^MDTS pages; 0, or more than the number can hold: as large as we like. */
static uint32_t most_sectors(uint64_t mdts)
{
    const uint32_t page_sectors = CONTROLLER_PAGE / BLOCK_SECTOR;
    if (mdts == 0 || mdts > LARGEST_MDTS || page_sectors << mdts > BLOCK_MAX_SECTORS)
        return BLOCK_MAX_SECTORS;
    return page_sectors << mdts;
}

/* There is one, and it is not switched off. A controller that does not say counts as one with a cache: a FLUSH too many
 * costs time, one too few data. */
static bool has_volatile_cache(struct controller *controller)
{
    uint32_t mode;
    if ((identified(controller, NVME_CONTROLLER_VWC, 1) & 1) == 0)
        return false;
    const struct nvme_command ask = {.opcode = NVME_ADMIN_GET_FEATURES,
                                     .dword10 = NVME_FEATURE_WRITE_CACHE};
    return admin_result(controller, ask, &mode) != NULL || (mode & 1) != 0;
}

static const char *identify_controller(struct controller *controller)
{
    const char *problem = identify(controller, NVME_IDENTIFY_CONTROLLER, 0);
    if (problem != NULL)
        return problem;
    copy_model(controller);
    memcpy(controller->serial, controller->memory + IDENTIFIED + NVME_CONTROLLER_SERIAL,
           sizeof(controller->serial));
    controller->geometry.max_sectors =
        most_sectors(identified(controller, NVME_CONTROLLER_MDTS, 1));
    controller->geometry.abilities = BLOCK_CAN_FLUSH;
    if (has_volatile_cache(controller))
        controller->geometry.abilities |= BLOCK_VOLATILE_CACHE;
    return NULL;
}

/* The disk is the first namespace that is there. */
static const char *identify_namespace(struct controller *controller)
{
    const char *problem = identify(controller, NVME_IDENTIFY_ACTIVE_NAMESPACES, 0);
    if (problem != NULL)
        return problem;
    controller->namespace_id = (uint32_t)identified(controller, 0, 4);
    if (controller->namespace_id == 0)
        return "the NVMe controller has no namespace; create one with `nvme create-ns`";
    return identify(controller, NVME_IDENTIFY_NAMESPACE, controller->namespace_id);
}

static const char *take_geometry(struct controller *controller)
{
    struct block_geometry *geometry = &controller->geometry;
    uint32_t format = (uint32_t)identified(controller, NVME_NAMESPACE_FLBAS, 1) & 0xf;
    uint32_t metadata = (uint32_t)identified(controller, NVME_NAMESPACE_FORMATS + 4 * format, 2);
    uint32_t shift = (uint32_t)identified(controller, NVME_NAMESPACE_FORMATS + 4 * format + 2, 1);
    uint64_t blocks = identified(controller, NVME_NAMESPACE_SIZE, 8);
    if (metadata != 0 || (shift != 9 && shift != 12)) {
        quoll_log(
            "the disk's blocks have 2^%u bytes and %u bytes of metadata; format it with 512 or "
            "4096 and none (`nvme format`)",
            shift, metadata);
        return "its block format is not 512 or 4096 bytes without metadata";
    }
    controller->sectors_shift = shift - 9;
    if (blocks == 0 || blocks > UINT64_MAX / CONTROLLER_PAGE)
        return "the NVMe controller tells an impossible disk size";
    geometry->sectors = blocks << controller->sectors_shift;
    geometry->physical_block = 1u << shift;
    if (shift == 12)
        geometry->abilities |= BLOCK_WHOLE_BLOCKS;
    if ((identified(controller, NVME_NAMESPACE_ATTRIBUTES, 1) & 1) != 0)
        geometry->abilities |= BLOCK_IS_READ_ONLY;
    return NULL;
}

/* ---- Bring-up ---- */

static const char *read_capabilities(struct controller *controller)
{
    uint64_t capabilities = read64(controller, NVME_CAP);
    if (controller->register_bytes < NVME_DOORBELLS + 16 || capabilities == UINT64_MAX)
        return "the NVMe controller has no registers";
    if (nvme_cap_smallest_page_shift(capabilities) > 12)
        return "the NVMe controller cannot use pages of 4 KiB";
    if (!nvme_cap_nvm_commands(capabilities))
        return "the NVMe controller has no NVM command set";
    controller->entries = nvme_cap_entries(capabilities);
    controller->doorbell_bytes = nvme_cap_doorbell_bytes(capabilities);
    if (controller->register_bytes < NVME_DOORBELLS + 4ull * controller->doorbell_bytes)
        return "the NVMe controller's doorbells lie outside its registers";
    uint64_t timeout = nvme_cap_timeout_ms(capabilities) * 1000000ull;
    controller->ready_timeout =
        quoll_ticks_from_ns(timeout > SHORTEST_READY_NS ? timeout : SHORTEST_READY_NS);
    return NULL;
}

static const char *enable(struct controller *controller)
{
    uint64_t memory = controller->memory_physical;
    queue_prepare(controller, &controller->admin, 0, ADMIN_SUBMISSIONS, ADMIN_COMPLETIONS,
                  ADMIN_DEPTH);
    write32(controller, NVME_AQA, (ADMIN_DEPTH - 1) << 16 | (ADMIN_DEPTH - 1));
    write64(controller, NVME_ASQ, memory + ADMIN_SUBMISSIONS);
    write64(controller, NVME_ACQ, memory + ADMIN_COMPLETIONS);
    write32(controller, NVME_CC, NVME_CC_ENTRY_SIZES | NVME_CC_ENABLE);
    if (!wait_ready(controller, NVME_CSTS_READY))
        return "the NVMe controller does not become ready";
    write32(controller, NVME_INTMS, UINT32_MAX);
    return NULL;
}

static const char *create_queues(struct controller *controller)
{
    uint32_t depth =
        controller->entries < CONTROLLER_DEPTH ? controller->entries : CONTROLLER_DEPTH;
    uint32_t name = (depth - 1) << 16 | IO_QUEUE;
    if (depth < CONTROLLER_SMALLEST_DEPTH)
        return "the NVMe controller's queues are too short";
    queue_prepare(controller, &controller->io, IO_QUEUE, IO_SUBMISSIONS, IO_COMPLETIONS, depth);
    const char *problem = admin(controller, (struct nvme_command){
                                                .opcode = NVME_ADMIN_SET_FEATURES,
                                                .dword10 = NVME_FEATURE_QUEUE_COUNT,
                                                .dword11 = 0, /* one of each kind */
                                            });
    if (problem == NULL)
        problem = admin(controller, (struct nvme_command){
                                        .opcode = NVME_ADMIN_CREATE_COMPLETION,
                                        .prp1 = controller->memory_physical + IO_COMPLETIONS,
                                        .dword10 = name,
                                        .dword11 = NVME_QUEUE_INTERRUPTS | NVME_QUEUE_CONTIGUOUS,
                                    });
    if (problem == NULL)
        problem = admin(controller, (struct nvme_command){
                                        .opcode = NVME_ADMIN_CREATE_SUBMISSION,
                                        .prp1 = controller->memory_physical + IO_SUBMISSIONS,
                                        .dword10 = name,
                                        .dword11 = IO_QUEUE << 16 | NVME_QUEUE_CONTIGUOUS,
                                    });
    return problem;
}

static const char *bring_up(struct controller *controller)
{
    const char *problem = enable(controller);
    if (problem == NULL)
        problem = identify_controller(controller);
    if (problem == NULL)
        problem = identify_namespace(controller);
    if (problem == NULL)
        problem = take_geometry(controller);
    if (problem == NULL)
        problem = create_queues(controller);
    return problem;
}

const char *controller_start(struct controller *controller)
{
    const char *problem = read_capabilities(controller);
    if (problem != NULL)
        return problem;
    if (!controller_stop(controller))
        return "the NVMe controller cannot be reset";
    problem = bring_up(controller);
    if (problem != NULL)
        controller_stop(controller);
    else
        write32(controller, NVME_INTMC, UINT32_MAX);
    return problem;
}
