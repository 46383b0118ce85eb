/*
 * The console's framing (quoll/stream.h): keeping it out of what guests write, and finding it in what comes in. Pure: state
 * machines that see one byte at a time, so it does not matter how a sequence is split over writes.
 */
#ifndef CONSOLE_FRAME_H
#define CONSOLE_FRAME_H

#include <quoll/abi.h>
#include <stdbool.h>
#include <stdint.h>

/* Output of one guest. Zeroed: at the start. */
struct frame_guard {
    uint8_t matched; /* bytes of ESC _ Q that the last bytes were */
};

/* What may go out in the place of this byte. */
uint8_t frame_guard_pass(struct frame_guard *guard, uint8_t byte);

/* Input from the UART. Zeroed: at the start. */
enum frame_event {
    FRAME_NOTHING, /* the byte may belong to a frame: it is held */
    FRAME_TEXT,    /* held[0..held_count) is input for the present stream */
    FRAME_SWITCH,  /* held is the zero-terminated name of the stream that gets input from here on */
};

struct frame_input {
    uint8_t bytes[8 + QUOLL_NAME_SIZE]; /* the frame as far as it has come */
    uint32_t count;
    uint8_t held[8 + QUOLL_NAME_SIZE];
    uint32_t held_count;
};

enum frame_event frame_input_pass(struct frame_input *input, uint8_t byte);
/* True when all that is held is one ESC: most likely a key and not the begin of a frame. */
bool frame_input_is_escape(const struct frame_input *input);
/* Gives up waiting for the rest of a frame: FRAME_TEXT, or FRAME_NOTHING when nothing is held. */
enum frame_event frame_input_give_up(struct frame_input *input);

#endif
