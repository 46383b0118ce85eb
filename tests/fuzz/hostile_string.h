/* Included in front of code under test that reads hostile memory: its copies and comparisons come by hostile.c. */
#ifndef FUZZ_HOSTILE_STRING_H
#define FUZZ_HOSTILE_STRING_H

#include <stddef.h>
#include <string.h>

void *hostile_copy(void *to, const void *from, size_t size);
void *hostile_move(void *to, const void *from, size_t size);
int hostile_compare(const void *a, const void *b, size_t size);

#define memcpy hostile_copy
#define memmove hostile_move
#define memcmp hostile_compare

#endif
