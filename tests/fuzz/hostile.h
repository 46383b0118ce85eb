/*
 * Memory that a hostile party shares with the code under test and changes at any moment.
 *
 * Code under test is compiled so that each of its loads calls __sanitizer_cov_loadN (clang's trace-loads) and each
 * memcpy, memmove and memcmp comes by here (hostile_string.h). Whenever such a read touches a hostile area, the fuzzer's bytes
 * decide whether the memory changes before it. So no read can be forgotten: what reads a word twice and trusts both
 * reads is found.
 */
#ifndef FUZZ_HOSTILE_H
#define FUZZ_HOSTILE_H

#include "input.h"
#include <setjmp.h>

#define HOSTILE_AREAS 4u

/* Page-aligned memory between guard regions of 16 MiB; for the life of the process. */
uint8_t *hostile_allocate(size_t size);

/* Forgets all areas; from here on `changes` tells what changes between reads. Each change is
 *     gap      reads to let pass before it; 0xff: no more changes
 *     kind     bits 0..1: width 1, 2, 4, 8 bytes; bit 2: absolute place, else near a recent read; bit 3: XOR, else store;
 *              bits 4..6: how many reads back (0: the word that is about to be read)
 *     place    2 bytes, absolute only: offset in the area that was read
 *     value    width bytes */
void hostile_begin(struct input changes);
void hostile_area(uint8_t *bytes, size_t size);
/* The component under test crashes instead of its `reads`th read of an area from now on, 0: not any more: control goes to
 * `next_life`, which must be set whenever code under test runs. */
void hostile_ends_life(uint32_t reads, jmp_buf *next_life);
/* Nothing changes any more: the harness itself is about to look. */
void hostile_pause(void);
void hostile_resume(void);

#endif
