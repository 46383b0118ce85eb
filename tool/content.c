/* Bytes of files; see content.h. */
#define ZLIB_CONST
#include "content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

/* Larger than any kernel or initrd; a gzip bomb ends here. */
#define UNPACKED_LIMIT (1ULL << 30)

static bool read_all(struct content *content, FILE *file, size_t size)
{
    content->bytes = malloc(size + 1);
    content->size = size;
    return content->bytes != NULL && fread(content->bytes, 1, size, file) == size;
}

bool content_read(struct content *content, const char *path, struct report *report,
                  struct place place, const char *what, const char *remedy)
{
    struct stat status;
    FILE *file = fopen(path, "rb");
    *content = (struct content){0};
    bool good = file != NULL && fstat(fileno(file), &status) == 0;
    if (good && !S_ISREG(status.st_mode)) {
        errno = EISDIR;
        good = false;
    }
    if (!good || !read_all(content, file, (size_t)status.st_size)) {
        report_error(report, place, "%s `%s` cannot be read: %s; %s", what, path, strerror(errno),
                     remedy);
        content_free(content);
        good = false;
    }
    if (file)
        fclose(file);
    return good;
}

static bool inflate_all(struct content *out, const struct content *in)
{
    z_stream stream = {.next_in = in->bytes, .avail_in = (uInt)in->size};
    size_t room = in->size * 4 + 4096;
    int result = inflateInit2(&stream, 16 + MAX_WBITS);
    *out = (struct content){.bytes = malloc(room)};
    while (result == Z_OK && out->bytes != NULL) {
        stream.next_out = out->bytes + out->size;
        stream.avail_out = (uInt)(room - out->size);
        result = inflate(&stream, Z_NO_FLUSH);
        out->size = room - stream.avail_out;
        if (result == Z_OK && stream.avail_in == 0 && stream.avail_out > 0)
            break; /* cut short */
        if (result == Z_OK && stream.avail_out == 0) {
            room *= 2;
            uint8_t *larger = room < UNPACKED_LIMIT ? realloc(out->bytes, room) : NULL;
            if (larger == NULL)
                break;
            out->bytes = larger;
        }
    }
    inflateEnd(&stream);
    return result == Z_STREAM_END;
}

bool content_unpack(struct content *content, const char *path, struct report *report,
                    struct place place)
{
    struct content unpacked;
    if (content->size < 2 || content->bytes[0] != 0x1f || content->bytes[1] != 0x8b)
        return true;
    if (!inflate_all(&unpacked, content)) {
        report_error(report, place, "`%s` is a damaged gzip file; make or download it again", path);
        content_free(&unpacked);
        return false;
    }
    content_free(content);
    *content = unpacked;
    return true;
}

void content_free(struct content *content)
{
    free(content->bytes);
    *content = (struct content){0};
}
