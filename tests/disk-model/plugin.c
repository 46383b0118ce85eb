/*
 * The disk model as an nbdkit plugin: joins nbdkit's calls to disk.h.
 *
 *     nbdkit -U SOCKET ./disk-model.so file=IMAGE disk=7200rpm dilation=12 control=SOCKET2
 *
 * A SIGKILL of nbdkit is a loss of mains too: what was not flushed was in its memory only.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "control.h"
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct disk_options options = {.dilation = 1.0, .timed_reads = true, .seed = 1};
static const char *control_path;
static struct disk *disk;

static int configure_number(const char *key, const char *value, double low, double high,
                            double *number)
{
    char *end;
    *number = strtod(value, &end);
    if (end == value || *end || !(*number >= low && *number <= high)) {
        nbdkit_error("%s=%s: give a number from %g to %g", key, value, low, high);
        return -1;
    }
    return 0;
}

static int configure_kind(const char *value)
{
    options.kind = latency_kind(value);
    if (options.kind)
        return 0;
    nbdkit_error("disk=%s: no such disk; one of:", value);
    for (const struct disk_kind *kind = latency_kinds; kind->name; kind++)
        nbdkit_error("  %s (%s)", kind->name, kind->description);
    return -1;
}

static int model_config(const char *key, const char *value)
{
    double number;
    if (strcmp(key, "file") == 0)
        return (options.file = nbdkit_realpath(value)) ? 0 : -1;
    if (strcmp(key, "control") == 0)
        return (control_path = nbdkit_absolute_path(value)) ? 0 : -1;
    if (strcmp(key, "disk") == 0)
        return configure_kind(value);
    if (strcmp(key, "dilation") == 0)
        return configure_number(key, value, 0.001, 1e6, &options.dilation);
    if (strcmp(key, "reads") == 0) {
        options.timed_reads = strcmp(value, "free") != 0;
        return 0;
    }
    if (strcmp(key, "cut") == 0) {
        options.tears = strcmp(value, "tears") == 0;
        return 0;
    }
    if (strcmp(key, "failed-flush") == 0) {
        options.drops = strcmp(value, "drops") == 0;
        return 0;
    }
    if (strcmp(key, "flush") == 0) {
        options.lies = strcmp(value, "lies") == 0;
        return 0;
    }
    if (strcmp(key, "survive") == 0) {
        int result = configure_number(key, value, 0, 100, &number);
        options.survive = (unsigned)number;
        return result;
    }
    if (strcmp(key, "seed") == 0) {
        int result = configure_number(key, value, 1, 1e15, &number);
        options.seed = (uint64_t)number;
        return result;
    }
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static int model_config_complete(void)
{
    if (options.file && options.kind)
        return 0;
    nbdkit_error("give file=IMAGE and disk=KIND");
    return -1;
}

#define MODEL_CONFIG_HELP                                                                          \
    "file=IMAGE       the medium (required)\n"                                                     \
    "disk=KIND        7200rpm, consumer-ssd, plp-nvme, network-2ms or memory (required)\n"         \
    "dilation=N       slow down N times (default 1)\n"                                             \
    "reads=timed|free whether reads take time (default timed)\n"                                   \
    "survive=PERCENT  of unflushed sectors reach the medium at power-off (default 0)\n"            \
    "cut=tears        what survives are whole writes, in random order, the last one torn\n"        \
    "failed-flush=drops  what of the cache does not survive (survive=) is lost (default: all "     \
    "stays)\n"                                                                                     \
    "flush=lies       FLUSH and durable writes only reach the cache (default: the medium)\n"       \
    "seed=N           which ones\n"                                                                \
    "control=SOCKET   takes the commands in tests/disk-model/control.h"

static int model_get_ready(void)
{
    disk = disk_open(&options);
    if (!disk) {
        nbdkit_error("%s: %s", options.file, strerror(errno));
        return -1;
    }
    return 0;
}

static int model_after_fork(void)
{
    int error = control_path ? control_start(control_path, disk) : 0;
    if (error) {
        nbdkit_error("%s: %s", control_path, strerror(error));
        return -1;
    }
    return 0;
}

static void model_cleanup(void)
{
    char text[512];
    disk_describe(disk, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    disk_flush(disk);
}

static int answer(int error)
{
    if (error == 0)
        return 0;
    nbdkit_set_error(error);
    return -1;
}

static void *model_open(int readonly)
{
    return NBDKIT_HANDLE_NOT_NEEDED;
}
static int64_t model_get_size(void *handle)
{
    return (int64_t)disk_size(disk);
}
static int model_can_multi_conn(void *handle)
{
    return 1;
}
static int model_can_fua(void *handle)
{
    return NBDKIT_FUA_NATIVE;
}
static int model_can_flush(void *handle)
{
    return options.kind->volatile_cache;
}
static int model_is_rotational(void *handle)
{
    return options.kind->rotating;
}

static int model_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    *minimum = 512;
    *preferred = 4096;
    *maximum = 32u << 20;
    return 0;
}

static int model_pread(void *handle, void *data, uint32_t count, uint64_t offset, uint32_t flags)
{
    return answer(disk_read(disk, data, count, offset));
}

static int model_pwrite(void *handle, const void *data, uint32_t count, uint64_t offset,
                        uint32_t flags)
{
    return answer(disk_write(disk, data, count, offset, flags & NBDKIT_FLAG_FUA));
}

static int model_flush(void *handle, uint32_t flags)
{
    return answer(disk_flush(disk));
}

static struct nbdkit_plugin plugin = {
    .name = "disk-model",
    .longname = "a disk with a volatile write cache and the latency of a named real one",
    .config = model_config,
    .config_complete = model_config_complete,
    .config_help = MODEL_CONFIG_HELP,
    .get_ready = model_get_ready,
    .after_fork = model_after_fork,
    .cleanup = model_cleanup,
    .open = model_open,
    .get_size = model_get_size,
    .can_multi_conn = model_can_multi_conn,
    .can_fua = model_can_fua,
    .can_flush = model_can_flush,
    .is_rotational = model_is_rotational,
    .block_size = model_block_size,
    .pread = model_pread,
    .pwrite = model_pwrite,
    .flush = model_flush,
    .errno_is_preserved = 0,
};

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
