/* The generic timer (Arm ARM D11): the system counter and each core's EL2 deadline. */
#ifndef TIME_H
#define TIME_H

/* Per core, at boot. */
void time_core_start(void);

#endif
