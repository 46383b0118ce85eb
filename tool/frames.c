/* The UART's streams; see frames.h. */
#include "frames.h"

#include <quoll/stream.h>

#include <stdio.h>
#include <string.h>

#define ESCAPE '\033'

void frames_init(struct frames *frames, void *context,
                 void (*text)(void *, const char *, const char *, size_t),
                 void (*notice)(void *, const char *))
{
    *frames = (struct frames){
        .text = text, .notice = notice, .context = context, .stream = FRAME_LOG_STREAM};
}

static void release(struct frames *frames)
{
    if (frames->held > 0)
        frames->text(frames->context, frames->stream, frames->frame, frames->held);
    frames->held = 0;
}

static void finish(struct frames *frames)
{
    size_t prefix = strlen(FRAME_BEGIN), suffix = strlen(FRAME_END);
    size_t length = frames->held - prefix - suffix;
    char *content = frames->frame + prefix;
    content[length] = '\0';
    frames->held = 0;
    frames->framed = true;
    if (content[0] == FRAME_NOTICE[0])
        frames->notice(frames->context, content + 1);
    else
        snprintf(frames->stream, sizeof frames->stream, "%.*s", QUOLL_NAME_SIZE - 1, content);
}

/* Can the held bytes and this one still become a frame? */
static bool continues(const struct frames *frames, char byte)
{
    size_t prefix = strlen(FRAME_BEGIN);
    if (frames->held < prefix)
        return byte == FRAME_BEGIN[frames->held];
    if (frames->held + 1 >= FRAMES_LONGEST)
        return false;
    bool escaped = frames->frame[frames->held - 1] == ESCAPE;
    return escaped ? byte == FRAME_END[1] : byte == ESCAPE || (unsigned char)byte >= ' ';
}

static bool complete(const struct frames *frames)
{
    size_t prefix = strlen(FRAME_BEGIN), suffix = strlen(FRAME_END);
    return frames->held >= prefix + suffix &&
           memcmp(frames->frame + frames->held - suffix, FRAME_END, suffix) == 0;
}

/* What is held is no frame; only an ESC at its end may still begin one. */
static void give_up(struct frames *frames)
{
    bool escape = frames->held > 1 && frames->frame[frames->held - 1] == ESCAPE;
    frames->held -= escape;
    release(frames);
    if (escape)
        frames->frame[frames->held++] = ESCAPE;
}

/* A byte that is or follows an ESC. */
static void take(struct frames *frames, char byte)
{
    while (frames->held > 0 && !continues(frames, byte))
        give_up(frames);
    if (frames->held == 0 && byte != ESCAPE) {
        frames->text(frames->context, frames->stream, &byte, 1);
        return;
    }
    frames->frame[frames->held++] = byte;
    if (complete(frames))
        finish(frames);
}

void frames_feed(struct frames *frames, const char *bytes, size_t length)
{
    while (length > 0) {
        if (frames->held > 0 || bytes[0] == ESCAPE) {
            take(frames, *bytes++);
            length--;
            continue;
        }
        const char *escape = memchr(bytes, ESCAPE, length);
        size_t plain = escape ? (size_t)(escape - bytes) : length;
        frames->text(frames->context, frames->stream, bytes, plain);
        bytes += plain;
        length -= plain;
    }
}

void frames_end(struct frames *frames)
{
    release(frames);
}
