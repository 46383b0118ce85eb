/*
 * RapiLog as a component, on the Linux twin: real links, signals and timers; a disk component that can be held, slowed down, made
 * to refuse, or forget what was not flushed; and the test as VMM and supervisor.
 */
#ifndef SERVICE_RIG_H
#define SERVICE_RIG_H

#include <quoll/block_io.h>
#include <quoll/quoll.h>
#include <quoll/rapilog.h>
#include <quoll/twin.h>

#define DISKS 2u
#define SECTORS 4096u
#define DISK_BYTES (SECTORS * BLOCK_SECTOR)
#define CLIENT_BYTES (2u << 20)
#define CLIENT_BUFFER 3u
#define DIRTY_BUFFER 7u
#define SOON 10000u /* ms: fails the test when exceeded */
#define SECOND UINT64_C(1000000000)

/* The disk: its knobs, which its own thread reads (KNOB, TURN), and what is on it. */
struct service_disk {
    bool ready;        /* has found its links */
    bool hold;         /* takes nothing */
    bool refuse;       /* answers writes with an error */
    bool gone;         /* the server fails */
    bool late;         /* the second disk is not ready yet */
    uint32_t looks;    /* of the first disk, since it was joined */
    uint32_t requests; /* that the first disk has taken */
    uint32_t delay_us;
    uint32_t abilities;
    uint32_t flushes;                   /* asked for */
    uint8_t content[DISKS][DISK_BYTES]; /* cache included */
    uint8_t durable[DISKS][DISK_BYTES];
};
extern struct service_disk disk;

#define KNOB(name) __atomic_load_n(&disk.name, __ATOMIC_SEQ_CST)
#define TURN(name, value) __atomic_store_n(&disk.name, value, __ATOMIC_SEQ_CST)

struct system {
    struct twin *twin;
    struct block_client client[DISKS];
    struct block_link *link[DISKS];
    uint8_t *memory; /* the client's buffer */
    struct rapilog_gauges *gauges;
    uint64_t next_id;
    uint32_t status[256]; /* by id; UINT32_MAX: not answered */
};

struct rapilog_config usual_config(void);

/* A system that does not run yet. */
struct system *system_new(const struct rapilog_config *config);
/* Waits until both disks can be used. */
void system_start(struct system *s);
/* A running one, as usual. */
struct system *system_started(void);
void system_end(struct system *s);

/* Asks the first disk, from or to that place in the client's memory; returns the request's number. */
uint64_t ask(struct system *s, enum block_operation operation, uint64_t sector, uint32_t count,
             uint64_t offset);
/* Writes `count` sectors filled with `byte`, from memory at the same place as on the disk. */
uint64_t write_bytes(struct system *s, uint64_t sector, uint32_t count, uint8_t byte);

/* Wait for what is said, and fail the test when it does not come. */
void expect(struct system *s, uint64_t id, enum block_status status);
void expect_silence(struct system *s, uint64_t id);
void expect_read(struct system *s, uint64_t sector, uint32_t count, uint8_t byte);
void expect_durable(uint64_t sector, uint32_t count, uint8_t byte);
void expect_gauge(struct system *s, const uint64_t *gauge, uint64_t value);
void signal_and_await_drained(struct system *s, const char *signal);

#endif
