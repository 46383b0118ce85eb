/* See elf_sample.h. */
#include "elf_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void elf_sample_make(struct elf_sample *sample)
{
    *sample = (struct elf_sample){.header = {.e_type = ET_EXEC,
                                             .e_machine = EM_AARCH64,
                                             .e_entry = 0x400000,
                                             .e_phoff = sizeof(Elf64_Ehdr),
                                             .e_phentsize = sizeof(Elf64_Phdr),
                                             .e_phnum = 3}};
    memcpy(sample->header.e_ident, ELFMAG, SELFMAG);
    sample->header.e_ident[EI_CLASS] = ELFCLASS64;
    static const Elf64_Word flags[3] = {PF_R | PF_X, PF_R, PF_R | PF_W};
    for (unsigned i = 0; i < 3; i++)
        sample->program[i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                          .p_flags = flags[i],
                                          .p_offset = 0x1000 * (i + 1),
                                          .p_vaddr = 0x400000 + 0x1000 * i,
                                          .p_filesz = 0x100,
                                          .p_memsz = i == 2 ? 0x3000 : 0x100};
    memset(sample->rest, 0x5a, sizeof sample->rest);
}

void elf_sample_write(const struct elf_sample *sample, size_t size, const char *folder,
                      const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(sample, 1, size, file) != size)
        abort();
    fclose(file);
}
