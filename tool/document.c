/* Checked reading of YAML; see document.h. */
#include "document.h"

#include "paths.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_WORD 64

static struct place mark_place(const struct document *document, yaml_mark_t mark)
{
    return (struct place){document->path, mark.line + 1, mark.column + 1};
}

static void report_parser(struct document *document, const yaml_parser_t *parser)
{
    struct place place = mark_place(document, parser->problem_mark);
    report_error(document->report, place,
                 "%s%s%s; this is not YAML: check indentation, colons and quotes here",
                 parser->context ? parser->context : "", parser->context ? ": " : "",
                 parser->problem ? parser->problem : "cannot be read");
}

static bool parse(struct document *document, yaml_parser_t *parser)
{
    if (!yaml_parser_load(parser, &document->yaml)) {
        report_parser(document, parser);
        return false;
    }
    document->loaded = true;
    if (yaml_document_get_root_node(&document->yaml) != NULL)
        return true;
    report_error(document->report, (struct place){document->path, 1, 1},
                 "the file is empty; write at least `vms:` or `components:`");
    return false;
}

bool document_load(struct document *document, const char *path, const char *text,
                   struct report *report)
{
    *document = (struct document){.report = report, .path = text_copy(path)};
    FILE *file = text ? NULL : fopen(path, "rb");
    if (!text && !file) {
        report_error(report, (struct place){document->path, 0, 0},
                     "cannot be opened: %s; give the path of a system description, such as "
                     "examples/linux.yaml",
                     strerror(errno));
        return false;
    }
    yaml_parser_t parser;
    yaml_parser_initialize(&parser);
    if (file)
        yaml_parser_set_input_file(&parser, file);
    else
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    bool good = parse(document, &parser);
    yaml_parser_delete(&parser);
    if (file)
        fclose(file);
    return good;
}

void document_free(struct document *document)
{
    if (document->loaded)
        yaml_document_delete(&document->yaml);
    free(document->path);
    *document = (struct document){0};
}

struct node document_root(struct document *document)
{
    return (struct node){document, yaml_document_get_root_node(&document->yaml)};
}

static struct node absent(struct node from)
{
    return (struct node){from.document, NULL};
}

/* An empty value ("disks:") counts as absent. */
bool node_present(struct node node)
{
    return node.yaml != NULL &&
           !(node.yaml->type == YAML_SCALAR_NODE && node.yaml->data.scalar.length == 0 &&
             node.yaml->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
}

bool node_is_map(struct node node)
{
    return node.yaml != NULL && node.yaml->type == YAML_MAPPING_NODE;
}

bool node_is_list(struct node node)
{
    return node.yaml != NULL && node.yaml->type == YAML_SEQUENCE_NODE;
}

bool node_is_text(struct node node)
{
    return node_present(node) && node.yaml->type == YAML_SCALAR_NODE;
}

struct place node_place(struct node node)
{
    if (node.yaml == NULL)
        return (struct place){node.document->path, 0, 0};
    return mark_place(node.document, node.yaml->start_mark);
}

void node_error(struct node node, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report_error(node.document->report, node_place(node), "%s", text);
}

void node_warning(struct node node, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report_warning(node.document->report, node_place(node), "%s", text);
}

/* ------------------------------------------------------------------------------------------------
 * Maps and lists
 */

bool node_expect_map(struct node node, const char *what)
{
    if (!node_present(node))
        return false;
    if (node_is_map(node))
        return true;
    node_error(node, "%s is a map of `key: value` lines; write its keys below it, indented", what);
    return false;
}

size_t node_length(struct node node)
{
    if (node_is_map(node))
        return (size_t)(node.yaml->data.mapping.pairs.top - node.yaml->data.mapping.pairs.start);
    if (node_is_list(node))
        return (size_t)(node.yaml->data.sequence.items.top - node.yaml->data.sequence.items.start);
    return 0;
}

static struct node node_number_of(struct node node, int number)
{
    return (struct node){node.document, yaml_document_get_node(&node.document->yaml, number)};
}

struct node node_key_at(struct node node, size_t index)
{
    if (!node_is_map(node) || index >= node_length(node))
        return absent(node);
    return node_number_of(node, node.yaml->data.mapping.pairs.start[index].key);
}

struct node node_value_at(struct node node, size_t index)
{
    if (index >= node_length(node))
        return absent(node);
    if (node_is_map(node))
        return node_number_of(node, node.yaml->data.mapping.pairs.start[index].value);
    return node_number_of(node, node.yaml->data.sequence.items.start[index]);
}

static const char *scalar(struct node node)
{
    return node.yaml != NULL && node.yaml->type == YAML_SCALAR_NODE
               ? (const char *)node.yaml->data.scalar.value
               : "";
}

struct node node_get(struct node node, const char *key)
{
    for (size_t i = 0; node_is_map(node) && i < node_length(node); i++)
        if (strcmp(scalar(node_key_at(node, i)), key) == 0)
            return node_value_at(node, i);
    return absent(node);
}

static bool in_list(const char *word, const char *const words[])
{
    for (size_t i = 0; words[i] != NULL; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static void join(char *text, size_t size, const char *const words[])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; words[i] != NULL && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", words[i]);
}

static void unknown_key(struct node key, const char *what, const char *const keys[])
{
    const char *near = nearest_word(scalar(key), keys);
    char all[512];
    join(all, sizeof all, keys);
    if (near)
        node_error(key, "%s has no key `%s`; did you mean `%s`?", what, scalar(key), near);
    else
        node_error(key, "%s has no key `%s`; it can have: %s", what, scalar(key), all);
}

void node_unique_keys(struct node node, const char *what)
{
    for (size_t i = 0; i < node_length(node); i++)
        for (size_t j = 0; j < i; j++) {
            struct node key = node_key_at(node, i), other = node_key_at(node, j);
            if (strcmp(scalar(key), scalar(other)) == 0) {
                node_error(key, "%s has `%s` twice, first on line %zu; remove or rename one", what,
                           scalar(key), node_place(other).line);
                break;
            }
        }
}

void node_only_keys(struct node node, const char *what, const char *const keys[])
{
    if (!node_is_map(node))
        return;
    for (size_t i = 0; i < node_length(node); i++)
        if (!in_list(scalar(node_key_at(node, i)), keys))
            unknown_key(node_key_at(node, i), what, keys);
    node_unique_keys(node, what);
}

/* ------------------------------------------------------------------------------------------------
 * Spelling
 */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance; words longer than LONGEST_WORD are far from everything. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[LONGEST_WORD + 1];
    size_t length = strlen(b);
    if (length > LONGEST_WORD || strlen(a) > LONGEST_WORD)
        return LONGEST_WORD;
    for (size_t j = 0; j <= length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < length; j++) {
            unsigned replace = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(replace, least(row[j], row[j + 1]) + 1);
        }
    }
    return row[length];
}

const char *nearest_word(const char *word, const char *const words[])
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)strlen(word) / 2 + 1;
    for (size_t i = 0; words[i] != NULL; i++) {
        unsigned d = distance(word, words[i]);
        if (d < best_distance) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}

/* ------------------------------------------------------------------------------------------------
 * Scalars
 */

const char *node_text(struct node node, const char *what, const char *otherwise)
{
    if (!node_present(node))
        return otherwise;
    if (node_is_text(node))
        return scalar(node);
    node_error(node, "%s is one word or a quoted text; write it on the same line as its key", what);
    return otherwise;
}

/* Digits, then optional blanks, then the rest. false: no number there, or it does not fit. */
static bool take_number(const char *text, uint64_t *value, const char **rest)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    while (*end == ' ')
        end++;
    *rest = end;
    return errno == 0;
}

uint64_t node_number(struct node node, const char *what, uint64_t low, uint64_t high,
                     uint64_t otherwise)
{
    uint64_t value;
    const char *rest;
    if (!node_present(node))
        return otherwise;
    if (node_is_text(node) && take_number(scalar(node), &value, &rest) && *rest == '\0' &&
        value >= low && value <= high)
        return value;
    node_error(node, "%s is a number from %lu to %lu, not `%s`; write for example %lu", what,
               (unsigned long)low, (unsigned long)high, scalar(node), (unsigned long)otherwise);
    return otherwise;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool take_with_unit(struct node node, const struct unit units[], uint64_t *value)
{
    const char *rest;
    if (!node_is_text(node) || !take_number(scalar(node), value, &rest))
        return false;
    for (size_t i = 0; units[i].name != NULL; i++)
        if (strcmp(rest, units[i].name) == 0)
            return !__builtin_mul_overflow(*value, units[i].factor, value) && *value > 0;
    return false;
}

uint64_t node_size(struct node node, const char *what, uint64_t otherwise)
{
    static const struct unit units[] = {
        {"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1ULL << 40}, {NULL, 0}};
    uint64_t value;
    if (!node_present(node))
        return otherwise;
    if (take_with_unit(node, units, &value))
        return value;
    node_error(node,
               "%s is a size, not `%s`; write a whole number with a unit, such as 512 MiB (KiB, "
               "MiB or GiB)",
               what, scalar(node));
    return otherwise;
}

uint64_t node_duration(struct node node, const char *what, uint64_t otherwise)
{
    static const struct unit units[] = {
        {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {NULL, 0}};
    uint64_t value;
    if (!node_present(node))
        return otherwise;
    if (take_with_unit(node, units, &value))
        return value;
    node_error(
        node,
        "%s is a time, not `%s`; write a whole number with a unit, such as 10 ms (us, ms or s)",
        what, scalar(node));
    return otherwise;
}

unsigned node_percent(struct node node, const char *what, unsigned otherwise)
{
    static const struct unit units[] = {{"%", 1}, {NULL, 0}};
    uint64_t value;
    if (!node_present(node))
        return otherwise;
    if (take_with_unit(node, units, &value) && value <= 100)
        return (unsigned)value;
    node_error(
        node,
        "%s is a share of a core, not `%s`; write 1 %% to 100 %%, or {time: 2 ms, period: 10 ms}",
        what, scalar(node));
    return otherwise;
}

bool node_boolean(struct node node, const char *what, bool otherwise)
{
    if (!node_present(node))
        return otherwise;
    if (strcmp(scalar(node), "true") == 0 || strcmp(scalar(node), "false") == 0)
        return scalar(node)[0] == 't';
    node_error(node, "%s is true or false, not `%s`; write one of the two", what, scalar(node));
    return otherwise;
}

bool node_check_name(struct node node, const char *what, size_t most)
{
    const char *text = scalar(node);
    bool good = node_is_text(node) && strlen(text) <= most;
    for (const char *c = text; *c; c++)
        good = good && (isalnum((unsigned char)*c) || *c == '-' || *c == '_');
    if (!good)
        node_error(
            node,
            "`%s` cannot be the name of %s; use letters, digits, `-` and `_`, at most %zu of them",
            text, what, most);
    return good;
}
