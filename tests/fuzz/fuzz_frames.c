/*
 * A hostile guest that writes to its console, and a hostile terminal at the machine's UART.
 *
 * What must hold: whatever a guest writes, once it has come through the console service's guard the host tool sees no frame in it,
 * and, but for the replaced bytes, nothing is lost; input is never lost or doubled by the search for frames, however
 * it is cut into pieces; the names and texts of frames end.
 *
 * Input: byte 0: bits 0..2: bytes of the pieces that the host tool gets; the rest is what is written.
 */
#include "frame.h"
#include "frames.h"
#include "input.h"
#include <quoll/stream.h>

#define MOST 1024u

static uint8_t guarded[MOST], seen[2 * MOST];
static size_t seen_count;
static bool frame_seen, notice_seen;

static void text(void *context, const char *stream, const char *bytes, size_t length)
{
    (void)context;
    HOLDS(strnlen(stream, QUOLL_NAME_SIZE) < QUOLL_NAME_SIZE);
    HOLDS(seen_count + length <= sizeof(seen));
    memcpy(seen + seen_count, bytes, length);
    seen_count += length;
}

static void notice(void *context, const char *words)
{
    (void)context;
    HOLDS(strlen(words) < FRAMES_LONGEST);
    notice_seen = true;
}

static void feed(const uint8_t *bytes, size_t size, size_t piece)
{
    static struct frames frames;
    frames_init(&frames, NULL, text, notice);
    seen_count = 0;
    frame_seen = notice_seen = false;
    for (size_t at = 0; at < size; at += piece)
        frames_feed(&frames, (const char *)bytes + at, size - at < piece ? size - at : piece);
    frames_end(&frames);
    frame_seen = frames.framed;
}

/* Output of a guest: no frame survives the guard. */
static void guest_writes(const uint8_t *bytes, size_t size, size_t piece)
{
    struct frame_guard guard = {0};
    for (size_t i = 0; i < size; i++) {
        guarded[i] = frame_guard_pass(&guard, bytes[i]);
        HOLDS(guarded[i] == bytes[i] || (guarded[i] == '?' && bytes[i] == 'Q'));
    }
    feed(guarded, size, piece);
    HOLDS(!frame_seen && !notice_seen);
    HOLDS(seen_count == size && memcmp(seen, guarded, size) == 0);
}

/* The raw stream, as if the console service were hostile: the same whatever the pieces. */
static void service_writes(const uint8_t *bytes, size_t size, size_t piece)
{
    static uint8_t first[2 * MOST];
    feed(bytes, size, size + 1);
    size_t count = seen_count;
    memcpy(first, seen, count);
    feed(bytes, size, piece);
    HOLDS(seen_count == count && memcmp(first, seen, count) == 0);
    HOLDS(frame_seen || count == size);
}

static void terminal_types(const uint8_t *bytes, size_t size)
{
    struct frame_input input = {0};
    size_t text_bytes = 0, frame_bytes = 0;
    for (size_t i = 0; i < size; i++) {
        enum frame_event event = frame_input_pass(&input, bytes[i]);
        HOLDS(input.count < sizeof(input.bytes) && input.held_count <= sizeof(input.held));
        if (event == FRAME_SWITCH) {
            HOLDS(strnlen((char *)input.held, QUOLL_NAME_SIZE) < QUOLL_NAME_SIZE);
            frame_bytes += input.held_count + strlen(FRAME_BEGIN FRAME_INPUT FRAME_END);
        } else if (event == FRAME_TEXT) {
            HOLDS(memcmp(bytes + text_bytes + frame_bytes, input.held, input.held_count) == 0);
            text_bytes += input.held_count;
        }
        HOLDS(!frame_input_is_escape(&input) || bytes[i] == 0x1b);
    }
    if (frame_input_give_up(&input) == FRAME_TEXT)
        text_bytes += input.held_count;
    HOLDS(text_bytes + frame_bytes == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0 || size > MOST)
        return 0;
    size_t piece = (bytes[0] & 7) + 1u;
    guest_writes(bytes + 1, size - 1, piece);
    service_writes(bytes + 1, size - 1, piece);
    terminal_types(bytes + 1, size - 1);
    return 0;
}
