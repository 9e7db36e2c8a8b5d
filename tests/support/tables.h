/* SPDX-License-Identifier: Apache-2.0 */
/* tables: descriptors for tests, from a line of text. */
#ifndef INSTAR_TEST_TABLES_H
#define INSTAR_TEST_TABLES_H

#include "catalog/catalog.h"
#include "support/test.h"

/* The pieces of a text between its commas, without the blanks in front of them. */
#define TABLES_ITEMS_MAX 32
#define TABLES_TEXT_MAX 1024
struct tables_items {
    char text[TABLES_TEXT_MAX]; /* that they lie in */
    char *item[TABLES_ITEMS_MAX];
    size_t count;
};
void tables_split(struct tables_items *items, const char *text);

/* Columns as "id int8, name text not null", key as "id, name desc". Ids and tree stay 0. Free with
 * catalog_table_free. */
struct catalog_table *tables_make(const char *name, const char *columns, const char *key);
/* Add an index in stage absent; valid until the next one is added. Columns as "a, b desc", or
 * "a include b where c > 1". */
struct catalog_index *tables_add_index(struct catalog_table *table, const char *name,
                                       const char *columns, bool unique);

/* Its bytes, in place of those that are there. */
void tables_encode(const struct catalog_table *table, struct base_buf *bytes);
/* Each byte that is changed is refused, or gives a table that is encoded to these very bytes; and
 * no part of them is a table. */
void tables_change_each_byte(const struct catalog_table *table);

/* Append the key of the entry that a row of these values has. */
void tables_entry_key(const struct catalog_table *table, const struct catalog_index *index,
                      const instar_value *values, struct base_buf *key_out);

#endif
