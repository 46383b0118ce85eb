/* Bytes of files: read whole, unpacked when gzip'ed. */
#ifndef TOOL_CONTENT_H
#define TOOL_CONTENT_H

#include "report.h"

#include <stdint.h>

struct content {
    uint8_t *bytes; /* malloc'ed; NULL when empty */
    size_t size;
};

/* Reports at `place` when it fails; `what` and `remedy` complete the message. */
bool content_read(struct content *content, const char *path, struct report *report,
                  struct place place, const char *what, const char *remedy);
/* When it is a gzip file, replaces it by what is inside. false: damaged; reported. */
bool content_unpack(struct content *content, const char *path, struct report *report,
                    struct place place);
void content_free(struct content *content);

#endif
