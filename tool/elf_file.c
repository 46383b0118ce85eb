/* Reading component ELF files; see elf_file.h. */
#include "elf_file.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define PAGE QUOLL_PAGE_SIZE

/* NULL: good; else what is wrong. */
static const char *check_header(const Elf64_Ehdr *header, size_t size)
{
    if (size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return "is no ELF file";
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_AARCH64)
        return "is for another machine than AArch64";
    if (header->e_type != ET_EXEC)
        return "is not a static executable";
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > size ||
        (size - header->e_phoff) / sizeof(Elf64_Phdr) < header->e_phnum)
        return "is cut short";
    return NULL;
}

static const char *check_segment(const Elf64_Phdr *program, size_t size)
{
    if (program->p_offset > size || program->p_filesz > size - program->p_offset)
        return "is cut short";
    if (program->p_filesz > program->p_memsz)
        return "has a segment with more bytes than memory";
    if (program->p_vaddr < ELF_FILE_LOW || program->p_memsz > ELF_FILE_HIGH ||
        program->p_vaddr > ELF_FILE_HIGH - program->p_memsz)
        return "has a segment outside 0x400000..0x10000000";
    if ((program->p_flags & PF_W) && (program->p_flags & PF_X))
        return "has a segment that is writable and executable";
    return NULL;
}

static const char *take_segment(struct elf_file *elf, const Elf64_Phdr *program,
                                const uint8_t *file)
{
    if (elf->segment_count == ELF_FILE_SEGMENTS)
        return "has too many segments";
    struct elf_segment *segment = &elf->segments[elf->segment_count];
    uint64_t start = program->p_vaddr & ~(PAGE - 1);
    uint64_t end = (program->p_vaddr + program->p_memsz + PAGE - 1) & ~(PAGE - 1);
    for (uint32_t i = 0; i < elf->segment_count; i++)
        if (start < elf->segments[i].address + elf->segments[i].size &&
            end > elf->segments[i].address)
            return "has segments that share a page (link with -z separate-code)";
    uint64_t head = program->p_vaddr - start;
    *segment = (struct elf_segment){.address = start, .size = end - start};
    segment->rights = ((program->p_flags & PF_R) ? QUOLL_READ : 0u) |
                      ((program->p_flags & PF_W) ? QUOLL_WRITE : 0u) |
                      ((program->p_flags & PF_X) ? QUOLL_EXECUTE : 0u);
    segment->bytes.size = program->p_filesz ? head + program->p_filesz : 0;
    segment->bytes.bytes = calloc(1, segment->bytes.size + 1);
    if (program->p_filesz)
        memcpy(segment->bytes.bytes + head, file + program->p_offset, program->p_filesz);
    elf->segment_count++;
    return NULL;
}

static const char *take_all(struct elf_file *elf, const struct content *file)
{
    Elf64_Ehdr header;
    if (file->size < sizeof header)
        return "is no ELF file";
    memcpy(&header, file->bytes, sizeof header);
    const char *wrong = check_header(&header, file->size);
    for (uint32_t i = 0; wrong == NULL && i < header.e_phnum; i++) {
        Elf64_Phdr program;
        memcpy(&program, file->bytes + header.e_phoff + i * sizeof program, sizeof program);
        if (program.p_type != PT_LOAD || program.p_memsz == 0)
            continue;
        wrong = check_segment(&program, file->size);
        if (wrong == NULL)
            wrong = take_segment(elf, &program, file->bytes);
    }
    elf->entry = header.e_entry;
    return wrong;
}

static bool entry_is_code(const struct elf_file *elf)
{
    for (uint32_t i = 0; i < elf->segment_count; i++)
        if ((elf->segments[i].rights & QUOLL_EXECUTE) && elf->entry >= elf->segments[i].address &&
            elf->entry < elf->segments[i].address + elf->segments[i].size)
            return true;
    return false;
}

bool elf_file_load(struct elf_file *elf, const char *path, struct report *report,
                   struct place place)
{
    struct content file;
    *elf = (struct elf_file){0};
    if (!content_read(&file, path, report, place, "the component", "build it, or correct the path"))
        return false;
    const char *wrong = take_all(elf, &file);
    if (wrong == NULL && !entry_is_code(elf))
        wrong = "does not start in its code";
    if (wrong != NULL)
        report_error(report, place, "`%s` %s; build it as Quoll's own components are built", path,
                     wrong);
    content_free(&file);
    if (wrong != NULL)
        elf_file_free(elf);
    return wrong == NULL;
}

void elf_file_free(struct elf_file *elf)
{
    for (uint32_t i = 0; i < elf->segment_count; i++)
        content_free(&elf->segments[i].bytes);
    elf->segment_count = 0;
}
