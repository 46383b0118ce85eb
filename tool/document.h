/*
 * A YAML document with the place of everything in it, and readers that check what they read.
 *
 * A node is a value or the absence of one: asking an absent node for anything gives the default and says
 * nothing, so optional keys need no `if`. A present value of the wrong kind is reported with its
 * place and a remedy, and the default is returned, so that one run shows all mistakes.
 *
 * Nodes refer to their document, which must stay loaded as long as they are used.
 */
#ifndef TOOL_DOCUMENT_H
#define TOOL_DOCUMENT_H

#include "report.h"

#include <stdint.h>
#include <yaml.h>

struct document {
    yaml_document_t yaml;
    bool loaded;
    char *path;
    struct report *report;
};

struct node {
    struct document *document;
    yaml_node_t *yaml; /* NULL: absent */
};

/* Reports why when it fails. `text` instead of a file's content when it is not NULL. */
bool document_load(struct document *document, const char *path, const char *text,
                   struct report *report);
void document_free(struct document *document);
struct node document_root(struct document *document);

bool node_present(struct node node);
bool node_is_map(struct node node);
bool node_is_list(struct node node);
bool node_is_text(struct node node);
struct place node_place(struct node node);
void node_error(struct node node, const char *format, ...) __attribute__((format(printf, 2, 3)));
void node_warning(struct node node, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Maps. `what` names the map in messages ("a VM"). expect_map: reports a value that is none.
 * only_keys: reports keys that are not in the NULL-terminated list, with the nearest one that is, and keys
 * that are written twice. */
bool node_expect_map(struct node node, const char *what);
void node_only_keys(struct node node, const char *what, const char *const keys[]);
void node_unique_keys(struct node node, const char *what);
struct node node_get(struct node node, const char *key);
size_t node_length(struct node node); /* entries of a map or a list */
struct node node_key_at(struct node node, size_t index);
struct node node_value_at(struct node node, size_t index); /* of a map or a list */

/* Scalars: `what` begins the message ("`cores` ..."). */
const char *node_text(struct node node, const char *what, const char *otherwise);
uint64_t node_number(struct node node, const char *what, uint64_t low, uint64_t high,
                     uint64_t otherwise);
uint64_t node_size(struct node node, const char *what, uint64_t otherwise);     /* bytes */
uint64_t node_duration(struct node node, const char *what, uint64_t otherwise); /* ns */
unsigned node_percent(struct node node, const char *what, unsigned otherwise);  /* 1..100 */
bool node_boolean(struct node node, const char *what, bool otherwise);
/* A name for something: letters, digits, '-' and '_', at most `most` bytes. */
bool node_check_name(struct node node, const char *what, size_t most);

/* The entry of a NULL-terminated list that is nearest to a misspelt word, or NULL when none is near. */
const char *nearest_word(const char *word, const char *const words[]);

#endif
