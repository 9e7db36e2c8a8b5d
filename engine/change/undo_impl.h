/* SPDX-License-Identifier: Apache-2.0 */
/* undo: bringing back what a drop has kept, and taking it away when its time is over. */
#ifndef INSTAR_CHANGE_UNDO_IMPL_H
#define INSTAR_CHANGE_UNDO_IMPL_H

#include "change/alter_impl.h"

/* ---- undo_record.c ------------------------------------------------------------------------ */

/* What the record of an undo of columns holds. */
struct undo_columns {
    char new_name[INSTAR_NAME_BYTES_MAX + 1]; /* of the one column that it is, or "" */
    size_t count;
    struct catalog_kept_name *names; /* as they were */
};
/* The columns that the drop has kept in this table. */
int undo_columns_find(const struct catalog_table *table, uint64_t drop, struct undo_columns *out,
                      struct base_err *err);
int undo_columns_encode(const struct undo_columns *columns, struct base_buf *out,
                        struct base_err *err);
/* Trusts nothing: ECORRUPT. Freed by undo_columns_free, also on failure. */
int undo_columns_decode(struct base_slice bytes, struct undo_columns *out, struct base_err *err);
void undo_columns_free(struct undo_columns *columns);
/* What else the drop has dropped, which does not come back: "index a, constraint b"; nothing for
 * nothing. */
int undo_tell_lost(const struct change_record *drop, struct base_buf *out, struct base_err *err);

/* ---- undo_step.c -------------------------------------------------------------------------- */

int undo_restore(struct job *j, struct base_err *err);
int undo_settle(struct job *j, struct base_err *err);
int undo_keep_again(struct job *j, struct base_err *err);
int undo_forget(struct job *j, struct base_err *err);
/* The end of the way back: the drop has again what it had kept, and the names are free. */
int undo_give_back(struct job *j, struct store_txn *t, struct base_err *err);

/* ---- undo.c ------------------------------------------------------------------------------- */

/* What is over as of now, and when the next one will be. */
#define UNDO_DUE_MAX 16
struct undo_due {
    int64_t now_us;
    uint64_t ids[UNDO_DUE_MAX];
    size_t count;
    int64_t next_us; /* INT64_MAX: none */
};
int undo_find_due(struct store_txn *t, struct undo_due *due_out, struct base_err *err);
/* Submit the purge of a drop whose window is over. */
int undo_submit_purge(struct changes *c, uint64_t drop, struct base_err *err);

#endif
