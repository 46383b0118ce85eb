/*
 * The doorbell of a VM that watches the mains: a virtio console (virtio 1.2, section 5.3) of its own, on which the guest
 * writes lines. Linux has it as the next one of its consoles, /dev/hvc1, so a shell script can ring:
 *
 *     echo mains lost >/dev/hvc1
 *     echo mains back >/dev/hvc1
 *
 * Nothing is ever sent to the guest: a terminal that echoes would send it back as a command. Only the VM that the
 * description names has this device, and only its VMM the region and the channel behind it. Device thread only.
 */
#ifndef VMM_VIRTIO_MONITOR_H
#define VMM_VIRTIO_MONITOR_H

#include "virtio/mmio.h"
#include <quoll/power.h>

#define MONITOR_LINE 32u

struct virtio_monitor {
    struct virtio_device device; /* first */
    struct power_source *power;  /* NULL: this VM watches nothing */
    uint32_t mains;              /* channel */
    char line[MONITOR_LINE];     /* what has come of a line so far */
    uint32_t length;             /* of it; MONITOR_LINE: it is too long for any command */
    uint32_t complaints;         /* in the log, about what is no command */
};

void virtio_monitor_start(struct virtio_monitor *monitor, struct power_source *power,
                          uint32_t mains);

#endif
