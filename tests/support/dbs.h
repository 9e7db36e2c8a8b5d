/* SPDX-License-Identifier: Apache-2.0 */
/* dbs: a small store through the public interface, for tests: a table in one line, a row in one. */
#ifndef INSTAR_TEST_DBS_H
#define INSTAR_TEST_DBS_H

#include <instar.h>

#include "support/test.h"

/* Public calls, checked: text is that of instar_error_text(). */
#define ok(call) dbs_check(__FILE__, __LINE__, #call, (call), INSTAR_OK)
#define fails(call, code) dbs_check(__FILE__, __LINE__, #call, (call), (code))
/* The text of this thread's last error has these words. */
bool says(const char *words);
void dbs_check(const char *file, int line, const char *what, int got, int wanted);

const char *dbs_path(void);
/* Small segments; flags added to INSTAR_OPEN_CREATE. */
instar *dbs_open(uint32_t flags);
instar_options dbs_options(void);
/* Of so many segments its log is, at most, when no backup holds it. */
uint64_t dbs_log_segments_bound(void);

/* Create a table and wait. */
void dbs_create(instar *db, const instar_table_def *def);
/* Table t(a int8, b int8, c text, primary key a), b and c nullable. */
void dbs_make_table(instar *db, const char *name);
/* Create an index and wait: the verdict's code. columns: "b" or "b,c desc". info may be NULL. */
int dbs_index(instar *db, const char *name, const char *table, const char *columns, bool unique,
              instar_change_info *info);
uint64_t dbs_submit_index(instar *db, const char *name, const char *table, const char *columns,
                          bool unique, const instar_change_options *options);
int dbs_drop_index(instar *db, const char *name);

/* A row (a, b), c null; in a transaction of its own, durable as the store says. */
int dbs_insert(instar *db, const char *table, int64_t a, int64_t b);
int dbs_update(instar *db, const char *table, int64_t a, int64_t b);
int dbs_delete(instar *db, const char *table, int64_t a);
/* Rows as "1:10 2:20 ", in the order of the index or the primary key. Valid until the next call. */
const char *dbs_dump(instar *db, const char *table, const char *index);
/* The table's version. */
uint32_t dbs_version(instar *db, const char *table);
/* The checker finds nothing, whatever columns the tables have. */
void dbs_check_sound(instar *db);
/* And a scan by each index gives the same rows as the table; for tables with columns a and b. */
void dbs_check_clean(instar *db);
/* Close a store of which that is so. */
void dbs_end_sound(instar *db);
void dbs_end(instar *db);

#endif
