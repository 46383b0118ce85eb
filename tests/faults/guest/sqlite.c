/*
 * The SQLite workload: writers that insert numbered rows, one transaction each, in WAL mode with synchronous=FULL.
 *
 *     sqlite write FILE WRITERS    until killed; "ack W N" after the transaction with row N of writer W has committed
 *     sqlite check FILE ACK...     one ACK per writer: are the rows up to it there, and is the database whole?
 *
 * A row also has the number that the other writer had committed when it was begun, so that a row can show that an older
 * one is missing. There are one or two writers.
 */
#define _GNU_SOURCE
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_WRITERS 2
#define PATIENCE_MS 60000
#define SETTINGS "pragma journal_mode=wal; pragma synchronous=full; pragma wal_autocheckpoint=100;"
#define TABLE                                                                                      \
    "create table if not exists entry (writer, number, other, filler, primary key (writer, "       \
    "number));"
#define COUNT "select count(*) from entry where writer = ?1 and number <= ?2"
#define NEWEST                                                                                     \
    "select max(coalesce((select max(number) from entry where writer = ?1), 0),"                   \
    "           coalesce((select max(other) from entry where writer <> ?1), 0))"

static _Noreturn void fail(const char *what, sqlite3 *base)
{
    printf("@failed sqlite %s: %s\n", what, sqlite3_errmsg(base));
    fflush(stdout);
    exit(1);
}

static sqlite3 *open_base(const char *file)
{
    sqlite3 *base = NULL;
    if (sqlite3_open(file, &base) != SQLITE_OK)
        fail("open", base);
    sqlite3_busy_timeout(base, PATIENCE_MS);
    if (sqlite3_exec(base, SETTINGS TABLE, NULL, NULL, NULL) != SQLITE_OK)
        fail("open", base);
    return base;
}

static sqlite3_stmt *prepare(sqlite3 *base, const char *text)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(base, text, -1, &statement, NULL) != SQLITE_OK)
        fail("prepare", base);
    return statement;
}

static _Noreturn void write_on(const char *file, int writer, uint32_t *committed)
{
    sqlite3 *base = open_base(file);
    sqlite3_stmt *insert = prepare(
        base, "insert into entry values (?1, ?2, ?3, hex(randomblob(abs(random()) % 400)))");
    char line[32];
    for (uint32_t number = 1;; number++) {
        sqlite3_bind_int(insert, 1, writer);
        sqlite3_bind_int64(insert, 2, number);
        sqlite3_bind_int64(insert, 3, __atomic_load_n(&committed[!writer], __ATOMIC_SEQ_CST));
        if (sqlite3_step(insert) != SQLITE_DONE)
            fail("insert", base);
        sqlite3_reset(insert);
        __atomic_store_n(&committed[writer], number, __ATOMIC_SEQ_CST);
        int length = snprintf(line, sizeof line, "ack %d %u\n", writer, number);
        if (write(STDOUT_FILENO, line, (size_t)length) != length)
            exit(1);
    }
}

static int write_all(const char *file, int writers)
{
    uint32_t *committed =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (committed == MAP_FAILED)
        return 1;
    sqlite3_close(open_base(file)); /* so that the table is there before anybody forks */
    for (int writer = 0; writer < writers; writer++)
        if (fork() == 0)
            write_on(file, writer, committed);
    while (wait(NULL) > 0)
        ;
    return 1;
}

static int64_t ask(sqlite3 *base, const char *text, int writer, int64_t number)
{
    sqlite3_stmt *statement = prepare(base, text);
    sqlite3_bind_int(statement, 1, writer);
    if (sqlite3_bind_parameter_count(statement) > 1)
        sqlite3_bind_int64(statement, 2, number);
    if (sqlite3_step(statement) != SQLITE_ROW)
        fail("select", base);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static int is_whole(sqlite3 *base)
{
    sqlite3_stmt *statement = prepare(base, "pragma integrity_check");
    int good = sqlite3_step(statement) == SQLITE_ROW &&
               strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    sqlite3_finalize(statement);
    return good;
}

static int check(const char *file, int writers, char **last)
{
    sqlite3 *base = open_base(file);
    int64_t lost = 0, disorder = 0;
    for (int writer = 0; writer < writers; writer++) {
        int64_t acknowledged = strtoll(last[writer], NULL, 10);
        int64_t newest = ask(base, NEWEST, writer, 0);
        lost += acknowledged - ask(base, COUNT, writer, acknowledged);
        disorder += newest - ask(base, COUNT, writer, newest);
    }
    printf("@checked %lld %lld %s\n", (long long)lost, (long long)disorder,
           is_whole(base) ? "whole" : "damaged");
    sqlite3_close(base);
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return write_all(argv[2], atoi(argv[3]) == 1 ? 1 : MOST_WRITERS);
    if ((argc == 4 || argc == 5) && strcmp(argv[1], "check") == 0)
        return check(argv[2], argc - 3, argv + 3);
    printf("@failed sqlite usage\n");
    return 2;
}
