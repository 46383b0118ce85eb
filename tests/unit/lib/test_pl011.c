/*
 * The UART driver where it must wait: a full transmit FIFO and a full stream. The registers are plain memory, so a FIFO is what
 * the test writes into the flag register; that bytes come out in order is for the system tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quoll/stream.h>
#include <quoll/twin.h>

void pl011_main(void);

enum { DR = 0x000, FR = 0x018, CR = 0x030, IMSC = 0x038 };
enum { RXFE = 1 << 4, TXFF = 1 << 5, INT_RX = 1 << 4, INT_TX = 1 << 5 };

struct system {
    struct twin *twin;
    struct twin_irq *irq;
    uint8_t *registers;
    struct stream_end stream;
};

static uint32_t get(struct system *s, uint32_t offset)
{
    return __atomic_load_n((uint32_t *)(void *)(s->registers + offset), __ATOMIC_SEQ_CST);
}

static void set(struct system *s, uint32_t offset, uint32_t value)
{
    __atomic_store_n((uint32_t *)(void *)(s->registers + offset), value, __ATOMIC_SEQ_CST);
}

static struct system set_up(uint32_t flags)
{
    struct system s = {.twin = twin_create()};
    struct twin_component *test = twin_adopt(s.twin, "test");
    struct twin_component *uart = twin_component(s.twin, "pl011", pl011_main, NULL, 1);
    s.registers = twin_memory(s.twin, 0x1000);
    twin_give_memory(uart, "registers", s.registers, 0x1000);
    s.irq = twin_give_irq(uart, 0, "interrupt");
    twin_link(uart, "stream0", test, "uart", STREAM_LINK_BYTES);
    stream_open(&s.stream, "uart", false);
    set(&s, FR, flags);
    twin_start(s.twin);
    return s;
}

static void until(struct system *s, uint32_t offset, uint32_t mask, uint32_t value)
{
    for (int patience = 0; (get(s, offset) & mask) != value; patience++) {
        if (patience == 1000)
            fail_msg("register %x is %x", offset, get(s, offset));
        twin_wait(5);
    }
}

static void it_enables_the_uart_and_waits_for_input_only(void **state)
{
    struct system s = set_up(RXFE);
    until(&s, IMSC, INT_RX | INT_TX, INT_RX);
    assert_int_equal(get(&s, CR), 0x301);
    twin_destroy(s.twin);
}

static void a_byte_goes_out(void **state)
{
    struct system s = set_up(RXFE);
    stream_write(&s.stream, "hello", 5);
    until(&s, DR, 0xff, 'o');
    until(&s, IMSC, INT_TX, 0);
    twin_destroy(s.twin);
}

static void a_full_fifo_is_waited_for_by_interrupt(void **state)
{
    struct system s = set_up(RXFE | TXFF);
    stream_write(&s.stream, "hello", 5);
    until(&s, IMSC, INT_TX, INT_TX);
    assert_int_equal(get(&s, DR), 0);
    assert_false(stream_is_taken(&s.stream));
    set(&s, FR, RXFE);
    twin_irq_raise(s.irq);
    until(&s, DR, 0xff, 'o');
    until(&s, IMSC, INT_TX, 0);
    assert_true(stream_is_taken(&s.stream));
    twin_destroy(s.twin);
}

static void a_full_stream_holds_input_back_and_resumes(void **state)
{
    struct system s = set_up(RXFE);
    until(&s, IMSC, INT_RX, INT_RX);
    set(&s, DR, 'x');
    set(&s, FR, 0); /* input without end */
    twin_irq_raise(s.irq);
    until(&s, IMSC, INT_RX, 0);
    set(&s, FR, RXFE);
    uint8_t bytes[STREAM_RING_BYTES];
    uint32_t count = 0;
    for (int patience = 0; patience < 1000 && (get(&s, IMSC) & INT_RX) == 0; patience++) {
        count += stream_read(&s.stream, bytes, sizeof bytes);
        twin_wait(5);
    }
    while (stream_read(&s.stream, bytes, 1) == 1)
        count++;
    assert_int_equal(get(&s, IMSC) & INT_RX, INT_RX);
    assert_true(count > STREAM_RING_BYTES); /* what it had read from the FIFO comes too */
    assert_int_equal(bytes[0], 'x');
    twin_destroy(s.twin);
}

static void an_overrun_is_reported(void **state)
{
    struct system s = set_up(RXFE);
    until(&s, IMSC, INT_RX, INT_RX);
    set(&s, DR, 'x' | 0x800 /* overrun: this one is good, others are gone */);
    set(&s, FR, 0);
    twin_irq_raise(s.irq);
    until(&s, IMSC, INT_RX, 0);
    assert_true(twin_logged(s.twin, "input was lost"));
    set(&s, FR, RXFE);
    twin_destroy(s.twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_enables_the_uart_and_waits_for_input_only),
        cmocka_unit_test(a_byte_goes_out),
        cmocka_unit_test(a_full_fifo_is_waited_for_by_interrupt),
        cmocka_unit_test(a_full_stream_holds_input_back_and_resumes),
        cmocka_unit_test(an_overrun_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
