/* System calls: decode, then commit. */
#ifndef KERNEL_CALL_H
#define KERNEL_CALL_H

#include "object.h"

/* The current thread issued SVC: number and arguments are in its registers, and so will be the results. */
void call_dispatch(struct core *core, struct thread *thread);

#endif
