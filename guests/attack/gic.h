/* Registers of the interrupt controller that attacks use, too (IHI 0069, chapter 12). */
#ifndef ATTACK_GIC_H
#define ATTACK_GIC_H

#define GICD_CTLR (GIC_DISTRIBUTOR + 0)
#define GICD_CTLR_ENABLE 0x12u /* EnableGrp1, ARE */
#define GICD_IROUTER 0x6000UL
#define GICR_WAKER 0x14
#define GICR_WAKER_SLEEP 2u
#define GICR_SGI_FRAME 0x10000UL
#define IGROUPR 0x80UL
#define ISENABLER 0x100UL
#define ICENABLER 0x180UL
#define ISPENDR 0x200UL
#define ICPENDR 0x280UL
#define IPRIORITYR 0x400UL
#define SPECIAL 1020u
#define SPIS 256u
#define TIMER 27u
#define TIMER_ON 1
#define PL011_SPI 33u
#define PL011_IMSC (PL011 + 0x38)
#define PL011_TX 0x20u

#endif
