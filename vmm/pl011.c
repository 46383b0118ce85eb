/* The PL011 model; the contract is in pl011.h, register names in DDI 0183, chapter 3. */
#include "pl011.h"
#include <string.h>

enum pl011_register {
    UARTDR = 0x00,
    UARTFR = 0x18,
    UARTILPR = 0x20,
    UARTIBRD = 0x24,
    UARTFBRD = 0x28,
    UARTLCR_H = 0x2c,
    UARTCR = 0x30,
    UARTIFLS = 0x34,
    UARTIMSC = 0x38,
    UARTRIS = 0x3c,
    UARTMIS = 0x40,
    UARTICR = 0x44,
    UARTDMACR = 0x48,
    UART_IDENTIFICATION = 0xfe0,
};

enum pl011_flag {
    FR_CTS = 0x01,
    FR_DSR = 0x02,
    FR_DCD = 0x04,
    FR_BUSY = 0x08,
    FR_RXFE = 0x10,
    FR_TXFF = 0x20,
    FR_RXFF = 0x40,
    FR_TXFE = 0x80,
};

enum pl011_interrupt { INT_RX = 0x10, INT_TX = 0x20, INT_TIMEOUT = 0x40, INT_ALL = 0x7ff };

#define LCR_H_FIFO 0x10u
#define CR_RESET 0x300u /* TXE, RXE */
#define IFLS_RESET 0x12u
#define POLLING_LOOKS 16u /* printing looks at the flags twice per byte */

static uint32_t receive_depth(const struct pl011 *uart)
{
    return uart->line_control & LCR_H_FIFO ? PL011_FIFO : 1;
}

static uint32_t flags(const struct pl011 *uart)
{
    uint32_t value = FR_CTS | FR_DSR | FR_DCD;
    if (uart->received == 0)
        value |= FR_RXFE;
    if (uart->received >= receive_depth(uart))
        value |= FR_RXFF;
    value |= uart->held == 0 ? FR_TXFE : FR_BUSY;
    if (uart->held == PL011_FIFO)
        value |= FR_TXFF;
    return value;
}

/* Shows the new state to vCPU threads and on the interrupt line. */
static void update(struct pl011 *uart)
{
    __atomic_store_n(&uart->flags, flags(uart), __ATOMIC_SEQ_CST);
    vgic_level(uart->vgic, VIRT_SPI(VIRT_PL011_SPI), (uart->raw & uart->mask) != 0);
}

/* Empties the transmit FIFO as far as the stream has space. */
static void flush(struct pl011 *uart)
{
    uint32_t sent = console_write(uart->console, uart->transmit, uart->held);
    memmove(uart->transmit, uart->transmit + sent, uart->held - sent);
    uart->held -= sent;
    if (uart->held == 0)
        uart->raw |= INT_TX;
}

static void write_data(struct pl011 *uart, uint8_t byte)
{
    __atomic_store_n(&uart->looks, 0, __ATOMIC_RELAXED);
    uart->raw &= ~(uint32_t)INT_TX;
    if (uart->held < PL011_FIFO) /* else lost, as in hardware: UARTFR said that it is full */
        uart->transmit[uart->held++] = byte;
    flush(uart);
}

static uint32_t read_data(struct pl011 *uart)
{
    if (uart->received == 0)
        return 0;
    uint32_t byte = uart->receive[uart->receive_first];
    uart->receive_first = (uart->receive_first + 1) % PL011_FIFO;
    uart->received--;
    if (uart->received == 0)
        uart->raw &= ~(uint32_t)(INT_RX | INT_TIMEOUT);
    return byte;
}

static void take_input(struct pl011 *uart)
{
    uint8_t byte;
    while (uart->received < receive_depth(uart) && console_read(uart->console, &byte, 1) == 1) {
        uart->receive[(uart->receive_first + uart->received) % PL011_FIFO] = byte;
        uart->received++;
        uart->raw |= INT_RX | INT_TIMEOUT;
    }
}

static uint32_t read_register(struct pl011 *uart, uint32_t offset)
{
    static const uint8_t identification[] = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    if (offset >= UART_IDENTIFICATION)
        return identification[(offset - UART_IDENTIFICATION) / 4];
    switch (offset) {
    case UARTDR:
        return read_data(uart);
    case UARTFR:
        return flags(uart);
    case UARTILPR:
        return uart->low_power;
    case UARTIBRD:
        return uart->baud_integer;
    case UARTFBRD:
        return uart->baud_fraction;
    case UARTLCR_H:
        return uart->line_control;
    case UARTCR:
        return uart->control;
    case UARTIFLS:
        return uart->fifo_levels;
    case UARTIMSC:
        return uart->mask;
    case UARTRIS:
        return uart->raw;
    case UARTMIS:
        return uart->raw & uart->mask;
    case UARTDMACR:
        return uart->dma;
    default:
        return 0;
    }
}

static void write_register(struct pl011 *uart, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case UARTDR:
        write_data(uart, (uint8_t)value);
        break;
    case UARTILPR:
        uart->low_power = value & 0xff;
        break;
    case UARTIBRD:
        uart->baud_integer = value & 0xffff;
        break;
    case UARTFBRD:
        uart->baud_fraction = value & 0x3f;
        break;
    case UARTLCR_H:
        uart->line_control = value & 0xff;
        break;
    case UARTCR:
        uart->control = value & 0xffff;
        break;
    case UARTIFLS:
        uart->fifo_levels = value & 0x3f;
        break;
    case UARTIMSC:
        uart->mask = value & INT_ALL;
        break;
    case UARTICR:
        uart->raw &= ~(value & INT_ALL);
        break;
    case UARTDMACR:
        uart->dma = value & 7;
        break;
    default:
        break;
    }
}

void pl011_access(struct pl011 *uart, struct access *access)
{
    uint32_t offset = (uint32_t)access->address & ~3u;
    if (access->write)
        write_register(uart, offset, access->address % 4 == 0 ? (uint32_t)access->value : 0);
    else
        access->value = access->address % 4 == 0 ? read_register(uart, offset) : 0;
    update(uart);
}

bool pl011_hot(struct pl011 *uart, struct access *access)
{
    if (access->address != UARTFR || access->write)
        return false;
    if (__atomic_fetch_add(&uart->looks, 1, __ATOMIC_RELAXED) == POLLING_LOOKS)
        return false; /* the device thread must know, and hand it input */
    access->value = __atomic_load_n(&uart->flags, __ATOMIC_SEQ_CST);
    return true;
}

bool pl011_wants_input(const struct pl011 *uart)
{
    bool interrupts = (uart->mask & (INT_RX | INT_TIMEOUT)) != 0;
    return (interrupts || __atomic_load_n(&uart->looks, __ATOMIC_RELAXED) >= POLLING_LOOKS) &&
           uart->received < receive_depth(uart);
}

void pl011_move(struct pl011 *uart, bool input)
{
    if (uart->held != 0)
        flush(uart);
    if (input)
        take_input(uart);
    update(uart);
}

void pl011_reset(struct pl011 *uart)
{
    *uart = (struct pl011){
        .vgic = uart->vgic,
        .console = uart->console,
        .control = CR_RESET,
        .fifo_levels = IFLS_RESET,
    };
    uart->flags = flags(uart);
}

void pl011_start(struct pl011 *uart, struct vgic *vgic, struct console *console)
{
    uart->vgic = vgic;
    uart->console = console;
    pl011_reset(uart);
}

void pl011_describe(struct tree *tree, uint32_t clock)
{
    tree_node(tree, "pl011@9000000");
    tree_strings(tree, "compatible", "arm,pl011\0arm,primecell", 2);
    tree_reg(tree, VIRT_PL011, VIRT_DEVICE_SIZE);
    tree_interrupt(tree, TREE_SPI, VIRT_PL011_SPI, TREE_LEVEL_HIGH);
    tree_cells(tree, "clocks", (const uint32_t[]){clock, clock}, 2);
    tree_strings(tree, "clock-names", "uartclk\0apb_pclk", 2);
    tree_end(tree);
}
