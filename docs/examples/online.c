/* SPDX-License-Identifier: Apache-2.0 */
/* Change the schema while a second thread writes: an index is added online. The table is the one
 * that embed.c makes. */
#include <instar.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static instar *db;
static instar_projection *people;
static atomic_bool stop;
static long long written;

static int add_one(instar_txn *txn, void *arg)
{
    instar_value row[] = {{.type = INSTAR_INT8, .i = *(long long *)arg},
                          {.type = INSTAR_TEXT, .bytes = {"Eve", 3}}};

    return instar_upsert(txn, people, row);
}

static void *writer(void *arg)
{
    int rc = INSTAR_OK;

    (void)arg;
    for (long long id = 100; rc == INSTAR_OK && !atomic_load(&stop); id++) {
        rc = instar_run(db, INSTAR_TXN_ASYNC, add_one, &id);
        written += rc == INSTAR_OK;
    }
    if (rc != INSTAR_OK)
        fprintf(stderr, "writer: %s\n", instar_error_text());
    return NULL;
}

int main(int argc, char **argv)
{
    instar_key_column by_name[] = {{.name = "name"}};
    instar_index_def index = {
        .name = "people_by_name", .table = "people", .columns = by_name, .column_count = 1};
    uint64_t change = 0;
    pthread_t thread;
    int rc = instar_open(argc > 1 ? argv[1] : "people.db", NULL, &db);

    rc = rc ? rc : instar_projection_prepare(db, "people", NULL, 0, NULL, &people);
    if (rc == INSTAR_OK && pthread_create(&thread, NULL, writer, NULL) == 0) {
        rc = instar_create_index(db, &index, NULL, &change);
        rc = rc ? rc : instar_change_wait(db, change, 60000, NULL);
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
        printf("index ready; the writer did not stop for it\n");
    }
    if (rc != INSTAR_OK)
        fprintf(stderr, "online: %s (%s)\n", instar_error_text(), instar_error_name(rc));
    instar_projection_free(people);
    return instar_close(db) == INSTAR_OK && rc == INSTAR_OK && written > 0 ? 0 : 1;
}
