/*
 * The program segments of a component: a checked reader for static AArch64 ELF files.
 *
 * Segments are widened to whole pages, the bytes around them are zero. What is accepted can be mapped
 * as it is: no two segments share a page, none is writable and executable, all lie in the code area of a
 * component's address space.
 */
#ifndef TOOL_ELF_FILE_H
#define TOOL_ELF_FILE_H

#include "content.h"

#include <quoll/abi.h>

#define ELF_FILE_SEGMENTS 8
/* Where a component's code and data may lie. */
#define ELF_FILE_LOW 0x00400000ULL
#define ELF_FILE_HIGH 0x10000000ULL

struct elf_segment {
    uint64_t address;     /* page-aligned */
    uint64_t size;        /* whole pages */
    uint32_t rights;      /* enum quoll_rights */
    struct content bytes; /* its beginning; the rest is zero */
};

struct elf_file {
    uint64_t entry;
    uint32_t segment_count;
    struct elf_segment segments[ELF_FILE_SEGMENTS];
};

/* Reports at `place` when it fails. */
bool elf_file_load(struct elf_file *elf, const char *path, struct report *report,
                   struct place place);
void elf_file_free(struct elf_file *elf);

#endif
