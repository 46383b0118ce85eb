/*
 * A hostile guest against the virtio console and the console hub; at the same time a console service at the other end of
 * the stream that is honest or hostile. Guest memory and the stream's link change between any two reads.
 *
 * What must hold: nothing outside the guest's RAM and the link is touched; each chain is given back exactly once; while the guest
 * and the service are honest, what the one writes is what the other reads.
 *
 * Input: byte 0: bit 0: the stream is closed, bit 1: hostile service, the rest: queue size; 1 byte: how many bytes of changes
 * between reads follow; these; then steps.
 */
#include "calls.h"
#include "driver.h"
#include "virtio/console.h"

static struct virtio_console port;
static struct console console;
static struct driver driver;
static struct stream_link *link_memory;
static struct stream_end service;

static void start(uint8_t choice, struct input changes)
{
    if (link_memory == NULL)
        link_memory = (struct stream_link *)(void *)hostile_allocate(STREAM_LINK_BYTES);
    memset(link_memory, 0, STREAM_LINK_BYTES);
    memset(&port, 0, sizeof(port));
    memset(&console, 0, sizeof(console));
    hostile_begin(input_of(NULL, 0));
    stream_attach(&console.stream, link_memory, false, 0);
    stream_attach(&service, link_memory, true, 1);
    console.open = (choice & 1) == 0;
    virtio_console_start(&port, &console);
    hostile_begin(changes);
    if (choice & 2)
        hostile_area((uint8_t *)link_memory, sizeof(*link_memory));
    driver_start(&driver, &port.device);
}

static void service_step(struct input *input, bool hostile)
{
    static uint8_t bytes[512];
    uint8_t choice = input_8(input);
    if (hostile && (choice & 1)) {
        uint32_t offset = input_16(input) % 256u, length = choice >> 4;
        for (uint32_t i = 0; i < length; i++)
            ((uint8_t *)link_memory)[offset + i] = input_8(input);
    } else if (choice & 2) {
        stream_read(&service, bytes, (choice >> 2) * 2u);
    } else {
        stream_write(&service, bytes, (choice >> 2) * 2u);
    }
}

static void check(void)
{
    driver_check_queue(&port.device.queue[0], 0);
    driver_check_queue(&port.device.queue[1], port.output_held ? 1 : 0);
    HOLDS(!port.output_held || port.sent <= port.output.readable_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    start(choice, input_part(&input, input_8(&input)));
    driver_set_up(&driver, port.device.features, 1u << (choice >> 2 & 7));
    while (input_more(&input)) {
        uint8_t step = input_8(&input);
        if ((step & 3) == 0)
            service_step(&input, (choice & 2) != 0);
        else if (step == 1)
            virtio_console_wants_input(&port);
        else if ((step & 7) == 1)
            virtio_console_move(&port);
        else
            driver_step(&driver, &input);
        check();
    }
    return 0;
}
