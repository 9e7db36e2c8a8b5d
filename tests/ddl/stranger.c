/* SPDX-License-Identifier: Apache-2.0 */
/* A process that writes, and is killed or stopped. */
#include "ddl/stranger.h"

#include <signal.h>
#include <unistd.h>

#define OWN_ROW 13 /* of the keys of a point, which the others leave alone */
#define TRIES 100

/* What the guest is told, and what it says: codes, as they are but for their sign. */
enum { IN_COMMIT = 1, COMMIT };

static void open_and_write(struct test_child *self, void *arg)
{
    struct scene own = *(const struct scene *)arg;
    const struct world_schema *schema;
    instar_options o = dbs_options();
    struct scene_actor x;
    int rc = INSTAR_OK;

    own.side = (size_t)test_receive(self);
    const struct scene_write write = {SCENE_INSERT, (int64_t)test_receive(self), 0, 0};
    o.lease_ms = (uint32_t)test_receive(self);
    o.flags |= INSTAR_OPEN_NO_RUNNER;
    ok(instar_open(dbs_path(), &o, &own.db));
    scene_actor_begin(&own, &x, own.side);
    schema = &own.world->schema[own.side];
    for (int id = 1; rc == INSTAR_OK && id <= (int)schema->table_count; id++) {
        rc = world_table(schema, id) != NULL ? scene_write_row(&own, &x, id, &write) : INSTAR_OK;
    }
    test_send(self, (uint64_t)-rc);
    bool dies = test_receive(self) == IN_COMMIT;
    if (dies) {
        test_kill_at_point("commit.nodes_linked", 1);
    }
    if (rc == INSTAR_OK) {
        rc = instar_commit(x.txn);
    } else {
        instar_abort(x.txn);
    }
    if (dies) { /* it was refused before that */
        expect(rc == own.operation->error);
        kill(getpid(), SIGKILL);
    }
    test_send(self, (uint64_t)-rc);
    scene_actor_close(&x);
    ok(instar_close(own.db));
    test_until_told(self);
}

static int answer(struct scene *s)
{
    return -(int)test_receive(&s->steps.guest);
}

void stranger_begin(struct scene *s, struct stranger *x, uint32_t lease_ms)
{
    *x = (struct stranger){.side = s->side, .row = s->base + OWN_ROW};
    steps_guest_do(&s->steps, open_and_write, s);
    test_send(&s->steps.guest, x->side);
    test_send(&s->steps.guest, (uint64_t)x->row);
    test_send(&s->steps.guest, lease_ms);
    int rc = answer(s);
    for (int id = 1; rc == INSTAR_OK && id <= WORLD_TABLES; id++) {
        x->wrote = x->wrote || world_table(&s->world->schema[x->side], id) != NULL;
    }
    if (rc != INSTAR_OK && rc != s->operation->error) {
        test_fail(__FILE__, __LINE__, "%s, %s: %s", s->operation->name, s->steps.point,
                  instar_error_name(rc));
    }
}

void stranger_die(struct scene *s, const struct stranger *x, bool in_commit)
{
    if (in_commit && x->wrote) {
        test_send(&s->steps.guest, IN_COMMIT);
        expect(test_wait(&s->steps.guest) == -SIGKILL);
    } else {
        steps_kill_guest(&s->steps);
    }
}

/* Can anybody commit? */
static bool is_in_the_way(struct scene *s)
{
    struct scene_actor x;
    int rc = INSTAR_OK;

    scene_actor_begin(s, &x, s->side);
    const struct scene_write write = {SCENE_INSERT, s->base + OWN_ROW + 1, 0, 0};
    for (int id = 1; rc == INSTAR_OK && id <= WORLD_TABLES; id++) {
        rc = x.all[id] != NULL ? scene_write_row(s, &x, id, &write) : INSTAR_OK;
    }
    rc = rc == INSTAR_OK ? instar_commit(x.txn) : (instar_abort(x.txn), rc);
    for (int id = 1; rc == INSTAR_OK && id <= WORLD_TABLES; id++) {
        if (x.all[id] != NULL) {
            scene_tell(s, x.side, id, &write, 1);
        }
    }
    scene_actor_close(&x);
    return rc == INSTAR_EBUSY;
}

void stranger_stand(struct scene *s)
{
    for (int i = 0; i < TRIES; i++) {
        test_kill(&s->steps.guest, SIGSTOP);
        if (!is_in_the_way(s)) {
            return;
        }
        test_kill(&s->steps.guest, SIGCONT);
    }
    test_fail(__FILE__, __LINE__, "it holds a lock whenever it is stopped");
}

void stranger_go_on(struct scene *s, const struct stranger *x)
{
    test_kill(&s->steps.guest, SIGCONT);
    test_send(&s->steps.guest, COMMIT);
    int rc = answer(s);
    if (!x->wrote) {
        return;
    }
    if (rc != INSTAR_OK && rc != s->operation->error &&
        instar_error_class(rc) != INSTAR_CLASS_RETRY) {
        test_fail(__FILE__, __LINE__, "%s: who stood still gets %s", s->operation->name,
                  instar_error_name(rc));
    }
    for (int id = 1; rc == INSTAR_OK && id <= WORLD_TABLES; id++) {
        if (world_table(&s->world->schema[x->side], id) != NULL) {
            world_insert(s->world, x->side, id, x->row, 0, false);
        }
    }
    if (x->side > s->side) {
        world_fall_back(s->world);
    }
}
