/* PL011, virtio transport, console and entropy, driven through their registers. */
#include "driver.h"
#include "pl011.h"
#include "pl031.h"
#include "virtio/console.h"
#include "virtio/entropy.h"
#include "virtio/monitor.h"
#include <stdlib.h>
#include <string.h>

static struct stream_link link;
static struct stream_end peer; /* the console service */
static struct console console;
static struct pl011 uart;
static struct pl031 wall_clock;
static struct virtio_console port;
static struct virtio_entropy entropy;
static struct virtio_monitor monitor;
static struct power_source power;
static struct random generator;
static struct driver driver;

static void attach(struct virtio_device *device)
{
    device->intid = 48;
    device->vgic = &vgic;
    device->ram = &ram;
}

static int setup(void **state)
{
    fake_setup(state);
    memset(&link, 0, sizeof(link));
    memset(&console, 0, sizeof(console));
    memset(&port, 0, sizeof(port));
    memset(&entropy, 0, sizeof(entropy));
    stream_attach(&peer, &link, true, 1);
    stream_attach(&console.stream, &link, false, 2);
    console.open = true;
    pl011_start(&uart, &vgic, &console);
    pl031_start(&wall_clock, &vgic, 1700000000);
    virtio_console_start(&port, &console);
    attach(&port.device);
    virtio_entropy_start(&entropy, &generator);
    attach(&entropy.device);
    memset(&monitor, 0, sizeof(monitor));
    power.lost = 0;
    virtio_monitor_start(&monitor, &power, 3);
    attach(&monitor.device);
    return 0;
}

/* ---- PL011 ---- */

static uint32_t uart_read(uint64_t offset)
{
    struct access access = {offset, 0, 4, 0};
    if (pl011_hot(&uart, &access))
        return (uint32_t)access.value;
    pl011_access(&uart, &access);
    pl011_move(&uart, pl011_wants_input(&uart));
    return (uint32_t)access.value;
}

static void uart_write(uint64_t offset, uint32_t value)
{
    struct access access = {offset, value, 4, 1};
    pl011_access(&uart, &access);
    pl011_move(&uart, pl011_wants_input(&uart));
}

static bool uart_interrupts(void)
{
    return (interrupts.level[0] >> 1 & 1) != 0;
}

static void printed(const char *text)
{
    char bytes[256] = {0};
    assert_int_equal(stream_read(&peer, bytes, sizeof(bytes)), strlen(text));
    assert_string_equal(bytes, text);
}

static void early_console_prints(void **state)
{
    for (const char *c = "hello\n"; *c != 0; c++) {
        assert_false(uart_read(0x18) & 0x20); /* TXFF */
        uart_write(0x00, (uint8_t)*c);
        assert_false(uart_read(0x18) & 0x08); /* BUSY */
    }
    printed("hello\n");
}

static void linux_finds_a_primecell(void **state)
{
    uint32_t id = 0, cell = 0;
    for (uint32_t i = 0; i < 4; i++) {
        id |= (uart_read(0xfe0 + 4 * i) & 0xff) << (8 * i);
        cell |= (uart_read(0xff0 + 4 * i) & 0xff) << (8 * i);
    }
    assert_int_equal(cell, 0xb105f00d);
    assert_int_equal(id & 0xfffff, 0x41011);
}

static void transmit_interrupt_comes_and_goes(void **state)
{
    uart_write(0x00, 'x');
    assert_false(uart_interrupts()); /* masked */
    uart_write(0x38, 0x20);
    assert_true(uart_interrupts());
    assert_int_equal(uart_read(0x40), 0x20);
    uart_write(0x38, 0);
    assert_false(uart_interrupts());
}

static void full_stream_holds_the_guest_back(void **state)
{
    char bytes[STREAM_RING_BYTES] = {0};
    for (uint32_t i = 0; i < STREAM_RING_BYTES; i++)
        uart_write(0x00, 'a');
    uint32_t held = 0;
    while (!(uart_read(0x18) & 0x20)) {
        uart_write(0x00, 'b');
        held++;
    }
    assert_int_equal(held, PL011_FIFO);
    uart_write(0x38, 0x20);
    assert_false(uart_interrupts());
    assert_int_equal(stream_read(&peer, bytes, sizeof(bytes)), sizeof(bytes));
    pl011_move(&uart, false); /* the stream says that it has space */
    assert_true(uart_interrupts());
    printed("bbbbbbbbbbbbbbbb");
}

static void input_waits_until_somebody_listens(void **state)
{
    stream_write(&peer, "abc", 3);
    for (int i = 0; i < 30; i++) { /* printing alone takes no input */
        uart_write(0x00, '.');
        uart_read(0x18);
        uart_read(0x18);
    }
    assert_true(uart_read(0x18) & 0x10); /* RXFE */
    uart_write(0x2c, 0x70);              /* FIFO on */
    uart_write(0x38, 0x50);              /* receive and timeout interrupts */
    assert_true(uart_interrupts());
    assert_false(uart_read(0x18) & 0x10);
    assert_int_equal(uart_read(0x00), 'a');
    assert_int_equal(uart_read(0x00), 'b');
    assert_true(uart_interrupts());
    assert_int_equal(uart_read(0x00), 'c');
    assert_false(uart_interrupts());
    assert_true(uart_read(0x18) & 0x10);
}

static void firmware_polls_for_input(void **state)
{
    stream_write(&peer, "k", 1);
    int looks = 0;
    while (uart_read(0x18) & 0x10)
        assert_true(++looks < 100);
    assert_int_equal(uart_read(0x00), 'k');
}

static void input_is_not_lost_in_bursts(void **state)
{
    char sent[1000];
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)('a' + i % 26);
    stream_write(&peer, sent, sizeof(sent));
    uart_write(0x2c, 0x70);
    uart_write(0x38, 0x50);
    for (size_t i = 0; i < sizeof(sent); i++) {
        assert_true(uart_interrupts());
        assert_int_equal(uart_read(0x00), sent[i]);
    }
    assert_false(uart_interrupts());
}

static void every_register_and_size_is_survived(void **state)
{
    static const uint32_t sizes[] = {1, 2, 4, 8};
    for (uint64_t offset = 0; offset < VIRT_DEVICE_SIZE; offset++)
        for (int i = 0; i < 8; i++) {
            struct access access = {offset, UINT64_MAX, sizes[i / 2], (uint32_t)i % 2};
            pl011_access(&uart, &access);
            access.address = offset;
            pl031_access(&wall_clock, &access);
        }
}

static void wall_clock_ticks(void **state)
{
    struct access access = {0, 0, 4, 0}, set = {8, 42, 4, 1};
    fake.now = 5000000;
    pl031_access(&wall_clock, &access);
    assert_int_equal(access.value, 1700000005);
    pl031_access(&wall_clock, &set);
    fake.now += 3000000;
    pl031_access(&wall_clock, &access);
    assert_int_equal(access.value, 45);
}

/* ---- transport ---- */

static void device_is_identified(void **state)
{
    driver.device = &entropy.device;
    assert_int_equal(driver_read(&driver, 0x00), 0x74726976);
    assert_int_equal(driver_read(&driver, 0x04), 2);
    assert_int_equal(driver_read(&driver, 0x08), 4);
    driver_write(&driver, 0x14, 1);
    assert_int_equal(driver_read(&driver, 0x10), 1); /* VERSION_1 */
    driver_write(&driver, 0x14, 2);
    assert_int_equal(driver_read(&driver, 0x10), 0);
    driver_write(&driver, 0x30, 1);
    assert_int_equal(driver_read(&driver, 0x34), 0); /* it has one queue */
    assert_int_equal(driver_read(&driver, 0xb0), UINT32_MAX);
}

static void features_must_be_acceptable(void **state)
{
    static const uint64_t wrong[] = {0, VIRTIO_F_RING_EVENT_IDX, VIRTIO_F_VERSION_1 | 1};
    for (int i = 0; i < 3; i++) {
        driver.device = &entropy.device;
        driver_write(&driver, 0x70, 0);
        driver_write(&driver, 0x70, 3);
        for (uint32_t half = 0; half < 2; half++) {
            driver_write(&driver, 0x24, half);
            driver_write(&driver, 0x20, (uint32_t)(wrong[i] >> (32 * half)));
        }
        driver_write(&driver, 0x70, 11);
        assert_int_equal(driver_read(&driver, 0x70), 3); /* FEATURES_OK did not stay */
    }
}

static void reset_through_the_status_register(void **state)
{
    driver_start(&driver, &entropy.device, VIRTIO_F_VERSION_1);
    driver_write(&driver, 0x70, 0);
    assert_int_equal(driver_read(&driver, 0x70), 0);
    assert_int_equal(driver_read(&driver, 0x44), 0);
    assert_int_equal(driver_read(&driver, 0x60), 0);
}

static void queue_in_no_mans_land_needs_reset(void **state)
{
    driver_start(&driver, &entropy.device, VIRTIO_F_VERSION_1);
    driver_write(&driver, 0x44, 0);
    driver_write(&driver, 0x80, 0x10);
    driver_write(&driver, 0x44, 1);
    assert_int_equal(driver_read(&driver, 0x44), 0);
    assert_true(driver_read(&driver, 0x70) & VIRTIO_NEEDS_RESET);
    assert_int_equal(driver_read(&driver, 0x60), VIRTIO_INTERRUPT_CONFIG);
    assert_int_equal(fake.pulses[48], 1);
    driver_start(&driver, &entropy.device, VIRTIO_F_VERSION_1); /* and comes back */
}

static void broken_ring_needs_reset(void **state)
{
    driver_start(&driver, &entropy.device, VIRTIO_F_VERSION_1);
    driver_set_descriptor(&driver.queue[0], 0, 0, 64, WRITE, 0);
    driver_offer(&driver.queue[0], 0);
    entropy.device.notify(&entropy.device);
    assert_true(driver_read(&driver, 0x70) & VIRTIO_NEEDS_RESET);
    entropy.device.notify(&entropy.device); /* nothing more happens */
    assert_int_equal(fake.pulses[48], 1);
}

static void random_register_accesses_are_survived(void **state)
{
    srand(2);
    for (int i = 0; i < 300000; i++) {
        struct virtio_device *device = rand() % 2 ? &entropy.device : &port.device;
        uint64_t value = (uint64_t)rand() << (rand() % 34);
        if (rand() % 2)
            value = VIRT_RAM + (value & (RAM_BYTES - 1) & ~15ull);
        struct access access = {(uint64_t)rand() % VIRTIO_CONFIG_BYTES * 4, value, 4,
                                (uint32_t)rand() % 2};
        if (rand() % 16 == 0)
            access = (struct access){(uint64_t)rand() % 0x200, value, 1u << rand() % 4,
                                     (uint32_t)rand() % 2};
        if (!virtio_hot(device, &access))
            virtio_access(device, &access);
        if (rand() % 4 == 0)
            device->notify(device);
        if (rand() % 64 == 0)
            *(uint64_t *)(void *)at(VIRT_RAM + ((uint64_t)rand() % RAM_BYTES & ~7ull)) = value;
    }
}

/* ---- entropy ---- */

static void entropy_is_given(void **state)
{
    struct used used;
    driver_start(&driver, &entropy.device, VIRTIO_F_VERSION_1);
    uint64_t a = driver_allocate(&driver, 64);
    driver_add(&driver, &driver.queue[0], (struct buffer[]){{a, 64, true}}, 1, false);
    entropy.device.notify(&entropy.device);
    assert_true(driver_take_used(&driver.queue[0], &used));
    assert_int_equal(used.length, 64);
    assert_int_equal(driver_read(&driver, 0x60), VIRTIO_INTERRUPT_USED);
    assert_int_equal(fake.pulses[48], 1);
    driver_write(&driver, 0x64, VIRTIO_INTERRUPT_USED);
    assert_int_equal(driver_read(&driver, 0x60), 0);
    uint64_t words[8], any = 0;
    memcpy(words, at(a), 64);
    for (int i = 0; i < 8; i++) {
        assert_true(words[i] != 0);
        any |= words[i];
    }
    assert_int_equal(any, UINT64_MAX); /* fails for one seed in 2^50 */
}

static void huge_requests_are_cut(void **state)
{
    struct used used;
    driver_start(&driver, &entropy.device, VIRTIO_F_VERSION_1);
    driver_add(&driver, &driver.queue[0], (struct buffer[]){{VIRT_RAM + 0x8000, 0x80000, true}}, 1,
               false);
    entropy.device.notify(&entropy.device);
    assert_true(driver_take_used(&driver.queue[0], &used));
    assert_int_equal(used.length, 4096);
}

static void a_driver_that_never_stops_does_not_keep_the_thread(void **state)
{
    driver_start(&driver, &entropy.device, VIRTIO_F_VERSION_1);
    /* The buffer is the available ring's index itself: each request makes "new" requests appear. */
    driver_add(&driver, &driver.queue[0], (struct buffer[]){{driver.queue[0].driver + 2, 1, true}},
               1, false);
    for (int i = 0; i < 100 && !entropy.device.again; i++)
        entropy.device.notify(&entropy.device); /* each one returns */
}

/* ---- console ---- */

static void say(const char *text, bool indirect)
{
    uint64_t a = driver_allocate(&driver, strlen(text) + 1);
    memcpy(at(a), text, strlen(text));
    driver_add(&driver, &driver.queue[1], (struct buffer[]){{a, (uint32_t)strlen(text), false}}, 1,
               indirect);
    port.device.notify(&port.device);
}

static void offer_input(uint32_t size)
{
    uint64_t a = driver_allocate(&driver, size);
    driver_add(&driver, &driver.queue[0], (struct buffer[]){{a, size, true}}, 1, false);
    port.device.notify(&port.device);
}

static void output_reaches_the_stream(void **state)
{
    struct used used;
    driver_start(&driver, &port.device, VIRTIO_F_COMMON);
    say("Linux ", false);
    say("says hello", true);
    printed("Linux says hello");
    assert_true(driver_take_used(&driver.queue[1], &used));
    assert_true(driver_take_used(&driver.queue[1], &used));
    assert_int_equal(used.length, 0);
}

static void output_waits_for_a_full_stream(void **state)
{
    struct used used;
    char bytes[STREAM_RING_BYTES];
    static char text[STREAM_RING_BYTES + 1001];
    memset(text, 'q', sizeof(text) - 1);
    driver_start(&driver, &port.device, VIRTIO_F_COMMON);
    say(text, false);
    assert_false(driver_take_used(&driver.queue[1], &used));
    assert_int_equal(stream_read(&peer, bytes, sizeof(bytes)), sizeof(bytes));
    virtio_console_move(&port);
    assert_true(driver_take_used(&driver.queue[1], &used));
    assert_int_equal(stream_read(&peer, bytes, sizeof(bytes)), 1000);
}

static void input_goes_to_the_console_that_speaks(void **state)
{
    struct used used;
    driver_start(&driver, &port.device, VIRTIO_F_COMMON);
    stream_write(&peer, "ls\n", 3);
    offer_input(64);
    assert_false(driver_take_used(&driver.queue[0], &used)); /* nobody has used it so far */
    say("# ", false);
    assert_true(driver_take_used(&driver.queue[0], &used));
    assert_int_equal(used.length, 3);
    assert_false(virtio_console_wants_input(&port));
    offer_input(2);
    assert_true(virtio_console_wants_input(&port));
    stream_write(&peer, "abc", 3);
    virtio_console_move(&port);
    assert_true(driver_take_used(&driver.queue[0], &used));
    assert_int_equal(used.length, 2);
    assert_false(driver_take_used(&driver.queue[0], &used));
    offer_input(16);
    assert_true(driver_take_used(&driver.queue[0], &used)); /* the third byte was kept */
    assert_int_equal(used.length, 1);
}

/* ---- The doorbell of a VM that watches the mains ---- */

/* What the guest writes, in as many buffers as there are texts. */
static void ring(const char *const texts[], uint32_t count)
{
    struct driver_queue *queue = &driver.queue[1];
    struct used used;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = (uint32_t)strlen(texts[i]);
        struct buffer buffer = {driver_allocate(&driver, length), length, false};
        memcpy(at(buffer.address), texts[i], length);
        driver_add(&driver, queue, &buffer, 1, false);
    }
    monitor.device.notify(&monitor.device);
    for (uint32_t i = 0; i < count; i++)
        assert_true(driver_take_used(queue, &used));
}

#define RING(...)                                                                                  \
    ring((const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void a_guest_rings_lost_and_back(void **state)
{
    driver_start(&driver, &monitor.device, VIRTIO_F_COMMON);
    uint32_t before = fake.signals;
    RING("mains lost\r\n"); /* as a terminal writes it */
    assert_int_equal(power.lost, 1);
    assert_int_equal(fake.signals, before + 1);
    RING("mai", "ns ", "back", "\n");
    assert_int_equal(power.lost, 0);
    RING("mains back\nmains lost\n");
    assert_int_equal(power.lost, 1);
    virtio_reset(&monitor.device);
    assert_int_equal(power.lost, 1); /* what was said stays said */
}

static void whatever_else_a_guest_writes_rings_nothing(void **state)
{
    static char flood[600];
    memset(flood, 'm', sizeof(flood) - 1);
    driver_start(&driver, &monitor.device, VIRTIO_F_COMMON);
    uint32_t before = fake.signals;
    RING("mains", "\n", "Mains lost\n", "mains lost ", "\n", "\n\n", " mains lost\n");
    RING(flood);
    RING("mains lost\n"); /* the end of the flood's line */
    for (int i = 0; i < 100; i++)
        RING("x\n");
    assert_int_equal(power.lost, 0);
    assert_int_equal(fake.signals, before);
    uint32_t lines = 0;
    for (const char *at = fake.log; (at = strstr(at, "no command")) != NULL; at++)
        lines++;
    assert_in_range(lines, 1, 8); /* a guest must not flood the log */
    RING("mains lost\n");
    assert_int_equal(power.lost, 1);
}

static void half_a_line_is_forgotten_with_a_reset(void **state)
{
    driver_start(&driver, &monitor.device, VIRTIO_F_COMMON);
    RING("mains lo");
    virtio_reset(&monitor.device);
    driver_start(&driver, &monitor.device, VIRTIO_F_COMMON);
    RING("st\n");
    assert_int_equal(power.lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(early_console_prints, setup),
        cmocka_unit_test_setup(linux_finds_a_primecell, setup),
        cmocka_unit_test_setup(transmit_interrupt_comes_and_goes, setup),
        cmocka_unit_test_setup(full_stream_holds_the_guest_back, setup),
        cmocka_unit_test_setup(input_waits_until_somebody_listens, setup),
        cmocka_unit_test_setup(firmware_polls_for_input, setup),
        cmocka_unit_test_setup(input_is_not_lost_in_bursts, setup),
        cmocka_unit_test_setup(every_register_and_size_is_survived, setup),
        cmocka_unit_test_setup(wall_clock_ticks, setup),
        cmocka_unit_test_setup(device_is_identified, setup),
        cmocka_unit_test_setup(features_must_be_acceptable, setup),
        cmocka_unit_test_setup(reset_through_the_status_register, setup),
        cmocka_unit_test_setup(queue_in_no_mans_land_needs_reset, setup),
        cmocka_unit_test_setup(broken_ring_needs_reset, setup),
        cmocka_unit_test_setup(random_register_accesses_are_survived, setup),
        cmocka_unit_test_setup(entropy_is_given, setup),
        cmocka_unit_test_setup(huge_requests_are_cut, setup),
        cmocka_unit_test_setup(a_driver_that_never_stops_does_not_keep_the_thread, setup),
        cmocka_unit_test_setup(output_reaches_the_stream, setup),
        cmocka_unit_test_setup(output_waits_for_a_full_stream, setup),
        cmocka_unit_test_setup(input_goes_to_the_console_that_speaks, setup),
        cmocka_unit_test_setup(a_guest_rings_lost_and_back, setup),
        cmocka_unit_test_setup(whatever_else_a_guest_writes_rings_nothing, setup),
        cmocka_unit_test_setup(half_a_line_is_forgotten_with_a_reset, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
