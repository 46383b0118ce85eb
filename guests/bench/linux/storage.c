/*
 * Loads on a disk, for `./quoll bench rapilog`: clients (processes) that write or read a block device, with times by the guest's
 * own clock, which counts instructions.
 *
 *     storage NAME LOAD CLIENTS BEFORE OPERATIONS [MARK]
 *
 * LOAD, on /dev/vda, O_DIRECT:
 *     random      4 KiB, each synchronous (O_DSYNC), anywhere in the first 256 MiB: a table's pages
 *     commit      4 KiB, each synchronous, each client at the end of a log of its own, whose last block is written
 *                 four times, as a database's small commits do; before each the client computes for 100,000
 *                 instructions, which is what a small transaction takes
 *     sequential  256 KiB, the clients take turns
 *     read-random, read-sequential   4 KiB
 *
 * What buffers writes, disk or RapiLog, takes them in lumps, and only whole ones say how fast it is in the long run: of random and
 * sequential counts what is between the end of the first long wait and the end of the last.
 *
 * Operations are of all clients together; BEFORE are done first, and not measured. Says one line: "load NAME OPERATIONS NS P50 P99",
 * the last two the latency of an operation in ns. With MARK the instruction that plugins count from (tests/bench/count.c) is executed
 * before, and with MARK + 1 after.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DISK "/dev/vda"
#define BLOCK 4096u
#define PIECE (256u << 10)
#define COMMITS_OF_BLOCK 4u
#define TURNS 50000u     /* of two instructions */
#define LOG_BLOCKS 1024u /* of a client, then it begins again */
#define TABLE_BLOCKS (1u << 16)
#define MOST_OPERATIONS (1u << 18)
#define MOST_CLIENTS 64u
#define LONG_WAITS 4u /* of each client at least, where there are lumps */

enum load { RANDOM, COMMIT, SEQUENTIAL, READ_RANDOM, READ_SEQUENTIAL, LOADS };
static const char *const names[LOADS] = {"random", "commit", "sequential", "read-random",
                                         "read-sequential"};

struct operation { /* ns */
    uint64_t latency, ended;
};

struct result {
    uint32_t operations;
    uint64_t ns;
};

struct shared {
    uint32_t next;  /* operation */
    uint64_t start; /* ns: when the first of those that count was begun */
    struct operation operation[MOST_OPERATIONS];
};

static struct shared *shared;
static enum load load;
static uint32_t clients, total, before; /* operations: all, and those that are not measured */
static uint64_t disk_size;

static _Noreturn void fail(const char *what)
{
    printf("storage: %s\n", what);
    fflush(stdout);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* splitmix64's finalizer: the same places every time. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static uint64_t place_of(uint32_t client, uint32_t own, uint32_t number)
{
    uint64_t blocks = disk_size / BLOCK;
    switch (load) {
    case COMMIT:
        return (client * LOG_BLOCKS + own / COMMITS_OF_BLOCK % LOG_BLOCKS) % blocks * BLOCK;
    case SEQUENTIAL:
        return number % (disk_size / PIECE) * PIECE;
    case READ_SEQUENTIAL:
        return number % blocks * BLOCK;
    default:
        return mix(number * 0x9e3779b97f4a7c15u + 1) %
               (blocks < TABLE_BLOCKS ? blocks : TABLE_BLOCKS) * BLOCK;
    }
}

static void compute(void)
{
    for (uint32_t turns = TURNS; turns > 0; turns--)
        __asm__ volatile("");
}

static bool operate(int disk, void *data, uint64_t place)
{
    size_t size = load == SEQUENTIAL ? PIECE : BLOCK;
    ssize_t moved = load >= READ_RANDOM ? pread(disk, data, size, (off_t)place)
                                        : pwrite(disk, data, size, (off_t)place);
    return moved == (ssize_t)size;
}

static _Noreturn void work(uint32_t client)
{
    bool synchronous = load == RANDOM || load == COMMIT;
    int disk = open(DISK, (load >= READ_RANDOM ? O_RDONLY : O_RDWR) | O_DIRECT |
                              (synchronous ? O_DSYNC : 0));
    uint8_t *data = aligned_alloc(BLOCK, PIECE);
    if (disk < 0 || data == NULL)
        fail("no disk, or no memory");
    memset(data, (int)client + 1, PIECE);
    for (uint32_t own = 0;; own++) {
        uint32_t number = __atomic_fetch_add(&shared->next, 1, __ATOMIC_SEQ_CST);
        if (number >= total)
            break;
        uint64_t start = now();
        if (number == before)
            shared->start = start;
        *(uint32_t *)(void *)data = number;
        if (load == COMMIT)
            compute();
        if (!operate(disk, data, place_of(client, own, number)))
            fail("the disk answers with an error");
        uint64_t end = now();
        shared->operation[number] = (struct operation){end - start, end};
    }
    exit(0);
}

static int compare(const void *left, const void *right)
{
    const struct operation *a = left, *b = right;
    return (a->latency > b->latency) - (a->latency < b->latency);
}

/* Of operations sorted by latency. Where none is longer than others by far, it is all of them. */
static struct result between_long_waits(const struct operation *operations, uint32_t count)
{
    uint32_t rank = clients * LONG_WAITS < count ? clients * LONG_WAITS : count;
    uint64_t shortest = operations[count - rank].latency / 2, first = UINT64_MAX, last = 0;
    struct result result = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (operations[i].latency < shortest)
            continue;
        first = operations[i].ended < first ? operations[i].ended : first;
        last = operations[i].ended > last ? operations[i].ended : last;
    }
    for (uint32_t i = 0; i < count; i++)
        result.operations += operations[i].ended > first && operations[i].ended <= last;
    result.ns = last - first;
    if (result.operations == 0)
        fail("only one long wait");
    return result;
}

/* The mark is part of the instruction, so it is one of a table. */
#define MARK(number) __asm__ volatile("movz xzr, #(0x7100 + " #number ")" ::: "memory")
static void mark(uint32_t number)
{
    switch (number) {
    case 32:
        MARK(32);
        break;
    case 33:
        MARK(33);
        break;
    case 34:
        MARK(34);
        break;
    case 35:
        MARK(35);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    uint32_t measured = argc >= 6 ? (uint32_t)strtoul(argv[5], NULL, 10) : 0;
    uint32_t number = argc >= 7 ? (uint32_t)strtoul(argv[6], NULL, 10) : 0;
    int disk = open(DISK, O_RDONLY);
    off_t size = disk < 0 ? -1 : lseek(disk, 0, SEEK_END);
    clients = argc >= 6 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    while (argc >= 6 && load < LOADS && strcmp(names[load], argv[2]) != 0)
        load++;
    before = argc >= 6 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    total = measured + before;
    if (size <= 0 || clients == 0 || clients > MOST_CLIENTS || load == LOADS || measured == 0 ||
        total > MOST_OPERATIONS)
        fail("usage, or no disk");
    disk_size = (uint64_t)size;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("no memory");
    memset(shared, 0, sizeof *shared);
    mark(number);
    for (uint32_t client = 0; client < clients; client++)
        if (fork() == 0)
            work(client);
    for (int status; wait(&status) > 0;)
        if (status != 0)
            return 1;
    struct result result = {measured, now() - shared->start};
    struct operation *operations = shared->operation + before;
    mark(number + (number != 0));
    qsort(operations, measured, sizeof *operations, compare);
    if (load == SEQUENTIAL || load == RANDOM)
        result = between_long_waits(operations, measured);
    printf("load %s %u %llu %llu %llu\n", argv[1], result.operations, (unsigned long long)result.ns,
           (unsigned long long)operations[measured / 2].latency,
           (unsigned long long)operations[measured * 99u / 100].latency);
    return 0;
}
