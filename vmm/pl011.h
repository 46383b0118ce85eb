/*
 * The guest's UART: an Arm PL011 (DDI 0183), enough for early consoles, Linux's amba-pl011 with interrupts,
 * and firmware. Its line speed is that of the console stream.
 *
 * The device thread's, but for UARTFR: guests look at it twice for each byte they print, so vCPU threads answer it
 * from a copy. Who keeps looking without printing polls for input; that is noticed by counting.
 */
#ifndef VMM_PL011_H
#define VMM_PL011_H

#include "console_hub.h"
#include "device_tree.h"
#include "vgic.h"

#define PL011_FIFO 16u

struct pl011 {
    struct vgic *vgic;
    struct console *console;
    uint32_t raw, mask; /* interrupts: UARTRIS, UARTIMSC */
    uint32_t line_control, control, fifo_levels, dma;
    uint32_t baud_integer, baud_fraction, low_power;
    uint32_t looks;                   /* atomic: at UARTFR since the last byte sent */
    uint32_t flags;                   /* atomic: UARTFR, by the device thread */
    uint32_t received, receive_first; /* receive FIFO */
    uint8_t receive[PL011_FIFO];
    uint32_t held; /* transmit FIFO: bytes that the stream had no space for */
    uint8_t transmit[PL011_FIFO];
};

void pl011_start(struct pl011 *uart, struct vgic *vgic, struct console *console);
void pl011_reset(struct pl011 *uart);
void pl011_access(struct pl011 *uart, struct access *access);
/* Whether the access can change the UART's state: reading UARTDR takes a byte. */
static inline bool pl011_is_changed_by(const struct access *access)
{
    return access->write || access->address == 0;
}
/* The register that a vCPU thread answers itself; false: the device thread's. */
bool pl011_hot(struct pl011 *uart, struct access *access);
/* Whether the guest waits for input here, and there is room for some. */
bool pl011_wants_input(const struct pl011 *uart);
/* The stream has space, or input (which is taken only when the UART is to get it). */
void pl011_move(struct pl011 *uart, bool input);
void pl011_describe(struct tree *tree, uint32_t clock);

#endif
