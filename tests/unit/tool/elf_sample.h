/* A small component ELF file made by hand: code at 0x400000, constants at 0x401000, data at 0x402000. */
#ifndef TESTS_TOOL_ELF_SAMPLE_H
#define TESTS_TOOL_ELF_SAMPLE_H

#include <elf.h>
#include <stddef.h>

#define ELF_SAMPLE_SIZE 0x4000

struct elf_sample {
    Elf64_Ehdr header;
    Elf64_Phdr program[3];
    unsigned char rest[ELF_SAMPLE_SIZE - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
};

void elf_sample_make(struct elf_sample *sample);
/* Writes it to folder/name. */
void elf_sample_write(const struct elf_sample *sample, size_t size, const char *folder,
                      const char *name);

#endif
