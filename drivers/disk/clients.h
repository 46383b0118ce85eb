/*
 * The clients of a disk driver: what every driver does with its block links, whatever its device.
 *
 * Each client may have its share of the commands in flight, so none can keep the disk from the others, and their requests are
 * taken one of each in turn. What the disk may have lost of its cache, each of them is told (quoll/block.h).
 */
#ifndef DISK_CLIENTS_H
#define DISK_CLIENTS_H

#include <quoll/block_io.h>

struct disk_clients {
    struct block_buffers buffers;
    struct block_server server[CONFIG_MAX_CLIENTS];
    uint32_t count;
    uint32_t share;   /* commands in flight that one client may have */
    uint32_t next;    /* whose turn it is */
    uint64_t *losses; /* of the disk's cache: block_server_flushed() */
};

#define DISK_SERIAL_BYTES 20u /* NVMe's; virtio's, too */

/* What a device is allowed to need: a few resets, and after an hour without one as many again. */
struct disk_resets {
    uint32_t count;
    uint64_t last; /* ticks */
};
#define DISK_MOST_RESETS 4u

/* Links and buffers of the environment. Stops the component when the configuration is impossible. */
void disk_clients_find(struct disk_clients *clients, const struct disk_config *config);
/* The disk can be used, with so many commands in flight at a time. */
void disk_clients_ready(struct disk_clients *clients, const struct block_geometry *geometry,
                        uint32_t commands);
/* It could not be brought up, because of `problem`. True: it has been of use in this system, so clients may rely on it; after a
 * pause it is worth another try. False: it never was. */
bool disk_try_again(const char *problem);
/* Before the device is reset: it had failed, or was reset by somebody else, and nobody may have noticed. */
void disk_had_failed(void);
/* place: its bus, slot and function as one number. False: a former life had the disk elsewhere, so this is another one, and perhaps another
 * driver's. Before anything is done to it. */
bool disk_is_in_its_place(uint32_t place);
/* By its serial number. False: a former life had another one. Before anything is read from it or written to it. */
bool disk_is_the_same(const uint8_t serial[DISK_SERIAL_BYTES]);
/* It cannot, or not any more; from now on all requests are answered with BLOCK_GONE. */
void disk_clients_failed(struct disk_clients *clients, const char *problem);

/* A request whose client may have one more in flight. False: there is none. */
bool disk_clients_take(struct disk_clients *clients, uint32_t *number,
                       struct block_request *request);
void disk_clients_complete(struct disk_clients *clients, uint32_t number, uint64_t id,
                           enum block_status status);
/* The same for a FLUSH that the device has carried out, or has not. mark: block_server_mark(), when it was taken. */
void disk_clients_flushed(struct disk_clients *clients, uint32_t number, uint64_t id,
                          struct block_mark mark, enum block_status status);
void disk_clients_publish(struct disk_clients *clients);
/* Before waiting: false when a request is there that may be taken. After it: awake. */
bool disk_clients_sleep(struct disk_clients *clients);
void disk_clients_awake(struct disk_clients *clients);

/* Whether what a device says after a reset is still the same disk. Its name counts: another model is another disk. */
bool disk_same_geometry(const struct block_geometry *a, const struct block_geometry *b);
/* One more reset; false: there were too many. */
bool disk_may_reset(struct disk_resets *resets, uint64_t now);

#endif
