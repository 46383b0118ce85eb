/*
 * Inside libquoll: what lib/quoll and lib/linux each provide to the code in lib/common. Not for components.
 */
#ifndef LIB_RUNTIME_H
#define LIB_RUNTIME_H

#include <quoll/quoll.h>
#include <stdarg.h>

/* QUOLL_NAME_SIZE bytes that belong to the calling thread alone. */
char *runtime_name_buffer(void);
/* Ends the calling component for good; the message has been logged. */
_Noreturn void runtime_stop(const char *message);

#endif
