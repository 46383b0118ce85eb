/* An NVMe controller as a thread; see simulated_nvme.h. */
#include "simulated_nvme.h"
#include "../../../drivers/nvme/specification.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, QUEUES = 2, RANGES = 4 };

struct queue {
    uint64_t submissions, completions;
    uint32_t submission_entries, completion_entries;
    uint32_t head, tail; /* own: of submissions, of completions */
    uint16_t phase;
};

struct simulated_nvme {
    _Alignas(PAGE) uint8_t registers[2 * PAGE];
    struct simulated_knobs knobs;
    uint32_t result; /* of the command that is carried out */
    uint8_t *content;
    uint64_t blocks;
    struct queue queue[QUEUES];
    struct {
        uint64_t start, size;
    } range[RANGES];
    uint32_t ranges;
    uint32_t flushes, fua_writes;
    bool ready, ending;
    pthread_t thread;
};

static void broken_rule(const char *rule)
{
    fprintf(stderr, "simulated NVMe: the driver breaks a rule: %s\n", rule);
    abort();
}

#define RULE(condition) ((condition) ? (void)0 : broken_rule(#condition))

static uint32_t get(struct simulated_nvme *nvme, uint32_t offset)
{
    return __atomic_load_n((uint32_t *)(void *)(nvme->registers + offset), __ATOMIC_SEQ_CST);
}

static void set(struct simulated_nvme *nvme, uint32_t offset, uint32_t value)
{
    __atomic_store_n((uint32_t *)(void *)(nvme->registers + offset), value, __ATOMIC_SEQ_CST);
}

static uint32_t doorbell(struct simulated_nvme *nvme, uint32_t number)
{
    return NVME_DOORBELLS + number * (4u << nvme->knobs.doorbell_stride);
}

static void *dma(struct simulated_nvme *nvme, uint64_t address, uint64_t size)
{
    for (uint32_t i = 0; i < nvme->ranges; i++) {
        if (address >= nvme->range[i].start &&
            address + size <= nvme->range[i].start + nvme->range[i].size)
            return (void *)(uintptr_t)address;
    }
    broken_rule("DMA only within its own memory and the buffers");
    return NULL;
}

/* 4.3: moves `bytes` between the disk and what PRP1 and PRP2 describe. */
static void move_data(struct simulated_nvme *nvme, const struct nvme_command *command,
                      uint8_t *place, uint64_t bytes, bool to_disk)
{
    uint64_t page = command->prp1, first = PAGE - page % PAGE;
    uint64_t *list = NULL;
    if (bytes > first && bytes - first > PAGE) {
        uint64_t entries = (bytes - first + PAGE - 1) / PAGE;
        RULE(command->prp2 % 8 == 0);
        RULE(entries * 8 <= PAGE - command->prp2 % PAGE);
        list = dma(nvme, command->prp2, entries * 8);
    }
    for (uint64_t part = bytes < first ? bytes : first; bytes > 0;) {
        void *memory = dma(nvme, page, part);
        memcpy(to_disk ? (void *)place : memory, to_disk ? memory : (void *)place, part);
        place += part;
        bytes -= part;
        if (bytes == 0)
            break;
        page = list != NULL ? *list++ : command->prp2;
        RULE(page % PAGE == 0);
        part = bytes < PAGE ? bytes : PAGE;
    }
}

static void identify(struct simulated_nvme *nvme, const struct nvme_command *command)
{
    const struct simulated_knobs *knobs = &nvme->knobs;
    uint8_t *answer = dma(nvme, command->prp1, PAGE);
    memset(answer, 0, PAGE);
    if (command->dword10 == NVME_IDENTIFY_CONTROLLER) {
        memset(answer + NVME_CONTROLLER_MODEL, ' ', NVME_MODEL_BYTES);
        memcpy(answer + NVME_CONTROLLER_MODEL, "Simulated", 9);
        answer[NVME_CONTROLLER_MDTS] = (uint8_t)knobs->transfer_shift;
        answer[NVME_CONTROLLER_VWC] = !knobs->no_cache;
    } else if (command->dword10 == NVME_IDENTIFY_ACTIVE_NAMESPACES) {
        answer[0] = knobs->no_namespace ? 0 : 3;
    } else {
        RULE(command->namespace_id == 3);
        memcpy(answer + NVME_NAMESPACE_SIZE, &nvme->blocks, 8);
        answer[NVME_NAMESPACE_FLBAS] = 1;
        answer[NVME_NAMESPACE_ATTRIBUTES] = knobs->write_protected;
        answer[NVME_NAMESPACE_FORMATS + 4] = (uint8_t)knobs->metadata;
        answer[NVME_NAMESPACE_FORMATS + 6] = (uint8_t)knobs->block_shift;
    }
}

static uint16_t admin(struct simulated_nvme *nvme, const struct nvme_command *command)
{
    struct queue *io = &nvme->queue[1];
    sleep(nvme->knobs.slow_admin);
    nvme->knobs.slow_admin = 0;
    if (nvme->knobs.refuse_admin != 0 && command->opcode == nvme->knobs.refuse_admin)
        return 0x002;
    if (command->opcode == NVME_ADMIN_IDENTIFY)
        identify(nvme, command);
    if (command->opcode == NVME_ADMIN_GET_FEATURES) {
        RULE(command->dword10 == 6 && !nvme->knobs.no_cache); /* 5.21.1.6: write cache */
        nvme->result = nvme->knobs.cache_off ? 0 : 1;
    }
    if (command->opcode == NVME_ADMIN_CREATE_COMPLETION) {
        RULE(command->dword10 >> 16 <= nvme->knobs.entries && (command->dword11 & 1) != 0);
        io->completions = command->prp1;
        io->completion_entries = (command->dword10 >> 16) + 1;
    }
    if (command->opcode == NVME_ADMIN_CREATE_SUBMISSION) {
        RULE(io->completions != 0 && command->dword11 >> 16 == 1);
        io->submissions = command->prp1;
        io->submission_entries = (command->dword10 >> 16) + 1;
    }
    return 0;
}

static uint16_t io(struct simulated_nvme *nvme, const struct nvme_command *command)
{
    if (nvme->knobs.fail_io != 0)
        return nvme->knobs.fail_io;
    RULE(command->namespace_id == 3);
    if (command->opcode == NVME_FLUSH && nvme->knobs.fail_flush)
        return 0x280;
    if (command->opcode == NVME_FLUSH) {
        __atomic_add_fetch(&nvme->flushes, 1, __ATOMIC_SEQ_CST);
        return 0;
    }
    uint64_t block = command->dword10 | (uint64_t)command->dword11 << 32;
    uint64_t count = (command->dword12 & 0xffff) + 1;
    if (block + count > nvme->blocks)
        return NVME_STATUS_LBA_OUT_OF_RANGE;
    if ((command->dword12 & NVME_WRITE_FUA) != 0)
        __atomic_add_fetch(&nvme->fua_writes, 1, __ATOMIC_SEQ_CST);
    uint32_t shift = nvme->knobs.block_shift;
    move_data(nvme, command, nvme->content + (block << shift), count << shift,
              command->opcode == NVME_WRITE);
    return 0;
}

static void complete(struct simulated_nvme *nvme, uint32_t number, uint16_t id, uint16_t status)
{
    struct queue *queue = &nvme->queue[number];
    uint32_t next = (queue->tail + 1) % queue->completion_entries;
    RULE(next != get(nvme, doorbell(nvme, 2 * number + 1))); /* the ring is not full */
    struct nvme_completion *entry =
        dma(nvme, queue->completions + 16 * (uint64_t)queue->tail, sizeof(*entry));
    entry->id = id;
    entry->result = nvme->result;
    entry->submission_head = (uint16_t)queue->head;
    __atomic_store_n(&entry->status, (uint16_t)(status << 1 | queue->phase), __ATOMIC_RELEASE);
    queue->tail = next;
    if (next == 0)
        queue->phase ^= 1;
}

static void serve(struct simulated_nvme *nvme, uint32_t number)
{
    struct queue *queue = &nvme->queue[number];
    while (queue->submissions != 0 && queue->head != get(nvme, doorbell(nvme, 2 * number))) {
        struct nvme_command command;
        RULE(get(nvme, doorbell(nvme, 2 * number)) < queue->submission_entries);
        memcpy(&command, dma(nvme, queue->submissions + 64 * (uint64_t)queue->head, 64), 64);
        queue->head = (queue->head + 1) % queue->submission_entries;
        if (number == 1 && __atomic_load_n(&nvme->knobs.silent, __ATOMIC_SEQ_CST))
            continue;
        nvme->result = 0;
        uint16_t status = number == 0 ? admin(nvme, &command) : io(nvme, &command);
        complete(nvme, number, number == 1 && nvme->knobs.wrong_id ? 99 : command.id, status);
    }
}

static void reset(struct simulated_nvme *nvme)
{
    memset(nvme->queue, 0, sizeof(nvme->queue));
    nvme->queue[0].phase = nvme->queue[1].phase = 1;
    for (uint32_t i = 0; i < 2 * QUEUES; i++)
        set(nvme, doorbell(nvme, i), 0);
    nvme->ready = false;
    set(nvme, NVME_CSTS, 0);
}

static void enable(struct simulated_nvme *nvme)
{
    struct queue *queue = &nvme->queue[0];
    RULE((get(nvme, NVME_CC) & 0xff0000) == 0x460000); /* entry sizes */
    if (nvme->knobs.never_ready)
        return;
    queue->submissions = get(nvme, NVME_ASQ) | (uint64_t)get(nvme, NVME_ASQ + 4) << 32;
    queue->completions = get(nvme, NVME_ACQ) | (uint64_t)get(nvme, NVME_ACQ + 4) << 32;
    queue->submission_entries = (get(nvme, NVME_AQA) & 0xfff) + 1;
    queue->completion_entries = (get(nvme, NVME_AQA) >> 16) + 1;
    nvme->ready = true;
    set(nvme, NVME_CSTS, nvme->knobs.fatal_at_start ? 3 : 1);
}

static void *run(void *argument)
{
    struct simulated_nvme *nvme = argument;
    while (!__atomic_load_n(&nvme->ending, __ATOMIC_SEQ_CST)) {
        bool enabled = (get(nvme, NVME_CC) & NVME_CC_ENABLE) != 0;
        if (!enabled && (nvme->ready || get(nvme, NVME_CSTS) != 0))
            reset(nvme);
        if (enabled && !nvme->ready)
            enable(nvme);
        for (uint32_t i = 0; nvme->ready && i < QUEUES; i++)
            serve(nvme, i);
        usleep(20);
    }
    return NULL;
}

struct simulated_nvme *simulated_nvme_start(uint64_t blocks, const struct simulated_knobs *knobs)
{
    struct simulated_nvme *nvme = aligned_alloc(PAGE, sizeof(*nvme));
    memset(nvme, 0, sizeof(*nvme));
    nvme->knobs = *knobs;
    if (knobs->block_shift == 0)
        nvme->knobs.block_shift = 9;
    if (knobs->entries == 0)
        nvme->knobs.entries = 1023;
    nvme->blocks = blocks;
    nvme->content = calloc(blocks, 1ull << nvme->knobs.block_shift);
    reset(nvme);
    set(nvme, NVME_CSTS, 1); /* as firmware left it */
    set(nvme, NVME_CC, 1);
    nvme->ready = true;
    set(nvme, NVME_CAP, nvme->knobs.entries | 1u << 24);
    set(nvme, NVME_CAP + 4, knobs->doorbell_stride | 1u << 5 | knobs->smallest_page << 16);
    pthread_create(&nvme->thread, NULL, run, nvme);
    return nvme;
}

void simulated_nvme_stop(struct simulated_nvme *nvme)
{
    __atomic_store_n(&nvme->ending, true, __ATOMIC_SEQ_CST);
    pthread_join(nvme->thread, NULL);
    free(nvme->content);
    free(nvme);
}

uint8_t *simulated_nvme_registers(struct simulated_nvme *nvme)
{
    return nvme->registers;
}

uint8_t *simulated_nvme_content(struct simulated_nvme *nvme)
{
    return nvme->content;
}

void simulated_nvme_allow(struct simulated_nvme *nvme, void *memory, uint64_t size)
{
    nvme->range[nvme->ranges].start = (uintptr_t)memory;
    nvme->range[nvme->ranges].size = size;
    nvme->ranges++;
}

void simulated_nvme_heal(struct simulated_nvme *nvme)
{
    __atomic_store_n(&nvme->knobs.silent, false, __ATOMIC_SEQ_CST);
}

uint32_t simulated_nvme_flushes(struct simulated_nvme *nvme)
{
    return __atomic_load_n(&nvme->flushes, __ATOMIC_SEQ_CST);
}

uint32_t simulated_nvme_fua_writes(struct simulated_nvme *nvme)
{
    return __atomic_load_n(&nvme->fua_writes, __ATOMIC_SEQ_CST);
}
