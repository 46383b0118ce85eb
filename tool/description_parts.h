/* Internal to description*.c: the readers of the parts of a description. Each reports mistakes and goes on. */
#ifndef TOOL_DESCRIPTION_PARTS_H
#define TOOL_DESCRIPTION_PARTS_H

#include "description.h"

/* Two thirds of RapiLog's hold-up time are for draining unless the description says otherwise. */
#define RESERVE_SHARE 3
#define SHORTEST_REPORT UINT64_C(1000000000) /* ns */
#define FULL_PERIOD 10000u                   /* us */

/* Budget, priority and core of whatever `node` describes; absent keys leave `schedule` as it is. */
void read_schedule(const struct description *description, struct node node,
                   struct schedule *schedule);
uint32_t read_core(const struct description *description, struct node node, const char *what,
                   uint32_t otherwise);
/* The list `disks:` of a VM or a component, and its `rapilog:`. */
void read_volumes(const struct description *description, struct node owner,
                  struct volume_use volumes[], uint32_t *count, struct rapilog_settings *rapilog);

/* `power_fail:`; its `vm:` when the VMs are known. */
void read_power(struct description *description, struct node node);
void read_power_vm(struct description *description);

void read_vms(struct description *description, struct node node);
void read_components(struct description *description, struct node node);

/* What the parts ask for together: memory, budgets per core, volumes used twice, names. */
void check_whole(struct description *description);

#endif
