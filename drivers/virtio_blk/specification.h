/* virtio 1.2 as far as this driver uses it: PCI transport (4.1), split virtqueue (2.7), block device (5.2). */
#ifndef VIRTIO_BLK_SPECIFICATION_H
#define VIRTIO_BLK_SPECIFICATION_H

#include <stdint.h>

#define VIRTIO_PCI_BLOCK_ID 0x10421af4u /* 4.1.2.1: device 0x1040 + 2, vendor 0x1af4 */
#define PCI_CAPABILITY_VENDOR 0x09u

enum virtio_pci_kind { /* 4.1.4 */
                       VIRTIO_PCI_COMMON = 1,
                       VIRTIO_PCI_NOTIFY = 2,
                       VIRTIO_PCI_ISR = 3,
                       VIRTIO_PCI_DEVICE = 4,
};

enum virtio_pci_capability {                        /* offsets of a capability's fields */
                             CAPABILITY_KIND = 0,   /* in bits 31:24 of the dword */
                             CAPABILITY_BAR = 4,    /* bits 7:0 */
                             CAPABILITY_OFFSET = 8, /* within the BAR */
                             CAPABILITY_LENGTH = 12,
                             CAPABILITY_NOTIFY_MULTIPLIER = 16,
};

enum virtio_common { /* 4.1.4.3 */
                     COMMON_DEVICE_FEATURE_SELECT = 0x00,
                     COMMON_DEVICE_FEATURE = 0x04,
                     COMMON_DRIVER_FEATURE_SELECT = 0x08,
                     COMMON_DRIVER_FEATURE = 0x0c,
                     COMMON_STATUS = 0x14,       /* 8 bits */
                     COMMON_GENERATION = 0x15,   /* 8 bits */
                     COMMON_QUEUE_SELECT = 0x16, /* 16 bits, as the next four */
                     COMMON_QUEUE_SIZE = 0x18,
                     COMMON_QUEUE_ENABLE = 0x1c,
                     COMMON_QUEUE_NOTIFY_OFFSET = 0x1e,
                     COMMON_QUEUE_DESCRIPTORS = 0x20, /* 64 bits, as the next two */
                     COMMON_QUEUE_DRIVER = 0x28,
                     COMMON_QUEUE_DEVICE = 0x30,
                     COMMON_BYTES = 0x38,
};

enum virtio_status { /* 2.1 */
                     STATUS_ACKNOWLEDGE = 1,
                     STATUS_DRIVER = 2,
                     STATUS_DRIVER_OK = 4,
                     STATUS_FEATURES_OK = 8,
                     STATUS_NEEDS_RESET = 64,
                     STATUS_FAILED = 128,
};

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define FEATURE_SIZE_MAX FEATURE(1)
#define FEATURE_READ_ONLY FEATURE(5)
#define FEATURE_BLOCK_SIZE FEATURE(6)
#define FEATURE_FLUSH FEATURE(9)
#define FEATURE_TOPOLOGY FEATURE(10)
#define FEATURE_CACHE_MODE FEATURE(11) /* VIRTIO_BLK_F_CONFIG_WCE */
#define FEATURE_VERSION_1 FEATURE(32)

enum virtio_block_config {                      /* 5.2.4 */
                           CONFIG_CAPACITY = 0, /* 64 bits, sectors of 512 bytes */
                           CONFIG_SIZE_MAX = 8,
                           CONFIG_BLOCK_SIZE = 20,
                           CONFIG_PHYSICAL_EXPONENT = 24, /* 8 bits */
                           CONFIG_WRITEBACK = 32, /* 8 bits; 0: completed writes are stable */
                           CONFIG_BYTES = 60,
};

enum virtio_block_type { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4 }; /* 5.2.6 */
enum virtio_block_answer { ANSWER_OK = 0, ANSWER_IOERR = 1, ANSWER_UNSUPPORTED = 2 };

struct virtio_block_header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

struct virtio_descriptor { /* 2.7.5 */
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

enum virtio_descriptor_flag { DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2 };

struct virtio_used { /* 2.7.8 */
    uint32_t id;
    uint32_t length;
};

_Static_assert(sizeof(struct virtio_block_header) == 16, "5.2.6");
_Static_assert(sizeof(struct virtio_descriptor) == 16, "2.7.5");
_Static_assert(sizeof(struct virtio_used) == 8, "2.7.8");

#endif
