/*
 * Separates what comes over the machine's one UART into streams; the framing is told in <quoll/stream.h>.
 *
 * Bytes go in as they come, in pieces of any size; text and notices come out through the two functions. What only looks like
 * a frame is text. Every ESC begins anew. Pure: no input or output of its own.
 */
#ifndef TOOL_FRAMES_H
#define TOOL_FRAMES_H

#include <quoll/abi.h>
#include <stdbool.h>
#include <stddef.h>

#define FRAMES_LONGEST 512 /* bytes of a frame */

struct frames {
    void (*text)(void *context, const char *stream, const char *bytes, size_t length);
    void (*notice)(void *context, const char *text);
    void *context;
    bool framed;                  /* a frame was seen: the console service runs */
    char stream[QUOLL_NAME_SIZE]; /* the current one */
    size_t held;                  /* bytes of a frame that has begun */
    char frame[FRAMES_LONGEST];
};

void frames_init(struct frames *frames, void *context,
                 void (*text)(void *, const char *, const char *, size_t),
                 void (*notice)(void *, const char *));
void frames_feed(struct frames *frames, const char *bytes, size_t length);
/* Nothing more will come: a frame that has begun was text. */
void frames_end(struct frames *frames);

#endif
