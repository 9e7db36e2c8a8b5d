/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instar.h - an embedded storage engine whose schema changes while it is in use.
 *
 * A program links libinstar and opens a store, a directory. Several processes may have the same
 * store open; each is a node. Any node may add or drop tables and indexes at any moment: no writer
 * and no reader waits for it, no transaction sees half of it, and if the process that runs a
 * change dies, another one finishes or undoes it.
 *
 * Conventions
 *  1. Functions return 0 on success or a negative INSTAR_E… code. instar_error_text() has the words
 *     of the last failure of the calling thread: what was tried, on what, and what to do.
 *     Out-parameters come last and are zeroed when a call fails.
 *  2. Four kinds of codes can be told apart with instar_error_class(): run the transaction again
 *     (INSTAR_CLASS_RETRY), the caller's mistake, the environment, corruption; a fifth,
 *     INSTAR_CLASS_RESULT, is an ordinary outcome such as "not found".
 *  3. Every function may return INSTAR_EMISUSE (a NULL, closed or foreign handle), INSTAR_EFORKED
 *     (a handle from before fork()), INSTAR_ENOMEM, and, where it touches the store,
 *     INSTAR_ESTOPPED, INSTAR_EIO and INSTAR_ECORRUPT. The lists below name what comes besides.
 *  4. Names (tables, columns, indexes) are UTF-8, 1 to 63 bytes, and case matters. Tables and
 *     indexes share one name space, as in PostgreSQL.
 *  5. Sizes are bytes, times are milliseconds unless the name ends in _us, _ns or _s.
 *  6. Structures that begin with struct_size are filled by their init function first; so a program
 *     built against an older header goes on working with a newer library.
 *
 * Threads
 *  7. An instar handle may be used from many threads at once. A transaction, its cursors and the
 *     values they hand out belong to one thread at a time: a second one that comes meanwhile gets
 *     EMISUSE. A projection may be shared. A callback (fn) may call any function but instar_close.
 *  8. The library starts a few threads of its own in every process that opens a store; they
 *     block all signals but those of faults. No signal handler is installed. A store's file that
 *     is truncated from outside while mapped raises SIGBUS.
 *
 * Caveats
 *  9. One open per process: a second open of the same store in one process is refused
 *     (INSTAR_EINUSE). Share the handle.
 * 10. After fork() the child must not use the parent's handles: every call refuses them. It may
 *     open the store itself.
 * 11. All processes that open a store are one trust domain: they share memory. They must run on one
 *     machine, in one pid namespace, with the same C library and word size.
 * 12. Not on network file systems. The directory is private: mode 0700, files 0600.
 * 13. Transactions are optimistic: at commit, one that lost a race gets INSTAR_ECONFLICT. Use
 *     instar_run(), which runs it again.
 */
#ifndef INSTAR_H
#define INSTAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define INSTAR_API __attribute__((visibility("default")))
#else
#define INSTAR_API
#endif

#define INSTAR_VERSION_MAJOR 0
#define INSTAR_VERSION_MINOR 1
#define INSTAR_VERSION_PATCH 0

/* ---- status codes ------------------------------------------------------------------------- */

enum instar_status {
    INSTAR_OK = 0,
    /* results */
    INSTAR_ENOTFOUND = -1,
    INSTAR_END = -2,
    INSTAR_EEXISTS = -3,
    INSTAR_EUNIQUE = -4,
    INSTAR_ENOT_NULL = -5,
    INSTAR_ECANCELLED = -6,
    INSTAR_EFAILED = -7,
    INSTAR_ECHECK = -8,
    INSTAR_EREFERENCE = -9,
    /* run the transaction again */
    INSTAR_ECONFLICT = -20,
    INSTAR_ESNAPSHOT_TOO_OLD = -21,
    INSTAR_ESCHEMA_CHANGED = -22,
    INSTAR_EBUSY = -23,
    INSTAR_EBLOCKED = -24,
    /* the caller's mistake or a refused input */
    INSTAR_EMISUSE = -40,
    INSTAR_EINVALID = -41,
    INSTAR_EUNKNOWN = -42,
    INSTAR_ELIMIT = -43,
    INSTAR_ETYPE = -44,
    INSTAR_ERANGE = -45,
    INSTAR_EENCODING = -46,
    INSTAR_EREADONLY = -47,
    INSTAR_EDEFINITION = -48,
    INSTAR_ESTATE = -49,
    /* the machine */
    INSTAR_ENOMEM = -60,
    INSTAR_EIO = -61,
    INSTAR_ENOSPACE = -62,
    INSTAR_EACCESS = -63,
    INSTAR_ENOSTORE = -64,
    INSTAR_EINUSE = -65,
    INSTAR_EFOREIGN = -66,
    INSTAR_ESTOPPED = -67,
    INSTAR_ECOMMIT_UNKNOWN = -68,
    INSTAR_EMAPFULL = -69,
    INSTAR_ESLOTS = -70,
    INSTAR_EFORKED = -71,
    /* bytes that cannot be trusted */
    INSTAR_ECORRUPT = -80,
    INSTAR_EVERSION = -81
};

enum instar_class {
    INSTAR_CLASS_OK,
    INSTAR_CLASS_RESULT,
    INSTAR_CLASS_RETRY,
    INSTAR_CLASS_CALLER,
    INSTAR_CLASS_ENV,
    INSTAR_CLASS_CORRUPT
};

/* The words of the last failed call of this thread: never NULL, "" when there was none. Valid until
 * the next call of this thread. Any thread, any time. */
INSTAR_API const char *instar_error_text(void);
/* A code's name ("INSTAR_ECONFLICT"), its fixed text, the remedy, and its class. Static strings;
 * an unknown code gives "unknown" and INSTAR_CLASS_CORRUPT. */
INSTAR_API const char *instar_error_name(int code);
INSTAR_API const char *instar_error_what(int code);
INSTAR_API const char *instar_error_remedy(int code);
INSTAR_API enum instar_class instar_error_class(int code);
/* The code that PostgreSQL gives such an error ("23505" for EUNIQUE), for programs that know these;
 * "XX000" where it has none of its own, "00000" for 0. */
INSTAR_API const char *instar_error_sqlstate(int code);
/* Of `count` names the one that `name` is most likely a slip of, or NULL when none is near: what
 * the library's own errors name, for a program that looks names up itself. The result is one of the
 * candidates, none of which is NULL. Any thread, any time; no errors. */
INSTAR_API const char *instar_nearest_name(const char *name, const char *const *candidates,
                                           size_t count);
/* The library's version, "0.1.0". */
INSTAR_API const char *instar_version(void);

/* ---- values ------------------------------------------------------------------------------- */

/* Column types. The order of a column is the order of its values as given here; text compares by
 * bytes (the C collation); for float8 -0 equals 0 and NaN equals NaN and is greater than all. */
enum instar_type {
    INSTAR_NULL = 0,        /* the type of a null value; not a column type */
    INSTAR_BOOL = 1,        /* .b, false before true */
    INSTAR_INT2 = 2,        /* .i */
    INSTAR_INT4 = 3,        /* .i */
    INSTAR_INT8 = 4,        /* .i */
    INSTAR_FLOAT8 = 5,      /* .f */
    INSTAR_TEXT = 6,        /* .bytes, UTF-8, no terminating zero */
    INSTAR_BYTEA = 7,       /* .bytes */
    INSTAR_TIMESTAMPTZ = 8, /* .i, microseconds since 1970-01-01 00:00 UTC */
    INSTAR_DATE = 9,        /* .i, days since 1970-01-01 */
    INSTAR_UUID = 10,       /* .uuid, compares by bytes */
    INSTAR_TIME = 11,       /* .i, microseconds since midnight, without time zone; to 24:00:00 */
    INSTAR_NUMERIC = 12     /* .numeric and scale, an exact decimal; 1.5 and 1.50 are equal */
};
#define INSTAR_TYPE_COUNT 13

/* One value. In: bytes belong to the caller and are copied during the call. Out: bytes are valid
 * until the next call on the same cursor (from a scan) or the end of the transaction. */
typedef struct instar_value {
    uint8_t type;  /* enum instar_type; INSTAR_NULL for null */
    uint8_t scale; /* of a numeric, its digits behind the point [0 … INSTAR_DIGITS_MAX] */
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            const void *data;
            size_t size;
        } bytes;
        uint8_t uuid[16];
        /* The decimal without its point: 12.50 is 1250, of scale 2. A whole number of 128 bits in
         * two's complement, high * 2^64 + low, of at most INSTAR_DIGITS_MAX digits. Where the
         * compiler has it: (__int128)high << 64 | low. instar_value_parse() and _format() go from
         * and to text. */
        struct {
            uint64_t low;
            int64_t high;
        } numeric;
    };
} instar_value;

/* The digits of a column numeric(p,s), as a definition's length_max has them: p in all, s of them
 * behind the point. A value is rounded to s, half away from zero; one that then has more than p
 * digits is refused (ERANGE). [1 <= p <= INSTAR_DIGITS_MAX, 0 <= s <= p] */
#define INSTAR_DIGITS_MAX 38
#define INSTAR_DIGITS(p, s) ((uint32_t)(p) << 8 | (uint32_t)(s))
#define INSTAR_DIGITS_PRECISION(digits) ((uint32_t)(digits) >> 8)
#define INSTAR_DIGITS_SCALE(digits) ((uint32_t)(digits)&255u)

/* "int8" and so on; NULL for no such type. And back: INSTAR_NULL for no such name. Also accepted:
 * smallint, int, integer, bigint, double, "double precision", boolean, decimal. */
INSTAR_API const char *instar_type_name(enum instar_type type);
INSTAR_API enum instar_type instar_type_from_name(const char *name);
/* A column's type as SQL has it, "int4", "varchar(20)" or "numeric(10,2)": the latter two for a
 * text and a numeric with a length_max. Cut like snprintf's, and the length that the whole has. */
INSTAR_API size_t instar_type_format(enum instar_type type, uint32_t length_max, char *text_out,
                                     size_t size);
/* Parse text as a value of a type, the way PostgreSQL writes it (true/t/1, 2026-01-31, 12.50 of
 * scale 2, 2026-01-31 12:00:00.5+00, \x6869 for bytea). Text and bytea values point into `scratch`,
 * or into `text` itself. scratch_size of at least text_size is always enough.
 * Errors: ETYPE (does not read as that type), ERANGE, EENCODING, EINVALID (scratch too small). */
INSTAR_API int instar_value_parse(enum instar_type type, const char *text, size_t text_size,
                                  char *scratch, size_t scratch_size, instar_value *value_out);
/* Write a value the way instar_value_parse() reads it, null as "". Returns the length that the
 * whole text has (without the final zero), like snprintf; the text is cut when size is too small.
 */
INSTAR_API size_t instar_value_format(const instar_value *value, char *text_out, size_t size);

/* ---- opening a store ---------------------------------------------------------------------- */

typedef struct instar instar;                       /* an open store */
typedef struct instar_txn instar_txn;               /* a transaction */
typedef struct instar_cursor instar_cursor;         /* a scan */
typedef struct instar_projection instar_projection; /* the columns an application uses */

enum instar_durability {
    INSTAR_SYNC = 1, /* commit returns when the commit is on disk */
    INSTAR_ASYNC = 2 /* commit returns at once; on disk within 100 ms, in order, never torn */
};

enum instar_open_flag {
    INSTAR_OPEN_CREATE = 1,    /* make the store when the directory does not exist or is empty */
    INSTAR_OPEN_NO_RUNNER = 2, /* this process runs no schema changes itself */
    INSTAR_OPEN_FORCE_NETWORK = 4, /* open on a network file system: at your own risk */
    INSTAR_OPEN_SALVAGE = 8 /* to read what a damaged store still has: this process folds nothing
                             * into the trees and runs no changes; do not commit in it */
};

/* Options. Marked S: a property of the store, fixed when it is created and ignored later. All have
 * a default; limits are in brackets, beyond them instar_open gives EINVALID and names the field. */
typedef struct instar_options {
    uint32_t struct_size;       /* set by instar_options_init */
    uint32_t flags;             /* enum instar_open_flag [0] */
    uint32_t durability;        /* of transactions that do not say [INSTAR_SYNC] */
    uint32_t segments_pending;  /* segments that may wait for the applier [4; 2 … 64] */
    uint32_t segments_retained; /* applied segments kept for old writers [4; 1 … 64] */
    uint32_t trees_max;   /* S: tables plus indexes, live or being purged [4096; 16 … 65536] */
    uint32_t lease_slots; /* S: (process, table) pairs [4096; 64 … 65536] */
    uint32_t lease_ms;    /* duration of a schema lease [60000; 50 … 3600000] */
    uint32_t lock_timeout_ms; /* longest wait for another process's lock [10000; 10 … 600000] */
    uint32_t readers_max;     /* S: snapshots open at once, all processes [2048; 64 … 65536] */
    uint32_t nodes_max;       /* S: processes at once [256; 2 … 4096] */
    uint32_t build_workers;   /* threads of an index build, 0: one per core [0; 0 … 64] */
    uint64_t segment_bytes;   /* S: log segment [64 MiB; 64 KiB … 1 GiB, a power of two] */
    uint64_t map_bytes;       /* S: largest size of the trees [1 TiB; 1 MiB … 64 TiB] */
    uint64_t txn_bytes_max;   /* largest transaction [0: a quarter of a segment; 4 KiB … that] */
    uint64_t row_bytes_max;   /* largest row [1 MiB, or half of txn_bytes_max where that is less;
                               * 1 KiB … half of txn_bytes_max] */
    uint64_t sort_memory_bytes; /* of one index build [256 MiB; 1 MiB … 64 GiB] */
    uint64_t history_s;         /* changes that ended longer ago are forgotten, by the wall clock
                                 * [1209600, two weeks; 1 … 3153600000] */
    uint64_t undo_window_s;     /* of drops that do not say: how long dropped tables and columns are
                                 * kept, see instar_change_undo() [0: not at all; … 3153600000] */
} instar_options;
/* Keys (the encoded primary key; the encoded index columns plus the primary key) are at most
 * 511 bytes: a limit of the trees. A row whose key is longer is refused when it is written. */
#define INSTAR_KEY_BYTES_MAX 511
#define INSTAR_INCLUDE_BYTES_MAX 2048 /* of the included columns of an entry, encoded */
#define INSTAR_NAME_BYTES_MAX 63
#define INSTAR_COMMENT_BYTES_MAX 4096
#define INSTAR_COLUMNS_MAX 1000
#define INSTAR_INDEX_COLUMNS_MAX 16

/* The rows of a table without primary key go by a row id, an int8 that the engine gives when they
 * are inserted: unique in the store, never given twice, and never changed. It is what keys and
 * bounds of such a table are, and what instar_table_list() tells as its key. A projection has it
 * only when it names this column; an insert then leaves it null, an update repeats it. No column
 * may have the name. */
#define INSTAR_ROW_ID "@row_id"

/* Fill with defaults. */
INSTAR_API void instar_options_init(instar_options *options);

/* Make a new store in `path`, which must not exist or be an empty directory of this user.
 * options may be NULL. Nothing stays open. What a failed call has made is removed again; what a
 * death in it left is no store, and the next call clears it away.
 * Errors: EEXISTS (there is a store, or the directory is not empty), EINVALID, EACCESS, ENOSPACE,
 * EFOREIGN (not a plain directory of ours, network file system), EBUSY (another process has been
 * making one there for lock_timeout_ms). */
INSTAR_API int instar_create(const char *path, const instar_options *options);
/* Open a store; recovers what a crash left. options may be NULL.
 * The handle belongs to the caller, who closes it.
 * Errors: ENOSTORE (no such directory, or one that holds no store), EINUSE (already open in this
 * process), EFOREIGN (not a plain directory; other namespace, owner or C library), EINVALID (names
 * the option), EVERSION (a newer format), ECORRUPT (log or trees: names file and place),
 * EACCESS, ENOSPACE, ESLOTS (too many processes), EBUSY (another opener is at work), ESTOPPED. */
INSTAR_API int instar_open(const char *path, const instar_options *options, instar **db_out);
/* Close. Transactions still open are aborted; async commits are flushed first. A change that this
 * process was running goes on in another one, or when the store is opened next. The handle is gone
 * whatever is returned but EMISUSE. db may be NULL. No other thread may be using the handle.
 * Errors: EIO (the last flush failed), EMISUSE (also inside instar_run, which needs the store). */
INSTAR_API int instar_close(instar *db);
/* Wait until everything committed so far is on disk. Errors: EBUSY, ESTOPPED. */
INSTAR_API int instar_flush(instar *db);

/* ---- projections -------------------------------------------------------------------------- */

/* Name the columns, and optionally the index, that a piece of code uses. Columns and indexes that
 * are not named may come and go without notice to the caller. The projection is resolved again by
 * itself when the table's version moves; from then on a named thing that is gone is EUNKNOWN.
 * columns may be NULL with count 0: then it is all columns, in the order in which they stand in
 * the table now (that list is fixed when prepared).
 * index: NULL for the primary key.
 * The projection belongs to the caller; free it after its last use and before closing the store.
 * Errors: EUNKNOWN (names the nearest), EINVALID (a column twice, bad name). */
INSTAR_API int instar_projection_prepare(instar *db, const char *table, const char *const *columns,
                                         size_t count, const char *index,
                                         instar_projection **projection_out);
INSTAR_API void instar_projection_free(instar_projection *projection);
/* Number of columns, and name and type of one, as when it was prepared. NULL / INSTAR_NULL beyond
 * the end. A table that was dropped and made anew may have other types: a value that is read says
 * its own, and one of the old type is refused by the writes (ETYPE). */
INSTAR_API size_t instar_projection_count(const instar_projection *projection);
INSTAR_API const char *instar_projection_column(const instar_projection *projection, size_t at);
INSTAR_API enum instar_type instar_projection_type(const instar_projection *projection, size_t at);

/* ---- transactions ------------------------------------------------------------------------- */

enum instar_txn_flag {
    INSTAR_TXN_READONLY = 1, /* holds no lease, never conflicts, never delays a change */
    INSTAR_TXN_SNAPSHOT = 2, /* snapshot isolation: only written keys and constraints are validated
                              * (write skew is possible). Default: serializable */
    INSTAR_TXN_SYNC = 4,     /* durability of this transaction; neither: the store's default */
    INSTAR_TXN_ASYNC = 8
};

/* Begin. The transaction sees all that was committed before, under sync all that is on disk, and
 * its own writes. End it with commit or abort.
 * Errors: EINVALID (flags that exclude each other), ESLOTS (readers_max), EBUSY. */
INSTAR_API int instar_begin(instar *db, unsigned flags, instar_txn **txn_out);
/* Commit and end. The handle is gone whatever is returned. After any error but ECOMMIT_UNKNOWN
 * nothing was written.
 * Errors: ECONFLICT, ESNAPSHOT_TOO_OLD, ESCHEMA_CHANGED (run it again); EUNIQUE (names the index,
 * the values and the other row); EREFERENCE (names the foreign key, both tables, the row and the
 * key); ELIMIT; ENOSPACE (of the disk: free some, then go on);
 * EMAPFULL (map_bytes is nearly reached: only transactions that delete, and drops, go through);
 * EBUSY (could not get in within lock_timeout_ms: the text names the holder);
 * ECOMMIT_UNKNOWN (the flush failed or timed out after the append: read back before repeating). */
INSTAR_API int instar_commit(instar_txn *txn);
/* Drop all writes and end. txn may be NULL. */
INSTAR_API void instar_abort(instar_txn *txn);

/* Run fn in a transaction and commit it; when it fails with a code of class RETRY, from fn or from
 * the commit, run it again with backoff, and after several losses with a reservation. fn must not
 * commit or abort, and must be safe to run more than once. It returns 0 to commit; any other value
 * aborts: a code of class RETRY is tried again, all else is returned as it is.
 * Gives up after 30 s of losses and returns the last code. ECOMMIT_UNKNOWN is never retried.
 * Errors: those of instar_begin and instar_commit, and what fn returns. */
INSTAR_API int instar_run(instar *db, unsigned flags, int (*fn)(instar_txn *txn, void *arg),
                          void *arg);

/* Writes. values has one entry per column of the projection, in its order. A failed write changes
 * nothing, and the transaction may go on, unless the code says otherwise.
 * Errors of all writes: ETYPE, ERANGE, EENCODING, ENOT_NULL (each names the column), ECHECK (names
 * the check; ERANGE, ETYPE or ELIMIT naming it, or the index of a predicate, when it cannot be
 * evaluated), ELIMIT (a key, what an entry includes or a row over its limit: names the index; or
 * the transaction's size), EINVALID (bytes at NULL), EREADONLY, EUNKNOWN (table, column or index
 * gone), ESCHEMA_CHANGED and ESNAPSHOT_TOO_OLD (run the transaction again). Unique indexes are
 * checked at commit, against what the transaction leaves behind: so two rows may swap their values.
 * instar_commit then returns EUNIQUE. So are foreign keys: a row and what it refers to may come,
 * and go, in one transaction in either order. instar_commit then returns EREFERENCE. */

/* Insert a row; columns that are not named get their default, or null.
 * Errors: EEXISTS (primary key). */
INSTAR_API int instar_insert(instar_txn *txn, instar_projection *projection,
                             const instar_value *values);
/* The row id that the transaction's last insert into a table without primary key was given; 0:
 * there was none. */
INSTAR_API int instar_row_id(instar_txn *txn, int64_t *id_out);
/* Insert, or where the primary key exists set the named columns. The projection names the whole
 * primary key. Errors: EINVALID (it does not, or the table has none). */
INSTAR_API int instar_upsert(instar_txn *txn, instar_projection *projection,
                             const instar_value *values);
/* Set the projection's columns of the row with that primary key (its values in key order). The key
 * columns may be among them. Errors: ENOTFOUND, EEXISTS (new key taken). */
INSTAR_API int instar_update(instar_txn *txn, instar_projection *projection,
                             const instar_value *key, const instar_value *values);
/* Delete the row with that primary key. Errors: ENOTFOUND. */
INSTAR_API int instar_delete(instar_txn *txn, instar_projection *projection,
                             const instar_value *key);
/* Read one row by primary key. values_out has room for the projection's columns.
 * Errors: ENOTFOUND. */
INSTAR_API int instar_get(instar_txn *txn, instar_projection *projection, const instar_value *key,
                          instar_value *values_out);

/* What a scan covers: all rows whose first values of the key (the index's columns, or the primary
 * key's) lie between lower and upper. NULL or count 0: no bound on that side. A bound may be
 * shorter than the key: it then stands for all keys that begin with it. A bound on an index may go
 * on into the primary key, so that a reader can continue behind the last row it saw. Order is that
 * of the index, with DESC columns descending; "lower" is what comes first in the index's own order.
 */
typedef struct instar_range {
    const instar_value *lower;
    size_t lower_count;
    bool lower_exclusive;
    const instar_value *upper;
    size_t upper_count;
    bool upper_exclusive;
    bool reverse; /* from the upper end down */
} instar_range;

/* Begin a scan over the projection's index (or the primary key). range may be NULL: all rows; by a
 * partial index those for which its predicate is true. When all columns of the projection are of
 * the index, included in it, or of the primary key, no row is read: that is faster, and an entry
 * without its row is not noticed. The cursor belongs to the caller; the end of the transaction ends
 * it too. It sees the transaction's own writes, also those made while it is open.
 * Errors: ETYPE, ERANGE, EENCODING (a bound's value: names the column), EINVALID (more values than
 * the key has), EUNKNOWN (table, column or index gone), ELIMIT (a bound is too long),
 * ESCHEMA_CHANGED. */
INSTAR_API int instar_scan(instar_txn *txn, instar_projection *projection,
                           const instar_range *range, instar_cursor **cursor_out);
/* The next row; values_out has room for the projection's columns. Errors: INSTAR_END (again and
 * again), ECORRUPT (an entry without its row: names both). */
INSTAR_API int instar_cursor_next(instar_cursor *cursor, instar_value *values_out);
INSTAR_API void instar_cursor_close(instar_cursor *cursor);

/* ---- schema changes ----------------------------------------------------------------------- */

typedef struct instar_column_def {
    const char *name;
    enum instar_type type;
    bool not_null;
    const instar_value *default_value; /* NULL: null */
    uint32_t length_max; /* of a text, in characters: varchar(n). A longer one is refused (ERANGE),
                          * whatever it ends with; 0: no limit [0 … INSTAR_LENGTH_MAX]. Of a
                          * numeric: INSTAR_DIGITS(p, s), which it needs */
} instar_column_def;
#define INSTAR_LENGTH_MAX 10485760

/* Where nulls stand in an index. Usual is last when ascending and first when descending, as in
 * PostgreSQL; instar_table_list() tells DEFAULT for that, also where it was asked for by name. */
enum instar_nulls { INSTAR_NULLS_DEFAULT = 0, INSTAR_NULLS_FIRST = 1, INSTAR_NULLS_LAST = 2 };

typedef struct instar_key_column {
    const char *name; /* NULL: there is an expression */
    bool descending;
    enum instar_nulls nulls; /* of an index; a primary key has none */
    /* Of an index, in place of a column: "lower(name)", an expression as in instar_check_def, of
     * any type. One that is a column alone is that column. A row for which it cannot be evaluated
     * (a division by zero) is refused by the index. NULL: the column of that name. */
    const char *expression;
    enum instar_type type; /* instar_table_list() tells it; not looked at in a definition */
} instar_key_column;

/* A condition that every row fulfils: one that is false of a row refuses it (INSTAR_ECHECK), one
 * that is true or null does not. The expression is SQL, as in PostgreSQL: "qty > 0 AND qty <=
 * stock", with the operators and functions of docs/ddl.md and nothing else; its value is a bool.
 * Names are folded to small letters unless they stand in double quotes. At most 1,000 parts, 100
 * deep. */
typedef struct instar_check_def {
    const char
        *name; /* NULL: table_column_check, or table_check when it is about several columns */
    const char *expression;
    bool not_valid; /* alter table: hold it for what is written from now on, and leave the rows that
                     * are there as they are, until INSTAR_ALTER_VALIDATE_CONSTRAINT */
} instar_check_def;

/* No two rows have the same values in these columns; nulls are never the same. It is kept by a
 * unique index of its name, by which rows can be scanned; the name is one of an index and of a
 * constraint, too. */
typedef struct instar_unique_def {
    const char *name; /* NULL: table_column_key, and a number where that is taken */
    const char *const *columns;
    size_t column_count;
    const char *const *include; /* as in instar_index_def */
    size_t include_count;
} instar_unique_def;

/* What these columns hold is a key of a row of another table, the parent, or of the own one; a row
 * with a null in one of them refers to nothing (MATCH SIMPLE). A write of the child is refused that
 * refers to a key which is not there, and one of the parent that takes a key away to which a row
 * refers: each looks at what the transaction leaves behind, at commit (EREFERENCE). Writers of the
 * two conflict where they meet; a child's row also with an update of its parent's row, whatever it
 * changes, when the key is the primary key.
 *
 * The key is the primary key or a unique index of all rows. Columns are of the types of the key's,
 * or both are integers. An index of all rows is needed that begins with the columns, in whatever
 * order; the primary key will do. Where there is none the change makes it, under the name
 * table_column_idx; it stays when the foreign key goes. The columns may be such as the same change
 * adds: then it is enforced from its first stage on, too, for what the rows that are there get. */
enum instar_fkey_action {
    INSTAR_FKEY_NO_ACTION = 0, /* refuse when the key is not there in the end: it may be taken away
                                * and given to a row again in one transaction */
    INSTAR_FKEY_RESTRICT = 1   /* refuse when the key was taken away, even if it is there again */
};
typedef struct instar_fkey_def {
    const char *name; /* NULL: table_column_fkey, with all columns, and a number where that is
                       * taken */
    const char *const *columns;
    size_t column_count;
    const char *parent;                /* the table */
    const char *const *parent_columns; /* NULL: its primary key, in order */
    size_t parent_column_count;
    enum instar_fkey_action on_delete; /* of a row of the parent, */
    enum instar_fkey_action on_update; /* of its key */
    bool not_valid;                    /* as of a check */
} instar_fkey_def;

typedef struct instar_table_def {
    const char *name;
    const instar_column_def *columns;
    size_t column_count;
    const instar_key_column *key; /* the primary key; its columns are NOT NULL */
    size_t key_count;             /* 0: none, rows go by INSTAR_ROW_ID */
    const instar_check_def *checks;
    size_t check_count;
    const instar_unique_def *uniques; /* at most INSTAR_TABLE_UNIQUES_MAX */
    size_t unique_count;
    const instar_fkey_def *fkeys;
    size_t fkey_count;
} instar_table_def;
/* Made with a table, for UNIQUE and foreign keys together; it may get more later. */
#define INSTAR_TABLE_UNIQUES_MAX 15

/* A unique index treats nulls as different from each other, as the SQL standard does. */
typedef struct instar_index_def {
    const char *name;
    const char *table;
    const instar_key_column *columns;
    size_t column_count;
    bool unique;
    /* Only rows for which it is true have entries, as in PostgreSQL: "b > 10 AND c IS NOT NULL", an
     * expression as in instar_check_def. NULL: all rows. A scan over such an index has only these
     * rows; a unique one binds only these. */
    const char *predicate;
    /* Columns that the entries carry along: a scan over the index that names only them, the index's
     * own and those of the primary key reads no rows. At most INSTAR_INDEX_COLUMNS_MAX, none of
     * them a column of the index. */
    const char *const *include;
    size_t include_count;
    bool constraint; /* make it a UNIQUE constraint: unique, of all rows, in the usual order */
} instar_index_def;

enum instar_change_flag {
    INSTAR_CHANGE_IF_NOT_EXISTS = 1, /* create: join an equal running change, or succeed at once */
    INSTAR_CHANGE_IF_EXISTS = 2,     /* drop: succeed when there is nothing to drop (id 0) */
    /* These can be set and cleared later: instar_change_steer(). */
    INSTAR_CHANGE_PAUSE = 4, /* stand still: between two stages, or between two batches of work */
    INSTAR_CHANGE_HOLD =
        8, /* do all but the last step that can still be undone, then stand still */
    INSTAR_CHANGE_HURRY =
        16, /* a build does not stand back for commits: done sooner, they suffer */
    /* What becomes of transactions that hold the change up for longer than fence_after_ms: they are
     * fenced, unless one of these says otherwise. */
    INSTAR_CHANGE_KEEP_WAITING = 32, /* the change waits for them, however long */
    INSTAR_CHANGE_GIVE_UP = 64, /* it fails with EBLOCKED and is undone, which waits for them; where
                                 * it cannot be undone any more, it fences them */
    INSTAR_CHANGE_NULLABLE = 128 /* undo: a column that was NOT NULL comes back without that */
};

typedef struct instar_change_options {
    uint32_t struct_size;
    uint32_t flags;          /* enum instar_change_flag [0] */
    uint32_t fence_after_ms; /* a transaction that holds the change up longer than this loses its
                              * lease: its commit fails and can be retried [30000; 0 at once]. The
                              * flags may choose otherwise */
    uint32_t workers;        /* of a build or validation, 0: the store's option [0] */
    uint64_t rows_per_second_max;  /* of a build, 0: no limit [0] */
    uint64_t sort_memory_bytes;    /* of a build, 0: the store's option [0] */
    uint64_t bytes_per_second_max; /* the same in bytes of rows, reckoned with the table's mean row;
                                    * the lower limit counts; 0: no limit [0] */
    uint64_t undo_window_s; /* drop table, drop column: seconds for which what is dropped is kept
                             * [UINT64_MAX: the option of whoever submits; 0 … 3153600000] */
    uint32_t latency_target_ms; /* of durable commits: while they take longer, reading rows for a
                                 * build, a validation or a vacuum pauses ever longer, up to 80 ms
                                 * a batch; 0: it stands back as it does by itself [0 … 60000] */
    uint32_t reserved;          /* 0 */
} instar_change_options;
INSTAR_API void instar_change_options_init(instar_change_options *options);

/* Submit a change. It gets its id before anything blocks, and goes on whatever becomes of the
 * caller; instar_change_wait() returns its verdict. The id is 0 when there is nothing to do
 * (IF NOT EXISTS and it is there, IF EXISTS and it is not); waiting for 0 succeeds at once. options
 * may be NULL. Errors at once: EEXISTS, EUNKNOWN (names the nearest), EINVALID, ELIMIT, EDEFINITION
 * (a running change is creating the name with another definition, or the existing object differs
 * under IF NOT EXISTS: names the difference), ESTATE (the object is being dropped), EMAPFULL (to
 * create; drops go through). */
INSTAR_API int instar_create_table(instar *db, const instar_table_def *def,
                                   const instar_change_options *options, uint64_t *change_out);
INSTAR_API int instar_drop_table(instar *db, const char *table,
                                 const instar_change_options *options, uint64_t *change_out);
INSTAR_API int instar_create_index(instar *db, const instar_index_def *def,
                                   const instar_change_options *options, uint64_t *change_out);
INSTAR_API int instar_drop_index(instar *db, const char *index,
                                 const instar_change_options *options, uint64_t *change_out);

/* What can be altered of a table in place: no row is rewritten, whatever its size, but for another
 * primary key. */
enum instar_alteration_kind {
    INSTAR_ALTER_RENAME_TABLE = 1,  /* to new_name */
    INSTAR_ALTER_RENAME_COLUMN = 2, /* name to new_name */
    INSTAR_ALTER_RENAME_INDEX = 3,  /* name to new_name */
    INSTAR_ALTER_ADD_COLUMN = 4,    /* column; rows from before read as its default for ever */
    INSTAR_ALTER_DROP_COLUMN = 5,   /* name; not one of the primary key, an index or a check */
    INSTAR_ALTER_SET_DEFAULT = 6,   /* of name: value. Rows that are there keep what they have */
    INSTAR_ALTER_DROP_DEFAULT = 7,  /* of name */
    INSTAR_ALTER_SET_NOT_NULL = 8,  /* name; the rows are validated */
    INSTAR_ALTER_DROP_NOT_NULL = 9, /* name; not one of the primary key */
    INSTAR_ALTER_ADD_CHECK = 10,    /* check; the rows are validated, unless it is not_valid */
    INSTAR_ALTER_DROP_CONSTRAINT = 11,
    INSTAR_ALTER_RENAME_CONSTRAINT = 12,   /* name to new_name */
    INSTAR_ALTER_VALIDATE_CONSTRAINT = 13, /* name; nothing to do when it is valid */
    INSTAR_ALTER_SET_TYPE = 14,            /* of name: column's type and length_max */
    INSTAR_ALTER_ADD_UNIQUE = 20,          /* unique: an index is built and validated */
    INSTAR_ALTER_ADD_FOREIGN_KEY = 24,     /* fkey; the rows are validated, unless not_valid */
    INSTAR_ALTER_ADD_PRIMARY_KEY = 30,     /* key, key_count: rows go by it instead of row ids */
    INSTAR_ALTER_DROP_PRIMARY_KEY = 31,    /* rows go by row ids, or by one that is added behind */
    INSTAR_ALTER_COMMENT_TABLE = 40,       /* comment, here and below */
    INSTAR_ALTER_COMMENT_COLUMN = 41,      /* of name */
    INSTAR_ALTER_COMMENT_INDEX = 42,       /* of name */
    INSTAR_ALTER_COMMENT_CONSTRAINT = 43   /* of name; a UNIQUE and its index have one for both */
};
enum instar_alteration_flag {
    INSTAR_ALTER_IF_NOT_EXISTS = 1, /* add column: nothing to do when it is there as defined */
    INSTAR_ALTER_IF_EXISTS = 2,     /* all but what adds, and rename table: nothing to do when there
                                     * is no such column, index or constraint */
    INSTAR_ALTER_EXPLICIT = 4       /* set type: also by a cast that must be asked for, as SQL's
                                     * USING name::type does */
};

/* One alteration. Only what its kind names is looked at. */
typedef struct instar_alteration {
    uint32_t kind;        /* enum instar_alteration_kind */
    uint32_t flags;       /* enum instar_alteration_flag */
    const char *name;     /* of the column, index or constraint */
    const char *new_name; /* of a rename */
    const instar_column_def *column;
    const instar_value *value; /* NULL: null */
    const instar_check_def *check;
    const instar_unique_def *unique;
    const char *expression; /* of set type: what makes the new values of the old ones, in the
                             * language of checks, about this column alone; NULL: the cast */
    const instar_key_column *key;
    size_t key_count;
    const instar_fkey_def *fkey;
    const char *comment; /* NULL or "": none any more */
} instar_alteration;

/* Alter a table: all steps become public together, in one version of it, or none does. A step sees
 * what those before it did. Submits a change, as the functions above; the names that it gives are
 * reserved at once. Values and texts are copied.
 *
 * Names: for as long as a transaction may use the version before, the old name of a table, column
 * or index goes on working beside the new one, but not where the new version gives that name to
 * another. Then a projection that names the old one gets EUNKNOWN. Changes go by the new names
 * only.
 *
 * Columns: one that is added is last. NOT NULL needs a default then, because there are rows. One
 * that is dropped is gone for good when the change is done, also if another of that name is added;
 * with an undo window, when that is over.
 *
 * NOT NULL: from its first stage on writes that set null fail, also where it fails itself in the
 * end, for as long as that takes; an update that leaves a null where it was does not. When rows
 * hold nulls the change fails: info.reason names up to 10 of them by primary key,
 * info.duplicate_count says how many there are.
 *
 * Types: a column may become of any type to which there is a cast (docs/ddl.md has the list), one
 * that PostgreSQL does not make by itself with INSTAR_ALTER_EXPLICIT. No row is rewritten: what was
 * written before is cast when it is read. Where a value may be lost, writes that bring such a value
 * fail from the first stage on (ERANGE, ETYPE), as for NOT NULL, and the rows are validated. The
 * default is cast, too (not by `expression`); checks about the column are made anew from their
 * texts, and validated. Indexes that are about it are built anew beside those that stand, of the
 * values as they will be, at most 16; both change places in the version of the new type, and values
 * that are one then fail a unique one. Integers have one key: indexes of nothing else than that
 * stay as they are. For a column of the primary key that gets another type the rows are made anew
 * with all indexes, as for another primary key, and keys that become one fail the change. A column
 * that a check is about takes no `expression`. A projection from before goes on: values that are
 * read have the new type, and an integer of the type that the column had then is taken by the
 * writes, if it fits. Keys and bounds may be integers of any type.
 *
 * Checks: as NOT NULL. An update is held to a check only when it changes one of its columns; so a
 * row that breaks it may keep its values while others of it change. A check that mentions a column
 * which the same change adds mentions no other one: what the rows that are there get is all that is
 * tested then. Columns may be renamed under a check.
 *
 * UNIQUE: adding one is a change as of several statements (instar_submit): the index is built
 * before anything becomes public, and validated; duplicates fail the change as those of a unique
 * index. Dropping one drops the index by its stages. instar_drop_index() of it is refused (ESTATE).
 *
 * PRIMARY KEY: ADD to a table without one, DROP, or DROP and then ADD; with other steps it is a
 * change as of several statements. DROP CONSTRAINT of the name table_pkey is DROP PRIMARY KEY,
 * where no other constraint has that name. First a unique index on the new key and NOT NULL are
 * built, enforced and validated: from `enforcing` on writes that break them fail, also where the
 * change fails itself in the end. Then the rows are written once more by the new key, and each
 * index anew, while all go on. One version swaps; what was there before goes when nobody uses it.
 * Columns of a key that is dropped remain NOT NULL. A projection from before goes on for inserts
 * and for scans without bounds of the key; to get, update, upsert or delete by the old key is
 * refused from the swap on (EUNKNOWN), as it would mean another row: prepare it anew. Until the end
 * other changes that name one of its indexes are refused (ESTATE); this one is, while another is at
 * work on the table, when foreign keys refer to the table, and when it has more than 15 indexes
 * (ELIMIT). Beside it no index of the table is renamed, no foreign key made that refers to the
 * table, and no column of the key added (EINVALID).
 *
 * Foreign keys: as checks, in two tables: the change is one of both, waits for transactions that
 * use either, and for other changes of either. From its first stage on writers of both obey. Rows
 * that refer to nothing fail it: info.reason names up to 10. While a key is referred to it is not
 * dropped, nor its table, and its columns get no types with other keys (ESTATE names the
 * constraint), nor do the columns that refer to it: integers may become of another size. Everything
 * may be renamed.
 *
 * Comments: UTF-8, at most INSTAR_COMMENT_BYTES_MAX; for people, nothing depends on them. One goes
 * with what it is about, stays through renames, undo and another primary key, and is told by
 * instar_table_list(). A primary key has none.
 *
 * options.flags: INSTAR_CHANGE_IF_EXISTS, of the table. The id is 0 when there is nothing to do.
 * Behind a change of the table that has not ended it is queued all the same, and does when its turn
 * comes what there is to do then. Errors at once: EUNKNOWN (table, column or index; names the
 * nearest), EEXISTS (a name is taken), EDEFINITION (IF NOT EXISTS, and the column differs: names
 * the difference), EINVALID, ETYPE, ERANGE, EENCODING, ELIMIT, ESTATE (an index, the primary key or
 * a check needs the column: names it; another change is at work on a name), ECHECK (the default of
 * a new column breaks its own check). */
INSTAR_API int instar_alter_table(instar *db, const char *table, const instar_alteration *steps,
                                  size_t count, const instar_change_options *options,
                                  uint64_t *change_out);
/* Rename an index, as INSTAR_ALTER_RENAME_INDEX in a change of its own; its table need not be
 * named. options.flags: INSTAR_CHANGE_IF_EXISTS. */
INSTAR_API int instar_rename_index(instar *db, const char *index, const char *new_name,
                                   const instar_change_options *options, uint64_t *change_out);
/* Comment on an index, as INSTAR_ALTER_COMMENT_INDEX in a change of its own; its table need not be
 * named. options.flags: INSTAR_CHANGE_IF_EXISTS. */
INSTAR_API int instar_comment_index(instar *db, const char *index, const char *comment,
                                    const instar_change_options *options, uint64_t *change_out);

/* Several statements as one change. */
enum instar_statement_kind {
    INSTAR_STATEMENT_CREATE_TABLE = 1, /* table */
    INSTAR_STATEMENT_DROP_TABLE = 2,   /* name */
    INSTAR_STATEMENT_CREATE_INDEX = 3, /* index */
    INSTAR_STATEMENT_DROP_INDEX = 4,   /* name, of the index */
    INSTAR_STATEMENT_ALTER_TABLE = 5,  /* name, of the table; steps, step_count */
    INSTAR_STATEMENT_RENAME_INDEX = 6, /* name, of the index; new_name */
    INSTAR_STATEMENT_VACUUM = 8,       /* name, of the table; only by itself */
    INSTAR_STATEMENT_COMMENT_INDEX = 9 /* name, of the index; comment */
};

/* One statement. Only what its kind names is looked at. */
typedef struct instar_statement {
    uint32_t kind;  /* enum instar_statement_kind */
    uint32_t flags; /* INSTAR_CHANGE_IF_NOT_EXISTS, INSTAR_CHANGE_IF_EXISTS */
    const char *name;
    const char *new_name;
    const instar_table_def *table;
    const instar_index_def *index;
    const instar_alteration *steps;
    size_t step_count;
    const char *comment;
} instar_statement;

/* Submit a change of one or more statements; with one it is what the function for that statement
 * does. Several are done in their order: each sees what those before it did, also the new name of
 * a table or of a column. They may be about several tables, which are altered, made or dropped. All
 * become public together, in one version step of all tables, or none does.
 *
 * What goes up goes up together: all new indexes of a table are built by one scan and share the
 * memory of one build; a column that is added with them is there for writers when they are, and for
 * nobody else before all is public. Then UNIQUE and NOT NULL are enforced and validated. One
 * version makes all of it public; until then the change can be cancelled, and fails as a whole:
 * info.reason names the index or the column. After that version there is no way back, and
 * what is dropped goes. A dropped index may be that of a dropped column.
 *
 * Tables: what is said of a table behind its CREATE TABLE is an index, a UNIQUE, a check, a foreign
 * key or a comment. Foreign keys lead to tables as they stand, or to new ones. All that refer to a
 * table that is dropped are dropped with it, or their foreign keys are. Beside other tables nothing
 * that is dropped is kept for an undo: where an undo window is asked for, that is EINVALID. The
 * change waits for its turn in every table that is there.
 *
 * Values, texts and definitions are copied. options.flags: only those that steer; IF [NOT] EXISTS
 * stands with its statement. A statement that has nothing to do by it is left out, unless it alters
 * a table behind a change that has not ended; when none is left, the id is 0. Errors at once: as of
 * the functions for each statement, with the number of the statement in the text; EINVALID (what is
 * made and dropped or renamed in the same change; a vacuum beside others), ELIMIT (more than 256
 * statements, 64 tables, 17 that are there, or 16 new indexes of a table), ESTATE (another change
 * is at work on a name, or on a column that comes or goes with its index; a new index takes the
 * name of one that is dropped in the same change). */
INSTAR_API int instar_submit(instar *db, const instar_statement *statements, size_t count,
                             const instar_change_options *options, uint64_t *change_out);

/* Undo a drop: bring back what it has kept. DROP TABLE and DROP COLUMN keep their data when the
 * change's or the store's undo_window_s says so; once they have ended, they can be undone until
 * info.undo_until_us, whoever dropped, whichever process asks. A change as any other, with an id of
 * its own; while it runs, and when it fails or is cancelled, what is kept stays kept.
 *
 * A table comes back with all its rows, indexes and constraints as of the drop, but for its foreign
 * keys, which info.reason names; nothing is built anew, for nobody could write it meanwhile. The
 * name of an index that is taken by now gets a number behind it. A column comes back where it
 * stood, with its default, and with what rows held in it; rows that were inserted meanwhile hold
 * what rows had from before it was added, mostly null. So NOT NULL is validated, as
 * INSTAR_ALTER_SET_NOT_NULL does; from its first stage on the column is there and writers obey it.
 * Rows with null fail the undo, which names them: then NULLABLE in options.flags brings the column
 * back without NOT NULL. Indexes and constraints that were dropped together with a column do not
 * come back: info.reason names them. Other alterations of the same change stay.
 *
 * new_name: NULL, or another name for the table, or for the column if it was one; needed when the
 * old one is taken. options may be NULL.
 * Errors: EUNKNOWN (no such change), ESTATE (it has not ended, keeps nothing, was undone already,
 * or its window is over: says which), EEXISTS (the name is taken), EINVALID. */
INSTAR_API int instar_change_undo(instar *db, uint64_t change, const char *new_name,
                                  const instar_change_options *options, uint64_t *change_out);

/* Vacuum a table: rewrite the rows that lie there in an older layout, as they were before columns
 * came, went or got other types, into the newest one. Nobody waits for it: rows go in small
 * transactions like any other, which stand back for commits; what is written meanwhile counts, and
 * is not touched. The bytes of dropped columns are free then, but those that are kept for an undo,
 * and the old layouts go: with 1,024 of them columns only go (ELIMIT). Progress, rate, pause and
 * cancel are those of a build; cancelled, it leaves the rows that it has rewritten. The id is 0
 * when there is nothing to do. Errors at once: EUNKNOWN, ESTATE; it fails with a row that cannot be
 * brought to the newest layout (info.reason names it), ELIMIT (a row is too large in it), EMAPFULL.
 */
INSTAR_API int instar_vacuum(instar *db, const char *table, const instar_change_options *options,
                             uint64_t *change_out);

/* A process with projections of what a request destroys: a table, a column or an index that is
 * dropped, a column that gets another type. Each process tells what up to 31 different ones name.
 */
#define INSTAR_HOLDERS_MAX 16
typedef struct instar_holder {
    uint32_t node;
    uint32_t pid;
    uint32_t projections; /* that name it */
    uint32_t unlisted;    /* further ones of the process, which may; 0: none */
    uint64_t age_ms;      /* since the first of those that name it was prepared */
} instar_holder;

/* What a request would cost: of its first table that is there, and from how long the latest changes
 * of its kind took in this store. */
typedef struct instar_estimate {
    uint64_t rows;            /* that a scan reads, 0: none is read */
    uint64_t bytes;           /* that it reads */
    uint64_t final_bytes;     /* of the new indexes, about */
    uint64_t temporary_bytes; /* of sorted runs, beside the memory for sorting; gone afterwards */
    uint64_t duration_ms;   /* from submission to end; UINT64_MAX: nothing like it has been done */
    uint32_t learnt_from;   /* so many changes */
    uint64_t undo_window_s; /* of drops: for how long what is dropped is kept, 0: not at all */
    uint32_t remade; /* indexes that are made anew, since a column of them gets another type */
    uint32_t remade_unique; /* so many of them are unique */
    uint32_t holder_count;  /* processes with projections that name what it destroys, or may; the */
    instar_holder holders[INSTAR_HOLDERS_MAX]; /* first of them */
} instar_estimate;
/* Nothing is submitted, and whether the request is possible is not looked at. options may be NULL.
 * Errors: EUNKNOWN (a table or index that is named), EINVALID. */
INSTAR_API int instar_estimate_cost(instar *db, const instar_statement *statements, size_t count,
                                    const instar_change_options *options,
                                    instar_estimate *estimate_out);

/* The value of an expression that mentions no column, "60 * 60 * 24", of its own type: as a default
 * that is worked out once. The language is that of checks. Bytes go to `scratch`.
 * Errors: EINVALID (syntax, or scratch too small), EUNKNOWN (a function, or a column), ETYPE,
 * ERANGE, ELIMIT; each with the byte of the text where the expression is wrong. */
INSTAR_API int instar_expression_value(const char *expression, char *scratch, size_t scratch_size,
                                       instar_value *value_out);
/* The functions that an expression may call, by number from 0 on; NULL behind the last. Any thread,
 * any time. */
INSTAR_API const char *instar_expression_function(size_t at);

enum instar_change_state {
    INSTAR_CHANGE_RUNNING = 1,
    INSTAR_CHANGE_REVERTING = 2, /* failed or cancelled, being undone */
    INSTAR_CHANGE_DONE = 3,
    INSTAR_CHANGE_FAILED = 4, /* reverted; the reason is kept */
    INSTAR_CHANGE_CANCELLED = 5
};

/* What is known of a change. Strings are cut to their room. */
typedef struct instar_change_info {
    uint64_t id;
    enum instar_change_state state;
    uint32_t flags;     /* enum instar_change_flag, as it is steered now */
    uint32_t step;      /* of its plan, 1 … steps; 0: it has ended */
    uint32_t steps;     /* of the way there, or of the way back */
    int error;          /* why it failed, or 0 */
    uint32_t owner_pid; /* the process that runs it, 0: none at present */
    uint32_t owner_node;
    uint64_t rows_done;  /* of the work in this stage */
    uint64_t rows_total; /* an estimate while a build runs */
    uint64_t rows_per_second;
    uint64_t eta_ms;          /* UINT64_MAX: unknown */
    uint64_t delta_backlog;   /* entries written beside the build, not yet folded in */
    uint64_t duplicate_count; /* of a failed unique index: keys that occur more than once; of a
                               * failed NOT NULL or check: rows that break it */
    int64_t submitted_us;     /* since 1970 */
    int64_t finished_us;      /* 0: not yet */
    uint64_t estimated_ms;    /* from submission to end, as was thought then; UINT64_MAX: nothing
                               * like it had been done. What it took: finished_us - submitted_us */
    char kind[24];            /* "create index" … */
    char table[64];
    char object[64];       /* the index, or the table again */
    char stage[24];        /* "delete-only", "build", … */
    char waiting_for[256]; /* node, process, transaction age, deadline; "" when not waiting */
    char throttle[64];     /* why its work is slowed down, or "" */
    char statement[512];
    char reason[2048]; /* of a failure: constraint, sample keys with their primary keys; of an undo:
                        * what does not come back, or by another name */
    int64_t undo_until_us; /* until then instar_change_undo() can bring back what it dropped, since
                            * 1970; 0: it cannot, or not any more */
    uint64_t taken_by;     /* the change that brought that back or purged it, or 0 */
    uint64_t retries; /* steps that were tried again: after a conflict, or a trouble that passes */
    uint32_t asked_node; /* who submitted it: the process then, */
    uint32_t asked_pid;
    uint32_t asked_uid;   /* its user, */
    uint32_t behind;      /* done: processes that still use a version of its table before it; 0: all
                           * have come with it. Else 0 */
    char asked_by[32];    /* and its program */
    char last_error[256]; /* for which a step was tried again last, or "" */
} instar_change_info;

/* Wait for a change's verdict, at most timeout_ms (UINT32_MAX: for ever). Any number of threads and
 * processes may wait. info_out may be NULL; it says how things stand also where the call fails with
 * EFAILED, ECANCELLED or EBUSY.
 * 0: complete, the object is public (or gone). Errors: EFAILED (reverted: info_out->reason),
 * ECANCELLED, EBUSY (timeout; the change goes on), EUNKNOWN (no such change). */
INSTAR_API int instar_change_wait(instar *db, uint64_t change, uint32_t timeout_ms,
                                  instar_change_info *info_out);
/* The same, but a stage is enough: 0 when the change stands at that stage of its plan or is past
 * it. A stage is a word of info.stage, such as "write-only", "build" or "validate"; NULL waits for
 * the verdict. What is on its way back is waited for to the end. Also: EINVALID (its plan has no
 * such stage). */
INSTAR_API int instar_change_wait_stage(instar *db, uint64_t change, const char *stage,
                                        uint32_t timeout_ms, instar_change_info *info_out);
/* The same without waiting: 0 whatever the state. Errors: EUNKNOWN. */
INSTAR_API int instar_change_get(instar *db, uint64_t change, instar_change_info *info_out);
/* Why rows fail a change, for programs; info.reason says the same in a sentence. */
enum instar_failure_kind {
    INSTAR_FAILURE_UNIQUE = 1,     /* name: the index; key: the values that several rows have */
    INSTAR_FAILURE_NOT_NULL = 2,   /* name: the column */
    INSTAR_FAILURE_TYPE = 3,       /* name: the column, whose value cannot be cast */
    INSTAR_FAILURE_CHECK = 4,      /* name: the constraint */
    INSTAR_FAILURE_FOREIGN_KEY = 5 /* name: the constraint; key: the values that are no key */
};
typedef struct instar_failure_sample {
    enum instar_failure_kind kind;
    const char *name;
    const char *key; /* in words, "(b=12)"; "" where there is none. Cut at 255 bytes */
    const char *row; /* primary key of a row, "(a=3)"; the same */
} instar_failure_sample;
typedef struct instar_change_failure {
    int code;            /* INSTAR_EUNIQUE …; instar_error_sqlstate() has SQL's */
    uint64_t count;      /* keys that occur more than once, or what else was found, in all */
    size_t sample_count; /* of at most 10 keys, of each at most 3 rows; else of 10 rows. 0: rows
                          * are not the reason */
    const instar_failure_sample *samples;
    const char *reason;
} instar_change_failure;
/* The failure of a change that has failed, or is being undone because of it. fn is called once;
 * what it is given is valid during the call, and what it returns is returned. Errors: EUNKNOWN (no
 * such change), ESTATE (it has not failed). */
INSTAR_API int instar_change_get_failure(instar *db, uint64_t change,
                                         int (*fn)(void *arg, const instar_change_failure *failure),
                                         void *arg);
/* All changes, running and ended, oldest first. fn returns 0 to go on; another value stops the
 * list and is returned. The info is valid during the call. */
INSTAR_API int instar_change_list(instar *db, int (*fn)(void *arg, const instar_change_info *info),
                                  void *arg);
/* Ask a change to stop and revert. Returns at once; wait for the verdict: ECANCELLED, or EFAILED
 * when it failed by itself before it saw that. Errors: EUNKNOWN, ESTATE (it has ended, or is past
 * the point of no return: names the stage). */
INSTAR_API int instar_change_cancel(instar *db, uint64_t change);
/* The same, with words that become a part of the change's reason, at most 1,000 bytes; NULL: none.
 * They are kept of the one who asked first. Also: ELIMIT, EENCODING. */
INSTAR_API int instar_change_cancel_because(instar *db, uint64_t change, const char *words);

/* What is to be different about a change that has not ended. Fill with the init function, then set
 * what is to be changed. */
typedef struct instar_change_steering {
    uint32_t struct_size;
    uint32_t set_flags;            /* of INSTAR_CHANGE_PAUSE and those below it: to be set [0] */
    uint32_t clear_flags;          /* the same: to be cleared [0] */
    uint32_t workers;              /* [UINT32_MAX: as it is]; from the build's next checkpoint on */
    uint32_t fence_after_ms;       /* [UINT32_MAX: as it is] */
    uint64_t rows_per_second_max;  /* [UINT64_MAX: as it is; 0: no limit] */
    uint64_t bytes_per_second_max; /* the same */
    uint32_t latency_target_ms;    /* [UINT32_MAX: as it is; 0: none] */
    uint32_t reserved;             /* 0 */
} instar_change_steering;
INSTAR_API void instar_change_steering_init(instar_change_steering *steering);
/* Steer a change, from any process, whoever runs it. Returns when that is durable; its runner obeys
 * within one batch of its work (100 ms). It outlives the runner: the next one stands still, too. A
 * change that stands still holds no snapshot and no lease, and can be cancelled; its way back stops
 * for nothing. No reader and no writer waits for it, further changes of its table do. Its info's
 * flags say what was asked for, waiting_for that its runner stands still. KEEP_WAITING and GIVE_UP
 * take each other's place.
 * Errors: EUNKNOWN, ESTATE (it has ended, or is being undone; or HOLD is set when there is nothing
 * left to hold back: names the stage), EINVALID (a flag that cannot be steered, or set and cleared;
 * workers; struct_size). */
INSTAR_API int instar_change_steer(instar *db, uint64_t change,
                                   const instar_change_steering *steering);

/* ---- looking at a store ------------------------------------------------------------------- */

enum instar_stage {
    INSTAR_STAGE_ABSENT = 0,
    INSTAR_STAGE_DELETE_ONLY = 1,
    INSTAR_STAGE_WRITE_ONLY = 2,
    INSTAR_STAGE_PUBLIC = 3
};

typedef struct instar_column_info {
    const char *name;
    enum instar_type type;
    bool not_null;
    bool has_default;
    instar_value default_value;
    bool enforcing;               /* NOT NULL is enforced on writes already, and being validated */
    uint32_t length_max;          /* of a text; 0: no limit. Of a numeric: INSTAR_DIGITS */
    enum instar_type type_coming; /* a change is at work to make it that type, or INSTAR_NULL */
    uint32_t length_coming;
    const char *comment; /* NULL: none */
} instar_column_info;

typedef struct instar_index_info {
    const char *name;
    const instar_key_column *columns;
    size_t column_count;
    bool unique;
    bool enforcing; /* unique is enforced on writes already */
    enum instar_stage stage;
    uint64_t change;       /* the change at work on it, or 0 */
    const char *predicate; /* with the names that the columns have now; NULL: of all rows */
    const char *const *include;
    size_t include_count;
    bool constraint;     /* it is a UNIQUE constraint of that name */
    const char *comment; /* NULL: none */
} instar_index_info;

typedef struct instar_check_info {
    const char *name;
    const char *expression; /* as in instar_check_def, with the names that the columns have now */
    bool valid;          /* holds for every row; if not, for what was written since it is there */
    bool enforcing;      /* a change is validating it */
    const char *comment; /* NULL: none */
} instar_check_info;

typedef struct instar_fkey_info {
    const char *name;
    const char *const *columns; /* in the order of the key that it refers to */
    size_t column_count;
    const char *parent;
    const char *const *parent_columns; /* always named */
    enum instar_fkey_action on_delete;
    enum instar_fkey_action on_update;
    bool valid; /* as of a check */
    bool enforcing;
    const char *comment; /* NULL: none */
} instar_fkey_info;

typedef struct instar_table_info {
    const char *name;
    uint32_t version; /* of the descriptor */
    uint64_t rows;    /* an estimate: what the applier has folded so far */
    const instar_column_info *columns;
    size_t column_count;
    const instar_key_column *key; /* of a table without primary key: INSTAR_ROW_ID */
    size_t key_count;
    const instar_index_info *indexes;
    size_t index_count;
    const instar_check_info *checks;
    size_t check_count;
    const instar_fkey_info *fkeys;
    size_t fkey_count;
    const char *comment; /* NULL: none */
} instar_table_info;

/* All tables by name, or the one that is named (table not NULL; EUNKNOWN names the nearest).
 * The info is valid during the call of fn. */
INSTAR_API int instar_table_list(instar *db, const char *table,
                                 int (*fn)(void *arg, const instar_table_info *info), void *arg);

typedef struct instar_node_info {
    uint32_t node;
    uint32_t pid;
    bool self;
    bool alive;
    uint64_t opened_ms_ago;
    uint32_t leases;
    uint32_t transactions;          /* that hold a lease now */
    uint64_t oldest_transaction_ms; /* age, 0: none */
    uint32_t changes;               /* that it runs now */
} instar_node_info;
INSTAR_API int instar_node_list(instar *db, int (*fn)(void *arg, const instar_node_info *info),
                                void *arg);

typedef struct instar_stats {
    uint32_t struct_size;
    uint32_t durability;
    uint64_t log_tail; /* positions, in bytes of the endless log */
    uint64_t log_durable;
    uint64_t log_applied;
    uint64_t log_segments;
    uint64_t log_bytes;  /* on disk */
    uint64_t tree_bytes; /* used in data.mdb */
    uint64_t tree_count;
    uint64_t commits; /* since the store was opened first, all processes */
    uint64_t flushes;
    uint64_t conflicts;
    uint64_t shared_bytes; /* shared memory for control and memtables */
    uint32_t nodes;
    uint32_t readers; /* snapshots that are open now, in all processes */
    char format[16];
    char runtime_path[256];
    /* Bytes of log per second that commits may write now, all together, because they come faster
     * than the log is folded into the trees; 0: as many as they like. */
    uint64_t commit_limit;
} instar_stats;
/* Errors: EINVALID (struct_size). Set struct_size before the call. */
INSTAR_API int instar_stat(instar *db, instar_stats *stats_out);

/* What a monitoring system wants to know of store, tables, leases, transactions and changes, in
 * Prometheus' text format 0.0.4; all names begin with instar_. fn is called once with all of it,
 * not terminated and valid during the call; what it returns is returned. Reads figures alone, no
 * rows: fit to be asked every second. Counters of the log go on for ever; those of commits, flushes
 * and conflicts begin anew when the store is opened after no process had it open. Errors: EMISUSE,
 * ENOMEM. */
INSTAR_API int instar_metrics(instar *db, int (*fn)(void *arg, const char *text, size_t size),
                              void *arg);

/* ---- backup and restore ------------------------------------------------------------------- */

typedef struct instar_backup_options {
    uint32_t struct_size;
    uint32_t reserved;
    /* Called many times, in the calling thread: bytes done of about so many. Another value than 0
     * gives the work up: ECANCELLED, and nothing is left. Or NULL. */
    int (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
} instar_backup_options;

/* What a backup holds. It can be restored to any commit from first_lsn to last_lsn; times are those
 * between which its moments were noted, some ten milliseconds apart. */
typedef struct instar_backup_info {
    uint64_t first_lsn, last_lsn;
    int64_t first_us, last_us; /* since 1970 */
    uint64_t bytes;
} instar_backup_info;

/* Copy the store, while all processes go on writing, to the new directory `to` (mode 0700, files
 * 0600). It holds all that was acknowledged before the call, a prefix of the log in any case, and
 * is on disk when the call returns. The log is kept meanwhile, and so are pages that writers
 * replace: both files may grow until the end. options and info_out may be NULL. One at a time in a
 * process. When it fails, `to` is gone; when the process dies, what it leaves is no backup (it has
 * no file `manifest`) and can be removed.
 * Errors: EEXISTS (`to` is there), ECANCELLED, EBUSY (a backup is running in this process; a
 * process is stopped that commits), EINVALID, ENOSPACE, EACCESS, ECORRUPT (the log). */
INSTAR_API int instar_backup(instar *db, const char *to, const instar_backup_options *options,
                             instar_backup_info *info_out);
/* What the backup in this directory holds, from its manifest; the other files are not read.
 * Errors: ENOSTORE (no backup, or not finished), EFOREIGN, EVERSION, ECORRUPT. */
INSTAR_API int instar_backup_look(const char *backup, instar_backup_info *info_out);

typedef struct instar_restore_options {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t to_lsn; /* up to this position [UINT64_MAX: all] */
    int64_t to_us;   /* up to this time, in microseconds since 1970 [INT64_MAX: all] */
    int (*progress)(void *arg, uint64_t done, uint64_t total); /* as above */
    void *arg;
} instar_restore_options;
INSTAR_API void instar_restore_options_init(instar_restore_options *options);
/* Make a new store in `path`, as instar_create does, of a backup; every byte of it is verified. A
 * position between two commits means the one before it; a time, the last moment before it that was
 * noted. options may be NULL: all of it. A change that was at work goes on when the store is
 * opened.
 * Errors: those of instar_create and instar_backup_look; ECORRUPT (names file and place; no store
 * is made), EINVALID (names the range that can be restored), ECANCELLED. */
INSTAR_API int instar_restore(const char *backup, const char *path,
                              const instar_restore_options *options);

/* ---- the checker -------------------------------------------------------------------------- */

enum instar_problem {
    INSTAR_PROBLEM_ROW_UNREADABLE = 1, /* checksum, tag or encoding */
    INSTAR_PROBLEM_ENTRY_MISSING = 2,  /* a row without its index entry */
    INSTAR_PROBLEM_ENTRY_DANGLING = 3, /* an entry without its row */
    INSTAR_PROBLEM_ENTRY_UNREADABLE = 4,
    INSTAR_PROBLEM_CONSTRAINT = 5, /* unique, not null, check, foreign key */
    INSTAR_PROBLEM_TREE = 6,       /* a tree nobody owns, or one that is missing */
    INSTAR_PROBLEM_LOG = 7,
    INSTAR_PROBLEM_VERSION = 8, /* a tag newer than its table */
    INSTAR_PROBLEM_FILE = 9,    /* a file of the store, or a page of data.mdb */
    INSTAR_PROBLEM_DIGEST = 10  /* what a table's or an index's tree holds is not what was written
                                   last, as after a page of an earlier time */
};

typedef struct instar_finding {
    enum instar_problem problem;
    uint32_t written_by; /* schema version that wrote it, 0: unknown */
    const char *table;
    const char *index; /* or NULL */
    const char *key;   /* readable */
    const char *text;  /* the whole finding in one line */
} instar_finding;

typedef struct instar_check_summary {
    uint64_t tables, indexes, rows, entries;
    uint64_t findings;
    uint64_t pages; /* of data.mdb */
} instar_check_summary;
/* Verify every row and index entry in both directions, tags, checksums and constraints, at one
 * snapshot, while the store is in use; before that the pages that they lie on, and all of it is
 * left out when one of those is damaged. Changes nothing. fn (may be NULL) is called for each
 * finding; another value than 0 stops the check and is returned. 0 with findings == 0 is a clean
 * store; findings are ECORRUPT at the end. A page that was damaged after LMDB has mapped it may end
 * the process: who expects damage runs it in a process of its own, as the tool does, and
 * instar_check_files() before it. */
INSTAR_API int instar_check(instar *db, int (*fn)(void *arg, const instar_finding *finding),
                            void *arg, instar_check_summary *summary_out);
/* The same without rows and entries: data.mdb's pages, each of them, and the log. */
INSTAR_API int instar_check_fast(instar *db, int (*fn)(void *arg, const instar_finding *finding),
                                 void *arg, instar_check_summary *summary_out);
/* Verify the files of a store that nobody has open: format, data.mdb's pages, log. It is not
 * opened, nothing is written, and every byte is taken for possibly hostile; what rows mean is not
 * looked at. Findings and result as above; summary_out counts pages and, as entries, what stands on
 * them. Errors: ENOSTORE, EACCESS, EFOREIGN, EBUSY (a process has it open: check it there). */
INSTAR_API int instar_check_files(const char *path,
                                  int (*fn)(void *arg, const instar_finding *finding), void *arg,
                                  instar_check_summary *summary_out);
/* A store that has stopped after an I/O failure (ESTOPPED) may be opened again in this boot when
 * all that was promised is found on the disk, read past the page cache. 0: it is, and the store
 * opens again. Errors: ESTOPPED (it is not, or cannot be told: only a reboot helps), EBUSY (a
 * process still has it open), and those of instar_open. */
INSTAR_API int instar_check_after_io_error(const char *path);
/* Mend what can be mended without guessing, in a store that nobody has open: a meta page of
 * data.mdb that does not hold, from the other one. The file is copied first, in its directory,
 * under the name data.mdb.before-repair. fn (may be NULL) is called with a line that says what was
 * done; not at all when there was nothing to do. An index is mended by making it anew, memtables
 * are made anew at each open. Errors: ENOSTORE, EACCESS, EFOREIGN, EVERSION (another format:
 * nothing is changed), EBUSY (a process has it open), EEXISTS (an earlier copy is there), ECORRUPT
 * (both meta pages are lost). */
INSTAR_API int instar_repair(const char *path, int (*fn)(void *arg, const char *text), void *arg);

/* What a cut of the log has taken away. */
typedef struct instar_log_cut {
    uint64_t from_lsn;       /* the log ends here now */
    uint64_t to_lsn;         /* it is known to have gone on up to here; 0: it was whole, not cut */
    uint64_t commits;        /* among what was lost, those of which a trace could still be read */
    uint64_t schema_changes; /* versions of a table that these had published */
    int64_t last_written_us; /* when the files of the lost part were written last, 0: not known */
    char reason[512];        /* what instar_open says of the log as it was */
} instar_log_cut;
/* Have the log end at its last whole record, in a store that nobody has open and that instar_open
 * refuses because the middle of its log is damaged. Whatever was committed behind that is lost,
 * acknowledged or not, readable or not; positions of the log will be given out again. To be called
 * only where a restored backup would be worse. The segments that change are copied first, to the
 * directory log.before-cut in the store. A log that instar_open takes is left alone. Errors:
 * ENOSTORE, EACCESS, EFOREIGN, EBUSY (a process has it open), EEXISTS (an earlier copy is there),
 * ESTOPPED (as instar_open), ECORRUPT (data.mdb is damaged, too, or holds something that was logged
 * behind the place, or an index is being built: a cut would leave a mixture; nothing has changed),
 * ENOSPACE (for the copy). */
INSTAR_API int instar_cut_log(const char *path, instar_log_cut *cut_out);

/* Overwrite with zeros what no row needs any more, in a store that nobody has open: rows that were
 * deleted, values that were updated, what was dropped and may not be undone. They stay else in
 * pages of data.mdb that are free, or not full, and in the log, until new data need the room. All
 * of the log is folded and what was dropped is emptied first, so the store is opened and closed;
 * then all of data.mdb and of the log is read, and written where it is neither in use nor zero. A
 * process that dies on the way leaves a store that is whole. *bytes_out (may be NULL): how much was
 * written, in pieces of up to 64 KiB.
 *
 * What it cannot reach: a key that was deleted may stand in an inner page as the border of others,
 * until its table or index is made anew; rows of older layouts have what a dropped column held,
 * until instar_vacuum(); a failed change tells some of the keys that it failed at; and what the
 * file system or the disk has put elsewhere, in files that were removed as well (old segments,
 * backups, copies that a repair made). Errors: ENOSTORE, EACCESS, EFOREIGN, EINUSE and EBUSY (this
 * process, or another one, has it open; or the log cannot be folded, or what was dropped not
 * emptied, say for want of room), ECORRUPT (data.mdb is damaged: nothing was overwritten), EIO (the
 * disk failed; when it did in a sync, the store has stopped: ESTOPPED), and those of instar_open.
 */
INSTAR_API int instar_overwrite(const char *path, uint64_t *bytes_out);

#ifdef __cplusplus
}
#endif

#endif
