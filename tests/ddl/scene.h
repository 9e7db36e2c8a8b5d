/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scene: one operation in a new store, led point by point, with writers and readers of the version
 * that is current and of the one before it, and what a world says about all that they do.
 */
#ifndef INSTAR_TEST_SCENE_H
#define INSTAR_TEST_SCENE_H

#include "ddl/operations.h"
#include "ddl/steps.h"
#include "ddl/world.h"

/* A transaction, and what it was told to name when it began. */
struct scene_actor {
    instar_txn *txn;
    size_t side;
    instar_projection *all[WORLD_TABLES + 1]; /* by table id */
    instar_projection *brief[WORLD_TABLES + 1];
    int64_t *ids[WORLD_TABLES + 1]; /* row ids by key, of tables that go by them */
};

#define SCENE_NAMES 512
struct scene {
    const struct operation *operation;
    struct world *world;
    struct steps steps;
    instar *db;
    uint64_t change;
    uint64_t before_it;     /* the last change of the setup */
    size_t side;            /* the schema that whoever begins now sees */
    bool alike;             /* by tables and columns, it may be either */
    unsigned refused;       /* transactions, by what fails the change in the end */
    int64_t base;           /* keys from here on are free */
    struct scene_actor old; /* txn NULL: there is none */
    int64_t old_base;
    struct scene_actor reader;        /* that began together with it */
    char *old_rows[WORLD_TABLES + 1]; /* what that must see, by table id */
    char names[SCENE_NAMES];          /* of tables and indexes before it */
    char before[8192];                /* the schema as SQL */
    char sql[1024];
    char words[1024]; /* of the last refusal */
};

/* A new store with what the operation needs, nothing submitted yet. */
void scene_make(struct scene *s, const struct operation *o);
void scene_submit(struct scene *s);
/* That of another statement: the code. */
int scene_try(struct scene *s, const char *text);
/* To the next point of the change. */
enum steps_event scene_next(struct scene *s);
/* To its end: point by point, and somebody works there, or without a stop. Its verdict. */
int scene_finish(struct scene *s, bool working, instar_change_info *info);
/* Which of the two schemas is seen now; fails if it is neither. */
size_t scene_look_side(struct scene *s);
/* Rows are those of the world, and the checker finds nothing. */
void scene_check(struct scene *s);
/* Write as somebody who begins now: insert, update, move, delete. */
void scene_write(struct scene *s);
/* Begin a transaction that is to write on the version of now; let it write and commit later. */
void scene_old_begin(struct scene *s);
void scene_old_end(struct scene *s);
/* All of it: what is done at each point. While the change waits, for the transaction from before,
 * that one is left as it is; it is to be ended then. */
void scene_work(struct scene *s, enum steps_event event);
/* What a row that breaks an offence's rule gets now: 0 or its error. It does not stay. */
int scene_offend(struct scene *s, const struct world_offence *o);
/* The change has ended: with the schema after it, or with that before it, to the byte. All goes on
 * working. */
void scene_expect(struct scene *s, bool done);
void scene_close(struct scene *s);

void scene_actor_begin(struct scene *s, struct scene_actor *actor, size_t side);
/* It only reads, as things are now. */
void scene_reader_begin(struct scene *s, struct scene_actor *actor, size_t side);
void scene_actor_close(struct scene_actor *actor);
enum scene_verb {
    SCENE_INSERT,
    SCENE_INSERT_BRIEF, /* columns with a default are not named */
    SCENE_INSERT_AS_IS, /* what the world has already */
    SCENE_UPDATE,       /* it becomes row `to`, of that version */
    SCENE_DELETE
};
struct scene_write {
    enum scene_verb verb;
    int64_t a, to;
    int version;
};
/* By the version that the actor is on: the code. Nothing happens in the world. */
int scene_write_row(struct scene *s, struct scene_actor *x, int table, const struct scene_write *w);
/* The same in the world. */
void scene_tell(struct scene *s, size_t side, int table, const struct scene_write *writes,
                size_t count);
/* What it sees, a line for each row, sorted. Free it. */
char *scene_read(struct scene_actor *x, int table);

#endif
