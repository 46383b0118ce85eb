/* Internal to assemble*.c: what is known while a system image is put together. */
#ifndef TOOL_ASSEMBLE_PARTS_H
#define TOOL_ASSEMBLE_PARTS_H

#include "assemble.h"
#include "model.h"

#define NO_COMPONENT UINT32_MAX

struct disk_parts {                  /* of one physical disk that is used */
    uint32_t driver, timing, volume; /* timing: or NO_COMPONENT */
    struct disk_config driver_config;
    struct timing_config timing_config;
    struct volume_config volume_config;
};

struct rapilog_parts {
    uint32_t component, dirty; /* dirty: region */
    struct rapilog_config config;
};

struct assembly {
    const struct description *description;
    struct report *report;
    struct model *model;
    uint32_t supervisor, console, uart; /* components, or NO_COMPONENT */
    uint32_t mains_channel;             /* of every source, to the supervisor; or IMAGE_NONE */
    struct supervisor_config supervisor_config;
    struct console_config console_config;
    struct disk_parts disks[DESCRIPTION_MAX_DISKS];
    struct rapilog_parts rapilogs[QUOLL_MAX_VMS + DESCRIPTION_MAX_COMPONENTS];
    uint32_t rapilog_count;
    uint32_t buffer_count;
};

/* A component whose ELF file is `elf`, as found in the build of kernel and components. */
uint32_t add_component(struct assembly *assembly, const char *name, const char *elf,
                       const struct schedule threads[], uint32_t thread_count, struct place place);
uint32_t add_service(struct assembly *assembly, enum service service, const char *name);
/* A copy of `config` becomes the component's region "config". */
void add_config(struct assembly *assembly, uint32_t component, const void *config, size_t size);
void add_registers(struct assembly *assembly, uint32_t component, const char *name,
                   uint32_t device);
/* The sources of the mains signal that are components of their own. */
void add_power(struct assembly *assembly);
/* The component tells the supervisor of the mains. */
void add_power_source(struct assembly *assembly, uint32_t component);
/* malloc'ed copy */
struct content copy_content(const void *bytes, size_t size);

/* The client's disks: link, signals, buffer, services on the way. `name` is the client's, for RapiLog's. */
struct rapilog_parts *add_rapilog(struct assembly *assembly,
                                  const struct rapilog_settings *settings, const char *name);
/* The use becomes disk `number` of the client. Returns its buffer's number. */
uint32_t add_volume_use(struct assembly *assembly, uint32_t client, uint32_t number,
                        const struct volume_use *use, struct rapilog_parts *rapilog);
/* The dump area, after all of RapiLog's volumes; nothing without one. */
void add_dump(struct assembly *assembly, const struct rapilog_settings *settings,
              struct rapilog_parts *rapilog);
/* Writes the configurations of all storage services, which grew with each use. */
void finish_storage(struct assembly *assembly);

/* Has the supervisor restart the component when it fails: the VMM of VM `vm`, the drainable service `drain`, or neither
 * (CONFIG_NOBODY). To be called once the supervisor is there; without one, nothing is restarted. */
void add_part(struct assembly *assembly, uint32_t component, uint32_t vm, uint32_t drain);
/* What a test wants to have killed, once all parts are known. */
void add_kills(struct assembly *assembly);

bool add_vm(struct assembly *assembly, const struct vm *vm, uint32_t number);

#endif
