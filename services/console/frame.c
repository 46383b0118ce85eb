/* See frame.h. */
#include "frame.h"
#include <quoll/stream.h>
#include <string.h>

#define ESCAPE 0x1b

static const char begin[] = FRAME_BEGIN;
static const char input_begin[] = FRAME_BEGIN FRAME_INPUT;
static const char end[] = FRAME_END;

enum { BEGIN_LENGTH = sizeof begin - 1, INPUT_BEGIN_LENGTH = sizeof input_begin - 1 };

uint8_t frame_guard_pass(struct frame_guard *guard, uint8_t byte)
{
    if (byte == ESCAPE)
        guard->matched = 1;
    else if (guard->matched > 0 && byte == (uint8_t)begin[guard->matched])
        guard->matched++;
    else
        guard->matched = 0;
    if (guard->matched < BEGIN_LENGTH)
        return byte;
    guard->matched = 0;
    return '?';
}

static enum frame_event release(struct frame_input *input)
{
    memcpy(input->held, input->bytes, input->count);
    input->held_count = input->count;
    input->count = 0;
    return input->held_count > 0 ? FRAME_TEXT : FRAME_NOTHING;
}

/* Whether the last byte, with what came before it, can still become a frame. */
static bool can_go_on(const struct frame_input *input)
{
    uint32_t last = input->count - 1;
    uint8_t byte = input->bytes[last];
    if (last < INPUT_BEGIN_LENGTH)
        return byte == (uint8_t)input_begin[last];
    if (last > INPUT_BEGIN_LENGTH && input->bytes[last - 1] == ESCAPE)
        return byte == (uint8_t)end[1];
    if (byte == ESCAPE)
        return true;
    return byte >= ' ' && last < INPUT_BEGIN_LENGTH + QUOLL_NAME_SIZE - 1;
}

static bool is_complete(const struct frame_input *input)
{
    return input->count >= INPUT_BEGIN_LENGTH + 2 && input->bytes[input->count - 2] == ESCAPE &&
           input->bytes[input->count - 1] == (uint8_t)end[1];
}

static enum frame_event complete(struct frame_input *input)
{
    input->held_count = input->count - INPUT_BEGIN_LENGTH - 2;
    memcpy(input->held, input->bytes + INPUT_BEGIN_LENGTH, input->held_count);
    input->held[input->held_count] = 0;
    input->count = 0;
    return FRAME_SWITCH;
}

enum frame_event frame_input_pass(struct frame_input *input, uint8_t byte)
{
    input->bytes[input->count++] = byte;
    if (can_go_on(input))
        return is_complete(input) ? complete(input) : FRAME_NOTHING;
    if (byte != ESCAPE || input->count == 1)
        return release(input);
    /* not this one, but another may begin here */
    input->count--;
    release(input);
    input->bytes[input->count++] = byte;
    return FRAME_TEXT;
}

bool frame_input_is_escape(const struct frame_input *input)
{
    return input->count == 1;
}

enum frame_event frame_input_give_up(struct frame_input *input)
{
    return release(input);
}
