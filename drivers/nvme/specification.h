/*
 * NVM Express base specification 1.4: registers (section 3), commands (sections 4 to 6). Only what the driver uses.
 * Structures are little-endian, as the machine is.
 */
#ifndef NVME_SPECIFICATION_H
#define NVME_SPECIFICATION_H

#include <stdbool.h>
#include <stdint.h>

enum nvme_register { /* 3.1, offsets in BAR 0 */
                     NVME_CAP = 0x00,
                     NVME_VS = 0x08,
                     NVME_INTMS = 0x0c,
                     NVME_INTMC = 0x10,
                     NVME_CC = 0x14,
                     NVME_CSTS = 0x1c,
                     NVME_AQA = 0x24,
                     NVME_ASQ = 0x28,
                     NVME_ACQ = 0x30,
                     NVME_DOORBELLS = 0x1000,
};

/* CAP, 3.1.1 */
static inline uint32_t nvme_cap_entries(uint64_t cap)
{
    return (uint32_t)(cap & 0xffff) + 1;
}
static inline uint32_t nvme_cap_timeout_ms(uint64_t cap)
{
    return (uint32_t)(cap >> 24 & 0xff) * 500;
}
static inline uint32_t nvme_cap_doorbell_bytes(uint64_t cap)
{
    return 4u << (cap >> 32 & 0xf);
}
static inline bool nvme_cap_nvm_commands(uint64_t cap)
{
    return (cap >> 37 & 1) != 0;
}
static inline uint32_t nvme_cap_smallest_page_shift(uint64_t cap)
{
    return 12 + (uint32_t)(cap >> 48 & 0xf);
}

/* CC, 3.1.5: NVM command set, 4 KiB pages, entries of 64 and 16 bytes */
#define NVME_CC_ENABLE 1u
#define NVME_CC_ENTRY_SIZES (6u << 16 | 4u << 20)

/* CSTS, 3.1.6 */
#define NVME_CSTS_READY 1u
#define NVME_CSTS_FATAL 2u

enum nvme_admin_opcode { /* 5 */
                         NVME_ADMIN_CREATE_SUBMISSION = 0x01,
                         NVME_ADMIN_CREATE_COMPLETION = 0x05,
                         NVME_ADMIN_IDENTIFY = 0x06,
                         NVME_ADMIN_SET_FEATURES = 0x09,
                         NVME_ADMIN_GET_FEATURES = 0x0a,
};

enum nvme_opcode { NVME_FLUSH = 0x00, NVME_WRITE = 0x01, NVME_READ = 0x02 }; /* 6 */

enum nvme_identify { /* 5.15.1, CNS */
                     NVME_IDENTIFY_NAMESPACE = 0,
                     NVME_IDENTIFY_CONTROLLER = 1,
                     NVME_IDENTIFY_ACTIVE_NAMESPACES = 2,
};

#define NVME_FEATURE_WRITE_CACHE 0x06u /* 5.21.1.6: bit 0 of the result: it is switched on */
#define NVME_FEATURE_QUEUE_COUNT 0x07u /* 5.21.1.7 */
#define NVME_QUEUE_CONTIGUOUS 1u       /* 5.3, 5.4: PC */
#define NVME_QUEUE_INTERRUPTS 2u       /* 5.3: IEN */
#define NVME_WRITE_FUA (1u << 30)      /* 6.15, dword 12 */

struct nvme_command { /* 4.2 */
    uint8_t opcode;
    uint8_t flags;
    uint16_t id;
    uint32_t namespace_id;
    uint64_t reserved;
    uint64_t metadata;
    uint64_t prp1;
    uint64_t prp2;
    uint32_t dword10, dword11, dword12, dword13, dword14, dword15;
};

struct nvme_completion { /* 4.6 */
    uint32_t result;
    uint32_t reserved;
    uint16_t submission_head;
    uint16_t submission_queue;
    uint16_t id;
    uint16_t status; /* bit 0: phase tag; bits 8:1 code, 11:9 code type */
};

_Static_assert(sizeof(struct nvme_command) == 64, "NVMe 1.4, 4.2");
_Static_assert(sizeof(struct nvme_completion) == 16, "NVMe 1.4, 4.6");

#define NVME_COMPLETION_PHASE 1u
static inline uint32_t nvme_status_code(uint16_t status)
{
    return status >> 1 & 0xff;
}
static inline uint32_t nvme_status_type(uint16_t status)
{
    return status >> 9 & 0x7;
}

/* Status values, 4.6.1: code type << 8 | code */
enum nvme_status {
    NVME_STATUS_OK = 0x000,
    NVME_STATUS_WRITE_PROTECTED = 0x020,
    NVME_STATUS_LBA_OUT_OF_RANGE = 0x080,
    NVME_STATUS_READ_ONLY_RANGE = 0x182,
};

/* Offsets in the 4096 bytes that Identify returns: controller (5.15.2.2), namespace (5.15.2.1) */
enum nvme_controller_offset {
    NVME_CONTROLLER_SERIAL = 4, /* 20 characters */
    NVME_CONTROLLER_MODEL = 24, /* 40 characters */
    NVME_CONTROLLER_MDTS = 77,
    NVME_CONTROLLER_VWC = 525,
};
enum nvme_namespace_offset {
    NVME_NAMESPACE_SIZE = 0,
    NVME_NAMESPACE_FLBAS = 26,
    NVME_NAMESPACE_ATTRIBUTES = 99,
    NVME_NAMESPACE_FORMATS = 128,
};
#define NVME_MODEL_BYTES 40

#endif
