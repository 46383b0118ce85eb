/*
 * The console service: many streams on one UART.
 *
 * Sources of output are the VMs' consoles (streams of which this is the server) and the kernel's log rings. They take turns; a
 * turn is at most TURN_BYTES of a VM or one log line, put together with its framing in `out` and moved to
 * the UART's stream as that has room. While `out` is not empty no source is asked: VMs then wait with their bytes, and
 * nothing is lost but log text that the kernel overwrites, which is counted and told.
 *
 * Input goes to one VM, the focus, until a frame names another one. Input is in order: while the focus does not read,
 * what follows for others waits too.
 *
 * Flush: when the supervisor asks, everything that the sources hold at that moment goes out (a VM that keeps writing is
 * cut off after one ring), then the UART driver takes it, then the UART's own FIFO gets time to empty.
 */
#include "frame.h"
#include "kernel_log.h"
#include <quoll/config.h>
#include <quoll/quoll.h>
#include <quoll/stream.h>
#include <string.h>

#define TURN_BYTES 512u
#define OUT_BYTES 1536u
/* 32 characters of FIFO and shift register at 115200 baud take less than 3 ms. */
#define FIFO_NS UINT64_C(5000000)
/* An ESC that nothing follows is a key: long enough for the rest of a frame to arrive, too short to annoy. */
#define ESCAPE_NS UINT64_C(100000000)
#define NOTICE_LINE "supervisor: notice: "

enum { NO_SOURCE = UINT32_MAX, LOG_SOURCE = UINT32_MAX - 1 };

struct guest {
    struct stream_end stream;
    struct frame_guard guard;
    char name[QUOLL_NAME_SIZE];
    uint32_t flush_left; /* bytes that a flush still has to take */
};

struct core_log {
    struct kernel_log_reader reader;
    uint32_t flush_left;
};

enum flush_state { FLUSH_NONE, FLUSH_SOURCES, FLUSH_FIFO };

static struct {
    struct stream_end uart;
    struct guest guests[CONFIG_MAX_CLIENTS];
    uint32_t guest_count;
    struct core_log logs[QUOLL_MAX_CORES];
    uint32_t log_count;
    const struct quoll_log *kernel_log;

    uint8_t out[OUT_BYTES];
    uint32_t out_count, out_sent;
    uint32_t shown; /* whose output it is that the last frame announced */
    uint32_t turn;  /* the source that is asked next */

    struct frame_input input;
    uint8_t typed[sizeof((struct frame_input *)0)->held]; /* for the focus, not yet in its stream */
    uint32_t typed_count;
    uint32_t focus;

    enum flush_state flush;
    uint32_t flushed; /* channel */
    uint64_t escape_deadline, flush_deadline, timer;
} console;

/* ------------------------------------------------------------------------------------------------ putting output together */

static void out_byte(uint8_t byte)
{
    QUOLL_ASSERT(console.out_count < OUT_BYTES);
    console.out[console.out_count++] = byte;
}

static void out_text(const char *text)
{
    while (*text != 0)
        out_byte((uint8_t)*text++);
}

/* For text whose bytes are anybody's: no control characters. */
static void out_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)text[i];
        out_byte((byte < ' ' && byte != '\t') || byte == 0x7f ? '?' : byte);
    }
}

static void show(uint32_t source)
{
    if (console.shown == source)
        return;
    console.shown = source;
    out_text(FRAME_BEGIN);
    out_text(source == LOG_SOURCE ? FRAME_LOG_STREAM : console.guests[source].name);
    out_text(FRAME_END);
}

static void out_log_line(const char *line, size_t length)
{
    size_t prefix = sizeof NOTICE_LINE - 1;
    if (length >= prefix && memcmp(line, NOTICE_LINE, prefix) == 0) {
        out_text(FRAME_BEGIN FRAME_NOTICE);
        out_printable(line + prefix, length - prefix);
        out_text(FRAME_END);
        return;
    }
    show(LOG_SOURCE);
    out_printable(line, length);
    out_text("\r\n");
}

static void tell_lost(struct kernel_log_reader *reader, uint32_t core)
{
    char line[96];
    size_t length = quoll_format(line, sizeof line, "console: %lu bytes of core %u's log were lost",
                                 (unsigned long)reader->lost, core);
    out_log_line(line, length);
    reader->lost = 0;
}

/* Both return how many bytes they have taken from their source. */
static uint32_t log_turn(uint32_t core)
{
    struct kernel_log_reader *reader = &console.logs[core].reader;
    char line[KERNEL_LOG_LINE];
    size_t length = kernel_log_take(reader, line);
    if (reader->lost > 0)
        tell_lost(reader, core);
    if (length == SIZE_MAX)
        return 0;
    out_log_line(line, length);
    return (uint32_t)length + 1;
}

static uint32_t guest_turn(uint32_t index)
{
    struct guest *guest = &console.guests[index];
    uint8_t bytes[TURN_BYTES];
    uint32_t count = stream_read(&guest->stream, bytes, sizeof bytes);
    if (count > 0)
        show(index);
    for (uint32_t i = 0; i < count; i++)
        out_byte(frame_guard_pass(&guest->guard, bytes[i]));
    return count;
}

static bool is_flushing(void)
{
    return console.flush != FLUSH_NONE;
}

static bool take_turn(uint32_t source)
{
    bool is_log = source < console.log_count;
    uint32_t index = is_log ? source : source - console.log_count;
    uint32_t *left = is_log ? &console.logs[index].flush_left : &console.guests[index].flush_left;
    if (is_flushing() && *left == 0)
        return false;
    uint32_t taken = is_log ? log_turn(index) : guest_turn(index);
    *left = taken == 0 || taken > *left ? 0 : *left - taken;
    return taken > 0 || console.out_count > 0;
}

/* Gives every source a turn until one has something. false: none has. */
static bool fill_out(void)
{
    uint32_t sources = console.log_count + console.guest_count;
    for (uint32_t i = 0; i < sources; i++) {
        uint32_t source = console.turn % sources;
        console.turn = (source + 1) % sources;
        if (take_turn(source))
            return true;
    }
    return false;
}

/* false: the UART has no room. */
static bool empty_out(void)
{
    console.out_sent += stream_write(&console.uart, console.out + console.out_sent,
                                     console.out_count - console.out_sent);
    if (console.out_sent < console.out_count)
        return false;
    console.out_count = console.out_sent = 0;
    return true;
}

/* Returns true when there is nothing left to show, false when the UART has no room. */
static bool serve_output(void)
{
    for (;;) {
        if (!empty_out())
            return false;
        if (!fill_out())
            return true;
    }
}

/* ------------------------------------------------------------------------------------------------ flush */

static void flush_begin(void)
{
    console.flush = FLUSH_SOURCES;
    for (uint32_t i = 0; i < console.guest_count; i++)
        console.guests[i].flush_left = STREAM_RING_BYTES;
    for (uint32_t i = 0; i < console.log_count; i++)
        console.logs[i].flush_left = QUOLL_LOG_BYTES;
}

static void flush_go_on(bool all_shown)
{
    if (console.flush == FLUSH_SOURCES && all_shown && stream_is_taken(&console.uart)) {
        console.flush = FLUSH_FIFO;
        console.flush_deadline = quoll_now() + quoll_ticks_from_ns(FIFO_NS);
    }
    if (console.flush == FLUSH_FIFO && quoll_now() >= console.flush_deadline) {
        console.flush = FLUSH_NONE;
        console.flush_deadline = QUOLL_NEVER;
        quoll_signal(console.flushed);
    }
}

/* ------------------------------------------------------------------------------------------------ input */

static void switch_focus(const char *name)
{
    for (uint32_t i = 0; i < console.guest_count; i++) {
        if (strcmp(console.guests[i].name, name) == 0) {
            console.focus = i;
            return;
        }
    }
    quoll_log("input for \"%s\", but no VM has that name; it goes to \"%s\" as before", name,
              console.guest_count == 0 ? "nobody" : console.guests[console.focus].name);
}

static void take_input_event(enum frame_event event)
{
    if (event == FRAME_SWITCH)
        switch_focus((const char *)console.input.held);
    if (event != FRAME_TEXT || console.guest_count == 0)
        return;
    memcpy(console.typed, console.input.held, console.input.held_count);
    console.typed_count = console.input.held_count;
}

/* false: the focus has no room. */
static bool empty_typed(void)
{
    if (console.typed_count == 0)
        return true;
    struct guest *guest = &console.guests[console.focus];
    uint32_t done = stream_write(&guest->stream, console.typed, console.typed_count);
    memmove(console.typed, console.typed + done, console.typed_count - done);
    console.typed_count -= done;
    return console.typed_count == 0;
}

/* Returns true when there is no more input, false when the focus has no room for it. */
static bool serve_input(void)
{
    uint8_t byte;
    for (;;) {
        if (!empty_typed())
            return false;
        if (stream_read(&console.uart, &byte, 1) == 0)
            return true;
        take_input_event(frame_input_pass(&console.input, byte));
    }
}

/* Called when all input has been looked at. */
static void watch_escape(void)
{
    if (!frame_input_is_escape(&console.input)) {
        console.escape_deadline = QUOLL_NEVER;
        return;
    }
    if (console.escape_deadline == QUOLL_NEVER)
        console.escape_deadline = quoll_now() + quoll_ticks_from_ns(ESCAPE_NS);
    if (quoll_now() < console.escape_deadline)
        return;
    console.escape_deadline = QUOLL_NEVER;
    take_input_event(frame_input_give_up(&console.input));
}

/* ------------------------------------------------------------------------------------------------ */

static void set_timer(void)
{
    uint64_t next = console.escape_deadline < console.flush_deadline ? console.escape_deadline
                                                                     : console.flush_deadline;
    if (next != console.timer)
        quoll_timer_set(next);
    console.timer = next;
}

/* Tells every stream that may bring work that this thread is going to sleep. false: there is work already. While the
 * UART is full, more output is no work; while the focus is full, more input is none. */
static bool may_sleep(bool output_done, bool input_done)
{
    if (input_done && (console.typed_count > 0 || !stream_sleep(&console.uart)))
        return false;
    for (uint32_t i = 0; output_done && !is_flushing() && i < console.guest_count; i++)
        if (!stream_sleep(&console.guests[i].stream))
            return false;
    return true;
}

/* From its first wait on, this component owns the UART, and the log says where that was. A timer in the past lets that
 * wait return at once. */
static uint64_t take_over_uart(void)
{
    quoll_timer_set(0);
    uint64_t signals = quoll_wait();
    uint32_t count = console.kernel_log->cores;
    console.log_count = count < QUOLL_MAX_CORES ? count : QUOLL_MAX_CORES;
    for (uint32_t i = 0; i < console.log_count; i++)
        kernel_log_attach(&console.logs[i].reader, &console.kernel_log->ring[i]);
    return signals;
}

static void find_guests(void)
{
    const struct console_config *config = quoll_memory("config", sizeof *config);
    if (config->stream_count > CONFIG_MAX_CLIENTS)
        quoll_fail("config names %u streams, at most %u are possible", config->stream_count,
                   CONFIG_MAX_CLIENTS);
    console.guest_count = config->stream_count;
    console.focus = config->focus < console.guest_count ? config->focus : 0;
    for (uint32_t i = 0; i < console.guest_count; i++) {
        quoll_format(console.guests[i].name, QUOLL_NAME_SIZE, "%.*s", QUOLL_NAME_SIZE - 1,
                     config->name[i]);
        stream_open(&console.guests[i].stream, quoll_numbered("stream", i), true);
    }
}

static void set_up(void)
{
    memset(&console, 0, sizeof console);
    console.shown = NO_SOURCE;
    console.escape_deadline = console.flush_deadline = console.timer = QUOLL_NEVER;
    console.kernel_log = quoll_memory("kernel-log", sizeof(struct quoll_log));
    stream_open(&console.uart, "uart", false);
    find_guests();
}

void component_main(void)
{
    set_up();
    bool flushable = quoll_find(QUOLL_ENVIRONMENT_RECEIVE, "console-flush") != NULL;
    uint64_t flush = flushable ? quoll_receive("console-flush") : 0;
    if (flushable)
        console.flushed = quoll_handle("console-flushed", QUOLL_OBJECT_CHANNEL);
    uint64_t signals = take_over_uart();
    for (;;) {
        if ((signals & QUOLL_SIGNAL_TIMER) != 0)
            console.timer = QUOLL_NEVER;
        if ((signals & flush) != 0)
            flush_begin();
        bool output_done = serve_output();
        bool input_done = serve_input();
        if (input_done)
            watch_escape();
        flush_go_on(output_done);
        set_timer();
        signals = may_sleep(output_done, input_done) ? quoll_wait() : 0;
    }
}
