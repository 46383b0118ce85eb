/* Random system calls: what each argument means comes from one table beside QUOLL_CALLS (quoll/abi.h). */
#ifndef GRAMMAR_H
#define GRAMMAR_H

#include "object.h"

struct random_call {
    uint64_t number; /* QUOLL_CALL_COUNT and more: no such call */
    uint64_t argument[5];
};

/* A call for this thread to issue. */
void grammar_call(const struct thread *thread, struct random_call *call);
/* A call with this number. */
void grammar_call_of(const struct thread *thread, enum quoll_call number, struct random_call *call);
/* Puts it where the kernel will look. */
void grammar_load(struct thread *thread, const struct random_call *call);
/* "map 3 80000000 ...", for messages. */
void grammar_text(const struct random_call *call, char *text, size_t size);

#endif
