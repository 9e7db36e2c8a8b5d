/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os: every file, map, lock, thread and clock operation of the library goes through here. It is
 * the one seam where tests attach faults, crash points, records of what was written, and virtual
 * time. In test builds LMDB's own calls are bent to the same hooks at link time.
 *
 * All functions return 0 or a negative errno value unless said otherwise; EINTR is retried inside,
 * short reads and writes are completed inside.
 */
#ifndef INSTAR_BASE_OS_H
#define INSTAR_BASE_OS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* ---- the seam ----------------------------------------------------------------------------- */

enum os_op {
    OS_OP_OPEN,
    OS_OP_CLOSE,
    OS_OP_READ,
    OS_OP_WRITE,
    OS_OP_SYNC, /* fdatasync, fsync of files */
    OS_OP_SYNC_DIR,
    OS_OP_ALLOCATE,
    OS_OP_ZERO_RANGE,
    OS_OP_TRUNCATE,
    OS_OP_RENAME,
    OS_OP_UNLINK,
    OS_OP_MKDIR,
    OS_OP_SYMLINK,
    OS_OP_MAP,
    OS_OP_STAT,
    OS_OP_LOCK
};

/* What an operation is about to do. Fields that do not apply are zero. */
struct os_call {
    enum os_op op;
    int fd;
    int dirfd;
    int dirfd2;        /* of the rename target */
    const char *name;  /* open, rename (source), unlink, mkdir, symlink, stat */
    const char *name2; /* rename target; what a link leads to */
    const void *data;  /* bytes to be written */
    size_t size;
    off_t offset;
    int flags; /* open, unlink */
};

/* Installed by tests only, before any store is opened. Any member may be NULL. What is compiled for
 * the library (without INSTAR_TEST) has no hooks. */
struct os_hooks {
    /* Before each system call. 0: go on. Negative errno: it fails with that and does nothing;
     * -EINTR is retried like a real one. Positive, for reads and writes: at most so many bytes are
     * moved. */
    int (*before)(void *arg, const struct os_call *call);
    /* After it, with its result: >= 0 for success (open: the new descriptor; read, write: bytes).
     * Not called for one that `before` refused. */
    void (*after)(void *arg, const struct os_call *call, int result);
    /* A named point was reached (see os_point). */
    void (*point)(void *arg, const char *name);
    /* Virtual time, in nanoseconds; realtime in microseconds since 1970. */
    uint64_t (*boottime_ns)(void *arg);
    int64_t (*realtime_us)(void *arg);
    /* Pretend to be after another boot. Returns 0. */
    int (*boot_id)(void *arg, uint8_t id[16]);
    void *arg;
};
#if defined(INSTAR_TEST)
void os_hooks_set(const struct os_hooks *hooks); /* NULL removes them */
extern const struct os_hooks *_Atomic os_hooks_now;

/* A place where a test may kill, stop or hold this thread. Names are `layer.what`, for example
 * "commit.record_written". Costs one load when no hook is set. */
#define os_point(name) (__builtin_expect(os_hooks_now != NULL, 0) ? os_point_hit(name) : (void)0)
void os_point_hit(const char *name);
#elif defined(__x86_64__)
/* In the library a point is one instruction that does nothing. Where it is and how it is called
 * stands in a section of the object, which is left out of what is installed; test programs of the
 * same objects put a breakpoint there (tests/support/points.c). `name` is a literal. */
#define os_point(name)                                                                    \
    __asm__ volatile("771: nop\n\t.pushsection " OS_POINTS ",\"a\"\n\t.long 771b - .\n\t" \
                     ".asciz \"" name "\"\n\t.popsection" ::                              \
                         : "memory")
#define OS_POINTS "instar_points"
#else
#define os_point(name) ((void)0)
#endif

/* ---- files -------------------------------------------------------------------------------- */

int os_open_dir(const char *path, int *fd_out); /* O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC */
/* flags: O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_DIRECT … ; O_CLOEXEC and O_NOFOLLOW are added, new
 * files get mode 0600 whatever the umask. A file that was created was seen by the hooks as an open
 * with O_CREAT | O_EXCL. */
int os_openat(int dirfd, const char *name, int flags, int *fd_out);
int os_close(int fd);
int os_pread(int fd, void *buf, size_t size, off_t offset,
             size_t *read_out); /* short only at EOF */
int os_pwrite(int fd, const void *buf, size_t size, off_t offset);
/* A pipe; ends[0] is read from, ends[1] written to. And what comes through it, as much as is there,
 * at most `size`; 0 bytes: its writers have closed it. */
int os_pipe(int ends[2]);
int os_read_pipe(int fd, void *buf, size_t size, size_t *read_out);
int os_fdatasync(int fd);
int os_fsync_dir(int dirfd);
int os_fallocate(int fd, off_t offset, off_t size);  /* really allocated, size grows */
int os_zero_range(int fd, off_t offset, off_t size); /* or zeros are written */
int os_ftruncate(int fd, off_t size);
/* The first run of bytes from `offset` on that may be other than zeros: [data, data_end), cut at
 * `end`; data == end: none. Where the file system cannot tell, all of it. */
int os_seek_data(int fd, off_t offset, off_t end, off_t *data_out, off_t *data_end_out);
/* Read what is asked for and no more: what was read ahead counts as data for os_seek_data. */
void os_advise_random(int fd);
int os_renameat(int dirfd, const char *from, int dirfd2, const char *to);
int os_unlinkat(int dirfd, const char *name, int flags);
int os_mkdirat(int dirfd, const char *name); /* mode 0700 whatever the umask */
int os_symlinkat(const char *to, int dirfd, const char *name);
int os_fstat(int fd, struct stat *st);
int os_fstatat(int dirfd, const char *name, struct stat *st); /* never follows a link */
/* Names in a directory, sorted; free each and the array with base_free. */
int os_list_dir(int dirfd, char ***names_out, size_t *count_out);
/* True for file systems that keep neither locks nor order: nfs, cifs, 9p, unknown fuse. */
int os_fs_is_network(int fd, bool *network_out);
int os_fs_is_tmpfs(int fd, bool *tmpfs_out);
int os_fs_free_bytes(int fd, uint64_t *free_out);
/* For an empty file that will be mapped and written to: where the file system writes each page
 * elsewhere (btrfs), this one's are overwritten, so that they need room once only. */
void os_overwrite_in_place(int fd);

/* Maps. writable maps are MAP_SHARED. prefault touches every page now. */
int os_map(int fd, size_t size, bool writable, bool prefault, void **addr_out);
/* What fd has in place of what is mapped at addr, to be read only. */
int os_map_instead(int fd, const void *addr, size_t size);
/* Have its pages at hand, as if each had been read. Others may write to them meanwhile. */
void os_map_touch(const void *addr, size_t size);
int os_unmap(void *addr, size_t size);
/* Give back the pages, but never the addresses: nothing else of this process is mapped there. */
void os_map_retire(void *addr, size_t size);

/* Open-file-description locks on byte 0 … of a whole file. -EAGAIN when held by another. */
int os_lock_exclusive(int fd);
int os_lock_shared(int fd); /* also turns an exclusive lock into a shared one, atomically */
int os_unlock(int fd);

/* ---- locks in shared memory --------------------------------------------------------------- */

/* A robust, process-shared mutex. */
struct os_mutex {
    pthread_mutex_t m;
};
int os_mutex_init_shared(struct os_mutex *m);
/* 0: locked. -EOWNERDEAD: locked, the last holder died inside; bring the state in order, then call
 * os_mutex_consistent. -ETIMEDOUT. -ENOTRECOVERABLE: one who found it so gave it up without that.
 * timeout_ns 0: try once; UINT64_MAX: for ever. */
int os_mutex_lock(struct os_mutex *m, uint64_t timeout_ns);
int os_mutex_consistent(struct os_mutex *m);
void os_mutex_unlock(struct os_mutex *m);

/* Sleep while *word == seen, at most timeout_ns. 0 when woken or changed, -ETIMEDOUT. The word may
 * lie in shared memory. */
int os_futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns);
void os_futex_wake_all(_Atomic uint32_t *word);
/* Sleepers on one word in groups, a bit each, not 0: at most `count` of a group are woken; returns
 * how many were. Who sleeps by os_futex_wait belongs to all groups. */
int os_futex_wait_group(_Atomic uint32_t *word, uint32_t seen, uint32_t group, uint64_t timeout_ns);
int os_futex_wake_group(_Atomic uint32_t *word, uint32_t group, int count);

/* ---- threads ------------------------------------------------------------------------------ */

/* Private locks and threads of one process (never in shared memory). A mutex never fails. */
struct os_plain_mutex {
    pthread_mutex_t m;
};
void os_plain_init(struct os_plain_mutex *m);
void os_plain_destroy(struct os_plain_mutex *m);
void os_plain_lock(struct os_plain_mutex *m);
void os_plain_unlock(struct os_plain_mutex *m);
/* Have this lock, which is never destroyed, free in the child of every fork: fork then waits for
 * its holder. For short leaf locks, from a constructor. */
void os_plain_guard_fork(struct os_plain_mutex *m);
/* A condition that is only ever waited for with a limit. */
struct os_cond {
    pthread_cond_t c;
};
void os_cond_init(struct os_cond *c);
void os_cond_destroy(struct os_cond *c);
int os_cond_wait(struct os_cond *c, struct os_plain_mutex *m, uint64_t timeout_ns);
void os_cond_wake_all(struct os_cond *c);

struct os_thread {
    pthread_t t;
    void *(*fn)(void *);
    void *arg;
    char name[16]; /* what the kernel keeps, with a 0 */
};
/* Signals but those of faults are blocked in the new thread; its name is for tools that show
 * threads, which cut it. t stays where it is until the join. */
int os_thread_start(struct os_thread *t, const char *name, void *(*fn)(void *), void *arg);
void os_thread_join(struct os_thread *t);

/* ---- clock, process ----------------------------------------------------------------------- */

uint64_t os_now_ns(void);      /* CLOCK_BOOTTIME: leases, deadlines, ages */
int64_t os_realtime_us(void);  /* wall clock, for humans only */
void os_sleep_ns(uint64_t ns); /* pacing only; waiting for an event uses a futex or cond */
int os_random(void *buf, size_t size);
int os_boot_id(uint8_t id[16]);
int os_pid_namespace(uint64_t *inode_out);
pid_t os_pid(void);  /* cached, right after fork */
uid_t os_user(void); /* the effective one */
/* The name that the program was started by, without its folder; bytes that are not printable ASCII
 * as '?'. Cut to size. */
void os_program(char *name, size_t size);
unsigned os_cpu_count(void);
uint64_t os_file_size_limit(void); /* of this process; UINT64_MAX: none */

#endif
