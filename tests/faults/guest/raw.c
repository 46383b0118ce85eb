/*
 * The raw workload: writers that store numbered records synchronously and say when each is acknowledged.
 *
 *     raw write SEED WRITERS direct|cached     until killed; "ack W N" after operation N of writer W
 *     raw check SEED ACK...                    one ACK per writer: is every operation up to it there?
 *
 * Operation N of a writer is two synchronous writes, one after the other: to the log (/dev/vda), then to the data
 * (/dev/vdb), as a database does; they are its writes number 2N-1 and 2N. Every sector of a write says by which write it
 * was made and how many writes of each other writer had been acknowledged before that one began, so that whoever reads the disk
 * afterwards can tell whether anything older is missing. Where a write goes and how long it is follows from seed,
 * writer and N alone; tests/faults/raw.py computes the same. Writers have regions of their own.
 *
 * With "direct" a write is O_DIRECT and O_DSYNC, with "cached" it goes through the page cache and fdatasync(). Each writer
 * opens the devices for itself: of those who share an open file Linux tells only one when a write-back has failed.
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
#include <unistd.h>

#define SECTOR 512u
#define MOST_WRITERS 8u
#define MOST_SECTORS 256u
#define LOG_BLOCK                                                                                  \
    8u /* sectors: the tail of the log is written again with each record, until it is full */
#define MAGIC 0x6c6c6f7551776152u

struct place {
    uint32_t first, count; /* sectors */
};

struct sector {
    uint64_t magic, seed;
    uint32_t checksum; /* CRC-32 of the sector with this field zero */
    uint32_t writer, volume, number, first, count, at, reserved;
    uint32_t acknowledged[MOST_WRITERS]; /* writes, when this one began */
    uint8_t filler[SECTOR - 80];
};
_Static_assert(sizeof(struct sector) == SECTOR, "a sector's worth");

static const char *const devices[2] = {"/dev/vda", "/dev/vdb"};
static int volume[2];
static uint32_t region[2]; /* sectors of a writer */
static uint64_t seed;
static uint32_t writers;
static uint32_t *acknowledged; /* shared by the writers */
static uint32_t crc_table[256];

static _Noreturn void fail(const char *what)
{
    printf("@failed raw %s\n", what);
    fflush(stdout);
    exit(1);
}

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ (value & 1 ? 0xedb88320u : 0);
        crc_table[i] = value;
    }
}

static uint32_t crc(const void *data, size_t size)
{
    uint32_t value = UINT32_MAX;
    for (const uint8_t *at = data; size > 0; size--)
        value = crc_table[(value ^ *at++) & 255] ^ (value >> 8);
    return ~value;
}

/* splitmix64's finalizer */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static struct place log_place(uint32_t number)
{
    uint32_t blocks = region[0] / LOG_BLOCK;
    return (struct place){number / LOG_BLOCK % blocks * LOG_BLOCK, number % LOG_BLOCK + 1};
}

/* Mostly small; one in 16 is long; half of them in a small part of the region, to be overwritten soon. */
static struct place data_place(uint32_t writer, uint32_t number)
{
    uint64_t chance = mix(seed + writer * 0x9e3779b97f4a7c15u + number * 0xd1b54a32d192ed03u);
    uint32_t count = chance % 16 == 0 ? MOST_SECTORS / 2 : (uint32_t)(chance >> 8) % 8 + 1;
    uint32_t room = (chance >> 16) % 2 ? 64 + count : region[1];
    return (struct place){(uint32_t)(chance >> 32) % (room - count + 1), count};
}

static struct place place_of(uint32_t which, uint32_t writer, uint32_t number)
{
    struct place place = which == 0 ? log_place(number) : data_place(writer, number);
    place.first += writer * region[which];
    return place;
}

static void fill(struct sector *sector, uint32_t which, uint32_t writer, uint32_t number,
                 struct place place, uint32_t at)
{
    *sector = (struct sector){.magic = MAGIC,
                              .seed = seed,
                              .writer = writer,
                              .volume = which,
                              .number = number,
                              .first = place.first,
                              .count = place.count,
                              .at = at};
    for (uint32_t i = 0; i < writers; i++)
        sector->acknowledged[i] = __atomic_load_n(&acknowledged[i], __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < sizeof sector->filler; i++)
        sector->filler[i] = (uint8_t)(number * 31 + at * 7 + i);
    sector->checksum = crc(sector, sizeof *sector);
}

static void write_record(uint32_t which, uint32_t writer, uint32_t number, struct sector *buffer,
                         bool cached)
{
    struct place place = place_of(which, writer, number);
    fill(buffer, which, writer, number, place, place.first);
    for (uint32_t i = 1; i < place.count; i++) { /* all of one write saw the same */
        buffer[i] = buffer[0];
        buffer[i].at = place.first + i;
        buffer[i].checksum = 0;
        buffer[i].checksum = crc(&buffer[i], sizeof buffer[i]);
    }
    ssize_t size = (ssize_t)(place.count * SECTOR);
    if (pwrite(volume[which], buffer, (size_t)size, (off_t)place.first * SECTOR) != size)
        fail("write");
    if (cached && fdatasync(volume[which]) != 0)
        fail("fdatasync");
    __atomic_fetch_add(&acknowledged[writer], 1, __ATOMIC_SEQ_CST);
}

static _Noreturn void write_on(uint32_t writer, bool cached)
{
    struct sector *buffer = aligned_alloc(4096, MOST_SECTORS * SECTOR);
    char line[32];
    if (buffer == NULL)
        fail("memory");
    for (uint32_t number = 1;; number++) {
        write_record(0, writer, number, buffer, cached);
        write_record(1, writer, number, buffer, cached);
        int length = snprintf(line, sizeof line, "ack %u %u\n", writer, number);
        if (write(STDOUT_FILENO, line, (size_t)length) != length)
            exit(1);
    }
}

static void open_volumes(int flags)
{
    for (uint32_t which = 0; which < 2; which++) {
        volume[which] = open(devices[which], flags);
        off_t size = volume[which] < 0 ? -1 : lseek(volume[which], 0, SEEK_END);
        if (size <= 0)
            fail(devices[which]);
        region[which] = (uint32_t)((uint64_t)size / SECTOR / writers) & ~(LOG_BLOCK - 1);
    }
}

static int write_all(bool cached)
{
    acknowledged = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (acknowledged == MAP_FAILED)
        fail("memory");
    for (uint32_t writer = 0; writer < writers; writer++)
        if (fork() == 0) {
            open_volumes(O_RDWR | (cached ? 0 : O_DIRECT | O_DSYNC));
            write_on(writer, cached);
        }
    while (wait(NULL) > 0)
        ;
    return 1;
}

/* The number of the record in a sector; 0: none of this trial. */
static uint32_t number_of(struct sector *sector, uint32_t which, uint32_t at)
{
    uint32_t checksum = sector->checksum;
    sector->checksum = 0;
    bool good = sector->magic == MAGIC && sector->seed == seed && sector->volume == which &&
                sector->at == at && checksum == crc(sector, sizeof *sector);
    return good ? sector->number : 0;
}

/* How many sectors of a writer's region hold something older than what was acknowledged. */
static uint32_t count_stale(uint32_t which, uint32_t writer, uint32_t last)
{
    uint32_t begin = writer * region[which], stale = 0;
    uint32_t *newest = calloc(region[which] + 1, sizeof *newest);
    uint8_t *data = aligned_alloc(4096, (size_t)region[which] * SECTOR);
    size_t size = (size_t)region[which] * SECTOR;
    if (newest == NULL || data == NULL)
        fail("memory");
    for (uint32_t number = 1; number <= last; number++) {
        struct place place = place_of(which, writer, number);
        for (uint32_t i = 0; i < place.count; i++)
            newest[place.first - begin + i] = number;
    }
    if (pread(volume[which], data, size, (off_t)begin * SECTOR) != (ssize_t)size)
        fail("read");
    for (uint32_t i = 0; i < region[which]; i++)
        if (newest[i] != 0 && number_of((struct sector *)(void *)(data + (size_t)i * SECTOR), which,
                                        begin + i) < newest[i])
            stale++;
    free(newest);
    free(data);
    return stale;
}

static int check(char **last)
{
    uint32_t stale = 0;
    open_volumes(O_RDONLY | O_DIRECT);
    for (uint32_t writer = 0; writer < writers; writer++)
        for (uint32_t which = 0; which < 2; which++)
            stale += count_stale(which, writer, (uint32_t)strtoul(last[writer], NULL, 10));
    printf("@checked %u\n", stale);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    make_crc_table();
    bool writing = argc == 5 && strcmp(argv[1], "write") == 0;
    bool checking = argc >= 4 && strcmp(argv[1], "check") == 0;
    if (!writing && !checking)
        fail("usage");
    seed = strtoull(argv[2], NULL, 10);
    writers = writing ? (uint32_t)strtoul(argv[3], NULL, 10) : (uint32_t)argc - 3;
    if (writers == 0 || writers > MOST_WRITERS)
        fail("usage");
    return writing ? write_all(strcmp(argv[4], "cached") == 0) : check(argv + 3);
}
