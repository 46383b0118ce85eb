/*
 * Driver of the Arm PL011 UART (DDI 0183): one stream ("stream0", this is its server) both ways.
 *
 * Nothing is polled. Sending fills the transmit FIFO and, when bytes remain, waits for the interrupt that comes when it has
 * drained to its threshold. Receiving empties the receive FIFO into a small buffer and that into the stream; while the
 * stream is full the receive interrupts are masked, and bytes wait in the FIFO (a sender with flow control waits too).
 * Baud rate and line format are what the firmware has set: the kernel's early console was readable with them.
 */
#include <quoll/quoll.h>
#include <quoll/stream.h>

enum pl011_register {
    UARTDR = 0x000,
    UARTFR = 0x018,
    UARTLCR_H = 0x02c,
    UARTCR = 0x030,
    UARTIFLS = 0x034,
    UARTIMSC = 0x038,
    UARTICR = 0x044,
};

enum { DR_DATA = 0xff, DR_ERRORS = 0x700 /* framing, parity, break */, DR_OVERRUN = 0x800 };
enum { FR_RXFE = 1u << 4, FR_TXFF = 1u << 5 };
enum { LCR_H_FEN = 1u << 4, LCR_H_WLEN8 = 3u << 5 };
enum { CR_UARTEN = 1u << 0, CR_TXE = 1u << 8, CR_RXE = 1u << 9 };
enum { INT_RX = 1u << 4, INT_TX = 1u << 5, INT_RT = 1u << 6, INT_ALL = 0x7ff };
enum { IFLS_TX_EIGHTH_RX_EIGHTH = 0 };

#define REGISTERS_SIZE 0x1000

static struct {
    volatile uint8_t *registers;
    struct stream_end stream;
    uint8_t received[64]; /* read from the FIFO, not yet in the stream */
    uint32_t received_count;
    uint8_t unsent; /* taken from the stream, no room in the FIFO */
    bool has_unsent;
    bool overrun_told;
    bool interrupted; /* the interrupt has come and is not acknowledged yet */
} driver;

static uint32_t register_read(enum pl011_register offset)
{
    return *(volatile uint32_t *)(driver.registers + offset);
}

static void register_write(enum pl011_register offset, uint32_t value)
{
    *(volatile uint32_t *)(driver.registers + offset) = value;
}

static void start_device(void)
{
    register_write(UARTIMSC, 0);
    if ((register_read(UARTLCR_H) & LCR_H_FEN) == 0)
        register_write(UARTLCR_H, LCR_H_WLEN8 | LCR_H_FEN);
    register_write(UARTIFLS, IFLS_TX_EIGHTH_RX_EIGHTH);
    register_write(UARTICR, INT_ALL);
    register_write(UARTCR, CR_UARTEN | CR_TXE | CR_RXE);
}

static void tell_overrun(void)
{
    if (!driver.overrun_told)
        quoll_log("input was lost: the sender does not wait for the receiver");
    driver.overrun_told = true;
}

static void empty_receive_fifo(void)
{
    while (driver.received_count < sizeof driver.received &&
           (register_read(UARTFR) & FR_RXFE) == 0) {
        uint32_t data = register_read(UARTDR);
        if ((data & DR_OVERRUN) != 0)
            tell_overrun();
        if ((data & DR_ERRORS) == 0)
            driver.received[driver.received_count++] = data & DR_DATA;
    }
}

/* Returns false when bytes are left that the stream has no room for. */
static bool receive(void)
{
    for (;;) {
        empty_receive_fifo();
        if (driver.received_count == 0)
            return true;
        uint32_t done = stream_write(&driver.stream, driver.received, driver.received_count);
        for (uint32_t i = done; i < driver.received_count; i++)
            driver.received[i - done] = driver.received[i];
        driver.received_count -= done;
        if (driver.received_count > 0)
            return false;
    }
}

/* Returns false when a byte is left that the FIFO has no room for. */
static bool transmit(void)
{
    for (;;) {
        if (!driver.has_unsent)
            driver.has_unsent = stream_read(&driver.stream, &driver.unsent, 1) == 1;
        if (!driver.has_unsent)
            return true;
        if ((register_read(UARTFR) & FR_TXFF) != 0)
            return false;
        register_write(UARTDR, driver.unsent);
        driver.has_unsent = false;
    }
}

/* Moves what can be moved and unmasks the interrupts that tell when more can be. */
static bool serve(void)
{
    register_write(UARTICR, INT_RX | INT_RT | INT_TX);
    uint32_t wanted = receive() ? INT_RX | INT_RT : 0;
    bool all_sent = transmit();
    register_write(UARTIMSC, wanted | (all_sent ? 0 : INT_TX));
    return all_sent;
}

void component_main(void)
{
    driver.registers = quoll_memory("registers", REGISTERS_SIZE);
    uint32_t irq = quoll_handle("interrupt", QUOLL_OBJECT_IRQ);
    uint64_t interrupt = quoll_receive("interrupt");
    stream_open(&driver.stream, "stream0", true);
    start_device();
    for (;;) {
        bool all_sent = serve();
        if (driver.interrupted)
            quoll_irq_ack(irq);
        driver.interrupted = false;
        if (!all_sent || stream_sleep(&driver.stream))
            driver.interrupted = (quoll_wait() & interrupt) != 0;
    }
}
