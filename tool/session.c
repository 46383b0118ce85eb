/* A running machine and its user; see session.h. */
#include "session.h"

#include "command.h"
#include "frames.h"
#include "paths.h"
#include "terminal.h"

#include <quoll/stream.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INPUT_ROOM 65536u
#define CONTROL_A 1
#define STOPPED "quoll: stopped: "
/* How long QEMU may take to end after the supervisor's last word. */
#define END_SECONDS 10u

enum ending { ENDING_NONE, ENDING_MACHINE, ENDING_TIMEOUT, ENDING_SIGNAL, ENDING_USER };

struct session {
    const struct description *description;
    const struct session_options *options;
    struct qemu *qemu;
    struct frames frames;
    uint32_t focus;    /* index of a VM */
    bool raw, command; /* terminal is raw; Ctrl-A was typed */
    bool input_open, output_open;
    char input[INPUT_ROOM]; /* typed, not yet taken by the UART */
    size_t input_length;
    FILE *log, *streams[QUOLL_MAX_VMS];
    char line[256]; /* of the log, as far as it has come */
    size_t line_length;
    char stopped[256]; /* the kernel's last words, or empty */
    bool off;          /* the supervisor said how it ended: */
    int off_status;
    char off_text[FRAMES_LONGEST];
    enum ending ending;
    int signal;
    double deadline; /* s, CLOCK_MONOTONIC; 0: none */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------------------------------------
 * Output
 */

static void write_output(struct session *session, const char *bytes, size_t length)
{
    while (length > 0 && session->output_open) {
        ssize_t done = write(STDOUT_FILENO, bytes, length);
        if (done < 0 && errno != EINTR) {
            session->output_open = false;
            return;
        }
        bytes += done > 0 ? done : 0;
        length -= done > 0 ? (size_t)done : 0;
    }
}

/* The kernel's last words can come in the middle of any stream. */
static void scan_line(struct session *session, char byte)
{
    if (byte != '\n') {
        if (session->line_length + 1 < sizeof session->line && byte != '\r')
            session->line[session->line_length++] = byte;
        return;
    }
    session->line[session->line_length] = '\0';
    session->line_length = 0;
    if (strncmp(session->line, STOPPED, strlen(STOPPED)) == 0)
        snprintf(session->stopped, sizeof session->stopped, "%s", session->line + strlen(STOPPED));
}

static void write_log(struct session *session, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool carriage_return = bytes[i] == '\r'; /* a raw terminal needs it, a file does not */
        if (!session->options->quiet && (session->raw || !carriage_return))
            fputc(bytes[i], stderr);
        if (session->log && !carriage_return)
            fputc(bytes[i], session->log);
    }
    if (session->log)
        fflush(session->log);
}

static void take_text(void *context, const char *stream, const char *bytes, size_t length)
{
    struct session *session = context;
    const struct description *description = session->description;
    for (size_t i = 0; i < length; i++)
        scan_line(session, bytes[i]);
    if (strcmp(stream, FRAME_LOG_STREAM) == 0)
        write_log(session, bytes, length);
    for (uint32_t i = 0; i < description->vm_count; i++) {
        if (strcmp(stream, description->vms[i].name) != 0)
            continue;
        if (i == session->focus)
            write_output(session, bytes, length);
        if (session->streams[i]) {
            fwrite(bytes, 1, length, session->streams[i]);
            fflush(session->streams[i]);
        }
    }
}

/* "off STATUS TEXT": what the supervisor says last */
static void take_notice(void *context, const char *text)
{
    struct session *session = context;
    int read = 0;
    if (sscanf(text, "off %d %n", &session->off_status, &read) < 1)
        return;
    session->off = true;
    snprintf(session->off_text, sizeof session->off_text, "%s", text + read);
    double end = now() + END_SECONDS;
    if (session->deadline == 0 || session->deadline > end)
        session->deadline = end;
}

/* ------------------------------------------------------------------------------------------------
 * Input
 */

static void queue_input(struct session *session, const char *bytes, size_t length)
{
    size_t room = INPUT_ROOM - session->input_length;
    if (length > room)
        length = room;
    memcpy(session->input + session->input_length, bytes, length);
    session->input_length += length;
}

static void set_focus(struct session *session, uint32_t vm)
{
    char *frame =
        text_print(FRAME_BEGIN FRAME_INPUT "%s" FRAME_END, session->description->vms[vm].name);
    queue_input(session, frame, strlen(frame));
    free(frame);
    session->focus = vm;
}

static void show_help(void)
{
    fputs("\r\nCtrl-A x  leave: ends the machine at once\r\n"
          "Ctrl-A c  the next VM's console\r\n"
          "Ctrl-A p  the power key: the mains fail\r\n"
          "Ctrl-A h  this list\r\n"
          "Ctrl-A Ctrl-A  sends Ctrl-A\r\n",
          stderr);
}

static void take_command(struct session *session, char key)
{
    uint32_t vms = session->description->vm_count;
    switch (key) {
    case 'x':
        session->ending = ENDING_USER;
        break;
    case 'c':
        if (vms > 1) {
            set_focus(session, (session->focus + 1) % vms);
            fprintf(stderr, "\r\nquoll: this is the console of %s\r\n",
                    session->description->vms[session->focus].name);
        }
        break;
    case 'p':
        qemu_power_key(session->qemu);
        break;
    case CONTROL_A:
        queue_input(session, &key, 1);
        break;
    default:
        show_help();
    }
}

static void take_typed(struct session *session, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (session->command)
            take_command(session, bytes[i]);
        else if (!session->raw || bytes[i] != CONTROL_A)
            queue_input(session, &bytes[i], 1);
        session->command = session->raw && !session->command && bytes[i] == CONTROL_A;
    }
}

static void read_input(struct session *session)
{
    char bytes[1024];
    ssize_t length = read(STDIN_FILENO, bytes, sizeof bytes);
    if (length > 0)
        take_typed(session, bytes, (size_t)length);
    else if (length == 0 || (errno != EINTR && errno != EAGAIN))
        session->input_open = false;
}

static void send_input(struct session *session)
{
    ssize_t sent = write(session->qemu->uart, session->input, session->input_length);
    if (sent <= 0)
        return;
    session->input_length -= (size_t)sent;
    memmove(session->input, session->input + sent, session->input_length);
}

/* ------------------------------------------------------------------------------------------------
 * The loop
 */

/* false: the other end is closed, or nothing is there now. */
static bool read_uart(struct session *session)
{
    char bytes[8192];
    ssize_t length = read(session->qemu->uart, bytes, sizeof bytes);
    if (length > 0)
        frames_feed(&session->frames, bytes, (size_t)length);
    return length > 0;
}

static int watch_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signal(struct session *session, int signals)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo != SIGCHLD) {
            session->ending = ENDING_SIGNAL;
            session->signal = (int)info.ssi_signo;
        }
}

static int wait_time(const struct session *session)
{
    if (session->deadline == 0)
        return -1;
    double left = session->deadline - now();
    return left <= 0 ? 0 : left > 1000 ? 1000000 : (int)(left * 1000) + 1;
}

static void step(struct session *session, int signals)
{
    bool room = session->input_length < INPUT_ROOM / 2;
    bool send = session->input_length > 0 && session->frames.framed;
    struct pollfd fds[] = {
        {session->qemu->uart, (short)(POLLIN | (send ? POLLOUT : 0)), 0},
        {session->input_open && room ? STDIN_FILENO : -1, POLLIN, 0},
        {signals, POLLIN, 0},
    };
    if (poll(fds, 3, wait_time(session)) < 0 && errno != EINTR)
        return;
    if (fds[0].revents & (POLLIN | POLLHUP))
        read_uart(session);
    if (fds[0].revents & POLLOUT)
        send_input(session);
    if (fds[1].revents)
        read_input(session);
    if (fds[2].revents)
        take_signal(session, signals);
    if (session->ending == ENDING_NONE && session->deadline != 0 && now() >= session->deadline)
        session->ending = session->off ? ENDING_MACHINE : ENDING_TIMEOUT;
}

/* ------------------------------------------------------------------------------------------------
 * How it ended
 */

static int tell_off(const struct session *session)
{
    if (session->off_status == 0)
        return EXIT_GOOD;
    fprintf(stderr, "quoll: %s\n", session->off_text);
    return session->off_status == 2 ? EXIT_MAINS : EXIT_BAD;
}

static int tell_ended(const struct session *session, int status)
{
    if (session->off)
        return tell_off(session);
    if (session->stopped[0] != '\0') {
        fprintf(stderr, "quoll: the machine stopped: %s\n", session->stopped);
        return EXIT_BAD;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "quoll: QEMU %s %d; its own message is above\n",
                WIFEXITED(status) ? "ended with status" : "was killed by signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        return EXIT_BAD;
    }
    if (session->description->vm_count == 0)
        return EXIT_GOOD;
    fputs(
        "quoll: the machine went off without saying how its VMs ended; the log above tells more\n",
        stderr);
    return EXIT_BAD;
}

static int tell(const struct session *session, int status)
{
    switch (session->ending) {
    case ENDING_TIMEOUT:
        fprintf(stderr,
                "quoll: not finished after %u s, so it was ended; give more with --timeout\n",
                session->options->timeout);
        return EXIT_TIMEOUT;
    case ENDING_SIGNAL:
        fputs("quoll: interrupted, the machine was ended\n", stderr);
        return 128 + session->signal;
    case ENDING_USER:
        return EXIT_GOOD;
    default:
        return tell_ended(session, status);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Begin and end
 */

static void open_files(struct session *session)
{
    const struct session_options *options = session->options;
    struct report *report = session->description->report;
    if (options->log && (session->log = fopen(options->log, "wb")) == NULL)
        report_failure(report, "cannot write the log to `%s`: %s; give another path", options->log,
                       strerror(errno));
    for (uint32_t i = 0; options->streams && i < session->description->vm_count; i++) {
        char *path = text_print("%s/%s.txt", options->streams, session->description->vms[i].name);
        if ((session->streams[i] = fopen(path, "wb")) == NULL)
            report_failure(report, "cannot write `%s`: %s; make the folder first", path,
                           strerror(errno));
        free(path);
    }
}

static void close_files(struct session *session)
{
    if (session->log)
        fclose(session->log);
    for (uint32_t i = 0; i < session->description->vm_count; i++)
        if (session->streams[i])
            fclose(session->streams[i]);
}

static void start(struct session *session)
{
    const struct description *description = session->description;
    for (uint32_t i = 0; session->options->console && i < description->vm_count; i++)
        if (strcmp(description->vms[i].name, session->options->console) == 0 && i > 0)
            set_focus(session, i);
    if (session->options->timeout)
        session->deadline = now() + session->options->timeout;
    session->raw = description->vm_count > 0 && terminal_raw();
    if (session->raw)
        fputs("quoll: Ctrl-A x leaves, Ctrl-A h lists more\r\n", stderr);
}

int session_run(struct qemu *qemu, const struct description *description,
                const struct session_options *options)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        abort();
    session->description = description;
    session->options = options;
    session->qemu = qemu;
    session->input_open = session->output_open = true;
    frames_init(&session->frames, session, take_text, take_notice);
    signal(SIGPIPE, SIG_IGN);
    int signals = watch_signals(), status = 0;
    open_files(session);
    start(session);
    while (session->ending == ENDING_NONE) {
        step(session, signals);
        if (session->ending == ENDING_NONE && qemu_ended(qemu, &status))
            session->ending = ENDING_MACHINE;
    }
    while (session->ending == ENDING_MACHINE && read_uart(session))
        ;
    frames_end(&session->frames);
    terminal_restore();
    int result = tell(session, status);
    close_files(session);
    close(signals);
    free(session);
    return result;
}
