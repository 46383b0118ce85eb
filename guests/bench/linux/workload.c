/*
 * What the macro benchmarks do in Linux: system calls, processes and pipes, as lmbench does. One static program:
 *
 *     workload mark N                  passes mark N for the counting plugin (tests/bench/count.c)
 *     workload time N NAME COMMAND...  runs the command between marks 2N and 2N + 1; adds "time NAME NANOSECONDS" to /tmp/times
 *     workload forkexec N              N times fork, exec of this program, wait
 *     workload context N               N times a byte to another process and back
 *     workload pipe N                  N times 64 KiB through a pipe to another process
 *     workload call N                  N system calls
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIPE_BYTES 65536
#define MARK(number)                                                                               \
    case number:                                                                                   \
        __asm__ volatile("movz xzr, #(0x7100 + " #number ")");                                     \
        break;

static void mark(int number)
{
    switch (number) {
        MARK(1)
        MARK(2)
        MARK(20)
        MARK(21)
        MARK(22)
        MARK(23)
        MARK(24)
        MARK(25)
        MARK(26)
        MARK(27)
        MARK(28)
        MARK(29)
        MARK(30)
        MARK(31)
        MARK(32)
        MARK(33)
    }
}

static void must(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void run(char **command)
{
    int status;
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        execvp(command[0], command);
        perror(command[0]);
        _exit(1);
    }
    must(waitpid(child, &status, 0) == child && status == 0, command[0]);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void timed(int number, const char *name, char **command)
{
    FILE *times = fopen("/tmp/times", "a");
    must(times != NULL, "/tmp/times");
    int64_t start = now();
    mark(2 * number);
    run(command);
    mark(2 * number + 1);
    fprintf(times, "time %s %lld\n", name, (long long)(now() - start));
    fclose(times);
}

static void fork_and_exec(int rounds)
{
    static char *const nothing[] = {"/bin/workload", NULL};
    for (int i = 0; i < rounds; i++)
        run((char **)nothing);
}

/* A child that does `work` with the ends of two pipes. */
static pid_t start(int to[2], int from[2], void (*work)(int in, int out, int rounds), int rounds)
{
    must(pipe(to) == 0 && pipe(from) == 0, "pipe");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        work(to[0], from[1], rounds);
        _exit(0);
    }
    return child;
}

static void echo(int in, int out, int rounds)
{
    char byte;
    for (int i = 0; i < rounds; i++)
        must(read(in, &byte, 1) == 1 && write(out, &byte, 1) == 1, "echo");
}

static void context_switches(int rounds)
{
    int to[2], from[2];
    char byte = 0;
    pid_t child = start(to, from, echo, rounds);
    for (int i = 0; i < rounds; i++)
        must(write(to[1], &byte, 1) == 1 && read(from[0], &byte, 1) == 1, "context");
    waitpid(child, NULL, 0);
}

static void drink(int in, int out, int rounds)
{
    static char bytes[PIPE_BYTES];
    int64_t left = (int64_t)rounds * PIPE_BYTES;
    while (left > 0) {
        ssize_t got = read(in, bytes, sizeof bytes);
        must(got > 0, "drink");
        left -= got;
    }
    (void)out;
}

static void pour(int rounds)
{
    static char bytes[PIPE_BYTES];
    int to[2], from[2];
    pid_t child = start(to, from, drink, rounds);
    for (int i = 0; i < rounds; i++)
        must(write(to[1], bytes, sizeof bytes) == sizeof bytes, "pour");
    waitpid(child, NULL, 0);
}

static void system_calls(int rounds)
{
    for (int i = 0; i < rounds; i++)
        syscall(SYS_getppid);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*action)(int);
    } actions[] = {{"mark", mark},
                   {"forkexec", fork_and_exec},
                   {"context", context_switches},
                   {"pipe", pour},
                   {"call", system_calls}};
    if (argc > 4 && strcmp(argv[1], "time") == 0)
        timed(atoi(argv[2]), argv[3], argv + 4);
    for (size_t i = 0; argc == 3 && i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argv[1], actions[i].name) == 0)
            actions[i].action(atoi(argv[2]));
    return 0;
}
