/* SPDX-License-Identifier: Apache-2.0 */
/* The log side of the store, inside: what record, segment, memtable, commit, flush, rotate,
 * recovery and open know of each other. */
#ifndef INSTAR_STORE_LOG_H
#define INSTAR_STORE_LOG_H

#include "store/control.h"
#include "store/store_impl.h"

/* ---- files (file.c) ------------------------------------------------------------------------ */

/* Open a file of ours: regular, of this user, with one name. flags as os_openat. The error names
 * the file and what is wrong with it; ENOTFOUND when there is none. */
int file_open(int dirfd, const char *name, int flags, int *fd_out, struct base_err *err);
/* Open or make a directory of ours below another: of this user, not writable by others. */
int file_open_dir(int dirfd, const char *name, bool create, int *fd_out, struct base_err *err);
/* Remove, also when it is not there. */
int file_remove(int dirfd, const char *name, struct base_err *err);
/* A new file of this size, in the place of one that may be there; all of it is allocated, and is
 * overwritten in place. */
int file_make_allocated(int dirfd, const char *name, uint64_t size, int *fd_out,
                        struct base_err *err);
/* All of it, synced. `name` is that of the copy. */
int file_copy(int from, int to, const char *name, struct base_err *err);
void file_free_names(char **names, size_t count);

/* ---- the format file (format.c) ------------------------------------------------------------ */

#define FORMAT_NAME "format"
#define FORMAT_VERSION 2u

/* What is fixed when a store is made. */
struct format {
    uint8_t log_id[16];
    uint8_t instance_id[16];
    uint64_t segment_bytes;
    uint64_t map_bytes;
    uint32_t trees_max;
    uint32_t lease_slots;
    uint32_t readers_max;
    uint32_t nodes_max;
    int64_t created_us;
};
/* Written whole under another name and synced; renamed, the directory synced. */
#define FORMAT_FRESH "format.new"
int format_write(int dirfd, const struct format *f, struct base_err *err);
int format_install(int dirfd, struct base_err *err);
/* From either name. ENOSTORE, EFOREIGN (not ours), EVERSION, ECORRUPT: names file, expected and
 * found. */
int format_read(int dirfd, const char *path, const char *name, struct format *f_out,
                struct base_err *err);
int format_check(const struct format *f, struct base_err *err);
/* Check options that the caller gave, and put in the store's own. NULL: defaults. */
int format_options(const instar_options *given, const struct format *f, instar_options *out,
                   struct base_err *err);

/* ---- records (record.c) -------------------------------------------------------------------- */

#define RECORD_HEADER 64u
#define RECORD_ALIGN 8u
#define RECORD_PUBLISHES 1u /* flag: moves the schema LSN */

static inline uint64_t record_room(uint64_t body_size)
{
    return (RECORD_HEADER + body_size + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}
/* Fill a header for a record at h->start; h->end and h->body.size say how long it is, h->chain is
 * the checksum before it. Returns its own checksum. */
uint64_t record_header_make(uint8_t out[RECORD_HEADER], const struct record *h,
                            const uint8_t log_id[16], uint64_t body_hash);
uint64_t record_body_hash(struct base_slice body);
/* Where a record is looked for. */
struct record_place {
    uint64_t start;
    uint64_t segment_bytes;
    const uint8_t *log_id;
};
static inline struct record_place record_place(const struct store *s, uint64_t start)
{
    return (struct record_place){start, s->segment_bytes, s->log_id};
}
/* What a header says of its body and of the header before it. */
struct record_sums {
    uint64_t body_hash;
    uint64_t before;
};
/* Does a header stand there? Looks at no body and no chain. Lengths are bounded by the segment: the
 * record ends in it, and leaves no rest or one with room for a header. */
bool record_header_read(const uint8_t *at, const struct record_place *place, struct record *out,
                        struct record_sums *sums_out);
/* The same with body and chain. ECORRUPT says what did not hold. */
int record_read(struct base_slice bytes, const struct record_place *place, uint64_t chain,
                struct record *out, struct base_err *err);

/* ---- segments (segment.c) ------------------------------------------------------------------ */

#define SEGMENT_NAME_SIZE 32
void segment_name(char out[SEGMENT_NAME_SIZE], uint64_t start, const char *ending);
/* A name of log/ or of the runtime directory back to its start; false: not such a name. */
bool segment_name_parse(const char *name, const char *ending, uint64_t *start_out);
/* Make the file of a segment: allocated, synced, its name synced. Fine when it is there. */
int segment_make_file(struct store *s, uint64_t start, struct base_err *err);
/* Make its memtable, formatted and empty. */
int segment_make_mem(struct store *s, uint64_t start, uint64_t nonce, struct base_err *err);
/* Map and pin one. ENOTFOUND: retired, or not there yet. */
int segment_pin(struct store *s, uint64_t start, bool with_mem, struct segment **out,
                struct base_err *err);
/* Map one that will be needed, with every page touched. */
int segment_pin_ahead(struct store *s, uint64_t start);
void segment_unpin_one(struct store *s, struct segment *seg);
/* As segment_pin_range, without memtables: to read records. */
int segment_pin_log(struct store *s, uint64_t from, uint64_t to, struct segment_pins *pins_out,
                    struct base_err *err);
/* Give back maps that nobody pins and nobody will need. */
void segment_trim(struct store *s);
void segment_close_all(struct store *s);

/* ---- memtable (memtable.c) ----------------------------------------------------------------- */

/* One operation of a body, ready to become a node. Offsets count from the record's start. */
struct memtable_plan {
    uint64_t tree;
    uint64_t prefix; /* first 8 key bytes, big-endian, zeros behind */
    uint64_t hash;   /* of tree and key */
    uint32_t key_at;
    uint32_t value_at;
    uint32_t value_size;
    uint16_t key_size;
    uint8_t height;
    bool deleted;
};
#define MEMTABLE_HEADER ((size_t)128) /* what memtable_format writes to */
uint64_t memtable_size(uint64_t segment_bytes);
/* An upper bound of what `ops` nodes take. */
uint64_t memtable_bytes_for(uint64_t ops);
uint64_t memtable_capacity(uint64_t segment_bytes);
void memtable_format(void *mem, size_t size, uint64_t start, uint64_t nonce);
bool memtable_valid(const void *mem, size_t size, uint64_t start, uint64_t nonce);
uint32_t memtable_used(const struct segment *seg);
uint64_t memtable_room(const struct segment *seg); /* for commits */
/* Plan a body: heights are drawn from `seed`. plan has room for all operations; bytes_out: what the
 * nodes take. ECORRUPT when the body does not read, EINVALID when it is not in order. */
int memtable_plan_body(struct base_slice body, uint64_t seed, struct memtable_plan *plan,
                       size_t max, size_t *count_out, uint64_t *bytes_out, struct base_err *err);
/* Fill nodes for a record at `start` with LSN `lsn`, unseen yet; then link them. Writer only. */
void memtable_fill(struct segment *seg, const struct memtable_plan *plan, size_t count,
                   uint64_t start, uint64_t lsn);
int memtable_link(struct segment *seg, uint32_t from, uint32_t to);
/* Build a whole memtable at once: its operations in any order, which is changed. ENOMEM. */
struct memtable_item {
    struct memtable_plan plan;
    uint64_t start; /* of its record */
    uint64_t lsn;
};
int memtable_build(struct segment *seg, struct memtable_item *items, size_t count,
                   struct base_err *err);
/* Make every node from the arena position on void. Writer only. */
void memtable_void(struct segment *seg, uint32_t from);

/* ---- reading past the maps (scan.c) --------------------------------------------------------- */

/* Walk records as they are in the files, each read into private memory and verified there. What is
 * written back is that same copy. */
struct scan {
    struct store *s;
    uint64_t at;
    uint64_t chain;
    bool chained; /* false: the first record's place in the chain is not known */
    struct segment *seg;
    uint8_t *memory; /* buffer is in it, aligned */
    uint8_t *buffer;
    size_t capacity;
    uint64_t buffer_at; /* LSN of buffer[0] */
    size_t buffer_size;
    uint64_t fetch_end; /* read nothing from here on; 0: up to the segment's end */
    bool direct;        /* past the page cache: set after init */
    int direct_fd;
};
void scan_init(struct scan *c, struct store *s, uint64_t from, uint64_t chain, bool chained);
/* 0, INSTAR_END (limit reached), ENOTFOUND (no segment there), ECORRUPT, EIO, ENOMEM. The record's
 * body points into the copy, valid until the next call. */
int scan_next(struct scan *c, uint64_t limit, struct record *out, struct base_err *err);
/* Write the copy of the record that was read last to its place. */
int scan_write_back(struct scan *c, const struct record *r, struct base_err *err);
/* What readable headers say, whether their records are whole or not. */
struct scan_traces {
    uint64_t durable; /* the highest durable position that one names */
    uint64_t end;     /* where the last of them ends */
    uint64_t commits, publications;
};
/* Add those in [from, end of its segment); looks at every place where one could stand. */
int scan_evidence(struct scan *c, uint64_t from, struct scan_traces *traces, struct base_err *err);
void scan_done(struct scan *c);

/* ---- flush (flush.c) ----------------------------------------------------------------------- */

/* Flush up to lsn (clamped to the tail). waits: an application is kept by it (pacing). */
int flush_to(struct store *s, uint64_t lsn, uint64_t deadline_ns, bool waits, struct base_err *err);

/* ---- rotate (rotate.c) --------------------------------------------------------------------- */

/* See to it that the segment at `start` is prepared; waits for the applier when too many are
 * pending. Outside every lock. */
int rotate_prepare(struct store *s, uint64_t start, uint64_t deadline_ns, struct base_err *err);
/* Prepare the segment after the current one when there is none: for background threads. */
void rotate_ahead(struct store *s);
/* Is the byte at lsn in a segment that may be written to now? Cheap, under the writer lock. */
bool rotate_ready(const struct store *s, uint64_t lsn);

/* Keep the log from the present lo on, for this node; it ends with the node. One at a time. */
int log_pin(struct store *s, uint64_t *from_out, struct base_err *err);
void log_unpin(struct store *s);

/* Wait while another one has the turn. */
void turn_hold(struct store *s, uint64_t own_ticket, uint64_t deadline_ns);

/* ---- commit (commit.c, append.c) ----------------------------------------------------------- */

/* What one append writes. */
struct append {
    enum record_kind kind;
    bool publication;
    struct base_slice body; /* with RECORD_HEADER writable bytes before it, when `framed` */
    bool framed;
    uint64_t body_hash;
    const struct memtable_plan *plan;
    size_t plan_count;
};
/* Under the writer lock, in a segment with room: mark, record, nodes, tail. An error poisons. */
int append_record(struct store *s, struct segment *seg, const struct append *a, uint64_t *end_out,
                  struct base_err *err);
/* Which trees get nodes in the memtables; under the writer lock. Before a record with tree
 * operations is seen, its nodes, and after it was seen. */
void unread_before(struct store_control *ctl, const struct append *a);
void unread_fill(const struct store_control *ctl, struct segment *seg, const struct append *a,
                 uint64_t start, uint64_t end);
void unread_after(struct store_control *ctl, const struct append *a);
/* Fill the rest of the current segment with a pad record. */
int append_pad(struct store *s, struct segment *seg, struct base_err *err);
/* What a writer that died left: finish or void its append. Under the writer lock. */
int append_settle(struct store *s, struct base_err *err);

/* ---- control, runtime directory, nodes ------------------------------------------------------ */

/* The name in shared memory: of log id, instance id, and device and inode of the directory, 8 bytes
 * each, little-endian. */
#define RUNTIME_NAME_SIZE 64
void runtime_shm_name(const uint8_t id[48], char name[RUNTIME_NAME_SIZE]);
/* Alone in the store: the directory of control, memtables and LMDB's lock file, found or made; of
 * an earlier time only `control` is left. It is opened, and given up with runtime_give_up where no
 * control gets its name. */
int runtime_make(struct store *s, struct base_err *err);
void runtime_give_up(struct store *s);
/* Recorded in the lock file, for those who join: the place, and the builder of its control. Without
 * room for it `builder` becomes the one that stands there. */
int runtime_note(struct store *s, uint64_t *builder, struct base_err *err);
int runtime_join(struct store *s, uint64_t *builder_out, struct base_err *err);
/* Remove controls and memtables wherever they are. Alone in the store. */
void runtime_forget(struct store *s);
/* And their directories; of the store, only the directory, its ids, device and inode are set. */
void runtime_discard(struct store *s);
/* What earlier controls of this boot say, wherever they are; marks them superseded. */
int runtime_past(struct store *s, struct control_past *past_out, struct base_err *err);
/* A new control has its name: sweep the other place. */
void runtime_settle(struct store *s);
/* Remove what the last process leaves there. */
void runtime_remove(struct store *s);

/* Build under a temporary name and map; control_publish gives it its name and says ready. */
uint64_t control_bytes(const struct store *s);
int control_build(struct store *s, uint64_t builder, struct base_err *err);
int control_publish(struct store *s, struct base_err *err);
/* Map and verify; EBUSY when it is not ready (its builder has died, or works on it). */
int control_join(struct store *s, uint64_t builder, struct base_err *err);
int control_peek(struct store *s, int dirfd, struct control_past *past, struct base_err *err);
void control_close(struct store *s);

/* Take a slot and start the background thread; give both back. */
int node_open(struct store *s, struct base_err *err);
void node_close(struct store *s);

/* Nobody opens the store while this lock is held; EBUSY: somebody has it open. *lock_out stays -1
 * where there is no lock to be had. */
int files_keep_out(int dirfd, const char *path, int *lock_out, struct base_err *err);

/* Read the position from data.mdb, every page of which must hold, and with `digests` every tree's,
 * too; and whether a tree is being built. Nobody has the store open. */
struct trees_mark; /* trees.h */
int files_position(int dirfd, bool digests, struct trees_mark *mark_out, bool *building_out,
                   struct base_err *err);

int spill_remove_all(struct store *s, struct base_err *err);

/* ---- open, create (open.c, create.c) --------------------------------------------------------- */

#define LOCK_NAME "lock"
#define LOG_DIR "log"
#define SPILL_DIR "spill"
#define RUNTIME_DIR "run"
/* Directory, format, options, lock file, log; nothing locked yet. Give back with open_free. */
int open_store_files(const char *path, const instar_options *options, struct store **store_out,
                     struct base_err *err);
void open_free(struct store *s);
/* store_open by the store's maker, who has written its format file under FORMAT_FRESH and holds the
 * lock exclusively on `lock_fd`, which is taken over, also by a failure. */
int open_fresh(const char *path, const instar_options *options, int lock_fd,
               struct store **store_out, struct base_err *err);
/* How long to sleep before trying for the lock again; not the same for all. */
uint64_t open_retry_ns(void);
/* A directory that may hold a store: ours, on a local file system. */
int open_directory(const char *path, const instar_options *o, int *fd_out, struct base_err *err);
/* The directory above a path that is to be made. */
int open_parent(const char *path, int *fd_out, struct base_err *err);

/* ---- rebuilding memtables (rebuild.c) -------------------------------------------------------- */

/* Gathers the operations of one segment after the other, and builds each one's memtable. */
struct rebuild {
    struct store *s;
    struct segment *seg; /* pinned */
    struct memtable_item *items;
    size_t count;
    size_t room;
    struct memtable_plan *plan; /* of one record */
    size_t plan_room;
    struct base_buf unread; /* u64 each: trees that get no nodes now */
};
/* The trees are open, and stand where the first record begins. To be ended, whatever it gives. */
int rebuild_begin(struct rebuild *b, struct store *s, struct base_err *err);
/* Records come in the log's order. */
int rebuild_add(struct rebuild *b, const struct record *record, struct base_err *err);
/* Build the last one, and free. Also after a failure, then with build false. */
int rebuild_end(struct rebuild *b, bool build, struct base_err *err);

/* ---- recovery, the marker of a stop --------------------------------------------------------- */

#define STOPPED_NAME "stopped"
/* Alone in the store, trees open: find the end of the log, repair it, build control and memtables.
 */
int recovery_run(struct store *s, const struct control_past *past, struct base_err *err);
/* Steps 1 and 2 alone, which change nothing: would the log be taken as it is, and where does it
 * end? No lock and no control is needed when nobody has the store. */
int recovery_look(struct store *s, const struct trees_position *position,
                  const struct control_past *past, uint64_t *stop_out, struct base_err *err);
/* Starts of the segments that are there, ascending. Free with base_free. */
int recovery_segments(struct store *s, uint64_t **starts_out, size_t *count_out,
                      struct base_err *err);
/* The marker that a flush has failed: made by store_poison, looked at by openers. */
void stopped_mark(struct store *s, const char *why);
/* Remove it, and every control of this boot that says the same. */
int stopped_forget(struct store *s, struct base_err *err);
int stopped_check(struct store *s, struct base_err *err);
/* The same by what an earlier control says. */
int stopped_past(const struct control_past *past, struct base_err *err);

#endif
