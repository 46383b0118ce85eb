/*
 * A hostile component file, as the host tool reads it.
 *
 * What must hold: nothing outside the file is read; of what is accepted, segments are whole pages in the code area, no two share a page,
 * none is writable and executable, and the entry is in one that is executable; a refusal is told.
 *
 * Input: the file as it is.
 */
#include "elf_file.h"
#include "input.h"

static struct input file;

/* Instead of tool/content.c's. */
bool content_read(struct content *content, const char *path, struct report *report,
                  struct place place, const char *what, const char *remedy)
{
    (void)path, (void)report, (void)place, (void)what, (void)remedy;
    content->bytes = malloc(file.size == 0 ? 1 : file.size);
    content->size = file.size;
    if (file.size != 0)
        memcpy(content->bytes, file.bytes, file.size);
    return content->bytes != NULL;
}

void content_free(struct content *content)
{
    free(content->bytes);
    *content = (struct content){0};
}

static void check(const struct elf_file *elf)
{
    bool entry_is_code = false;
    HOLDS(elf->segment_count != 0 && elf->segment_count <= ELF_FILE_SEGMENTS);
    for (uint32_t i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *a = &elf->segments[i];
        uint32_t both = QUOLL_WRITE | QUOLL_EXECUTE;
        HOLDS((a->address | a->size) % QUOLL_PAGE_SIZE == 0 && a->size != 0);
        HOLDS(a->address >= ELF_FILE_LOW && a->address + a->size <= ELF_FILE_HIGH);
        HOLDS((a->rights & both) != both && a->bytes.size <= a->size);
        entry_is_code |= (a->rights & QUOLL_EXECUTE) && elf->entry - a->address < a->size;
        for (uint32_t j = 0; j < i; j++) {
            const struct elf_segment *b = &elf->segments[j];
            HOLDS(a->address >= b->address + b->size || b->address >= a->address + a->size);
        }
    }
    HOLDS(entry_is_code);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static FILE *nowhere;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    struct report report = {.out = nowhere};
    struct elf_file elf;
    file = input_of(bytes, size);
    if (elf_file_load(&elf, "x.elf", &report, (struct place){"x.yaml", 1, 1}))
        check(&elf);
    else
        HOLDS(report.errors == 1 && elf.segment_count == 0);
    elf_file_free(&elf);
    return 0;
}
