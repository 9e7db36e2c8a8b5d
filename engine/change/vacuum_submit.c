/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting a vacuum. A table whose rows are all of one layout has nothing to be done. */
#include "change/submit_impl.h"

#include <stdio.h>
#include <string.h>

static void describe(const char *table, char *text, size_t size)
{
    struct base_buf words = {0};

    base_buf_add(&words, "VACUUM ", strlen("VACUUM "));
    catalog_name_add(&words, table);
    record_cut(base_buf_slice(&words), text, size);
    base_buf_free(&words);
}

static int vacuum(struct submission *s, struct base_err *err)
{
    struct change_record *r = &s->rec;
    struct catalog_table *table = NULL;
    struct catalog_name name;
    bool found;
    int rc = submit_find_name(s, CATALOG_NAME_TABLE, &name, &found, err);

    if (rc != 0 || !found) {
        return rc;
    }
    rc = submit_open_table(s, s->name, &table, err);
    if (rc == 0 && catalog_has_old_layouts(table)) {
        rc = submit_fill(s, CHANGE_VACUUM, table->name, err);
        r->table = table->id;
        snprintf(r->table_name, sizeof(r->table_name), "%s", table->name);
        describe(table->name, r->statement, sizeof(r->statement));
    }
    catalog_table_free(table);
    return rc;
}

int change_vacuum(struct changes *c, const char *table, const instar_change_options *options,
                  uint64_t *id_out, struct base_err *err)
{
    struct submission s = {.c = c, .options = options, .name = table};

    return submit_run(&s, vacuum, id_out, err);
}
