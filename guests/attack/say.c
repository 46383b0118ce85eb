/* See say.h. */
#include "say.h"
#include "virtio.h"

#define LINE_BYTES 256u
#define OUTPUT_QUEUE 1u
#define WAIT_MILLISECONDS 5000u

static struct queue queue __attribute__((aligned(4096)));
static struct virtio console;
static char line[LINE_BYTES];
static uint32_t length;
static char new_line[] = "\n";

static void send(void)
{
    if (console.slot == 0) {
        virtio_start(&console, virtio_find(VIRTIO_CONSOLE), OUTPUT_QUEUE, &queue);
        queue.descriptors[1] = (struct descriptor){(uint64_t)new_line, 1, 0, 0};
        virtio_offer(&console, 1); /* ends what the other has left */
        (void)virtio_wait(&console, WAIT_MILLISECONDS);
    }
    queue.descriptors[0] = (struct descriptor){(uint64_t)line, length, 0, 0};
    virtio_offer(&console, 0);
    if (virtio_wait(&console, WAIT_MILLISECONDS) != VIRTIO_USED) {
        console.slot = 0;
    }
    length = 0;
}

void say(const char *text)
{
    for (; *text != '\0'; text++) {
        if (length < LINE_BYTES - 1 || *text == '\n') {
            line[length++] = *text;
        }
        if (*text == '\n') {
            send();
        }
    }
}

void say_number(uint64_t value)
{
    char digits[21];
    uint32_t at = sizeof(digits);
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    say(digits + at);
}

void say_hexadecimal(uint64_t value)
{
    char digits[17];
    uint32_t at = sizeof(digits);
    digits[--at] = '\0';
    do {
        digits[--at] = (char)(value % 16 < 10 ? '0' + value % 16 : 'a' + value % 16 - 10);
        value /= 16;
    } while (value != 0);
    say("0x");
    say(digits + at);
}

void say_lost_console(void)
{
    console.slot = 0;
}
