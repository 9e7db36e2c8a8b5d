/* SPDX-License-Identifier: Apache-2.0 */
/* put, get, delete: rows by key. */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------- */

/* numeric(p), numeric(p,s), or decimal. */
static bool read_digits(const char *text, uint32_t *digits_out)
{
    unsigned p = 0, s = 0;
    int end = 0;

    text += strncmp(text, "numeric(", 8) == 0 || strncmp(text, "decimal(", 8) == 0 ? 7 : 0;
    if ((sscanf(text, "(%3u)%n", &p, &end) == 1 && end > 0 && text[end] == '\0') ||
        (sscanf(text, "(%3u,%3u)%n", &p, &s, &end) == 2 && end > 0 && text[end] == '\0')) {
        *digits_out = INSTAR_DIGITS(p, s);
        return p >= 1 && p <= INSTAR_DIGITS_MAX && s <= p;
    }
    return false;
}

bool cli_type(const char *text, enum instar_type *type_out, uint32_t *length_max_out)
{
    unsigned length = 0;
    int end = 0;

    *length_max_out = 0;
    *type_out = instar_type_from_name(text);
    if (sscanf(text, "varchar(%8u)%n", &length, &end) == 1 && end > 0 && text[end] == '\0' &&
        length > 0) {
        *type_out = INSTAR_TEXT;
        *length_max_out = length;
    }
    if (read_digits(text, length_max_out)) {
        *type_out = INSTAR_NUMERIC;
    } else if (*type_out == INSTAR_NUMERIC) {
        *type_out = INSTAR_NULL; /* it needs its digits */
    }
    return *type_out != INSTAR_NULL;
}

int cli_value(enum instar_type type, const char *text, size_t size, instar_value *value_out,
              char **owned_out)
{
    char *owned = malloc(size + 1);
    int rc;

    *owned_out = NULL;
    if (owned == NULL) {
        return INSTAR_ENOMEM;
    }
    rc = instar_value_parse(type, text, size, owned, size + 1, value_out);
    if (rc != INSTAR_OK) {
        free(owned);
        return rc;
    }
    *owned_out = owned;
    return INSTAR_OK;
}

static struct out_cell format_cell(struct cell_text *room, const instar_value *value)
{
    size_t length;

    if (value->type == INSTAR_NULL) {
        return (struct out_cell){NULL, 0};
    }
    if (value->type == INSTAR_TEXT) {
        return (struct out_cell){value->bytes.data != NULL ? value->bytes.data : "",
                                 value->bytes.size};
    }
    length = instar_value_format(value, room->text, room->size);
    if (length >= room->size) {
        char *more = realloc(room->text, length + 1);

        if (more == NULL) {
            return (struct out_cell){NULL, 0};
        }
        room->text = more;
        room->size = length + 1;
        length = instar_value_format(value, room->text, room->size);
    }
    return (struct out_cell){room->text, length};
}

/* ---- tables ------------------------------------------------------------------------------- */

/* The key's column names, copied while the table's description lasts. */
struct key_names {
    char (*names)[INSTAR_NAME_BYTES_MAX + 1];
    size_t count;
};

static int take_key(void *arg, const instar_table_info *info)
{
    struct key_names *key = arg;

    key->names = calloc(info->key_count, sizeof(*key->names));
    if (key->names == NULL) {
        return INSTAR_ENOMEM;
    }
    key->count = info->key_count;
    for (size_t i = 0; i < info->key_count; i++) {
        (void)snprintf(key->names[i], sizeof(key->names[i]), "%s", info->key[i].name);
    }
    return INSTAR_OK;
}

static size_t find_column(const instar_projection *projection, const char *name)
{
    size_t count = instar_projection_count(projection);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(instar_projection_column(projection, i), name) == 0) {
            return i;
        }
    }
    return count;
}

int cli_table_open(struct cli *cli, const char *name, const struct cli_names *columns,
                   const char *index, struct cli_table *table_out)
{
    struct key_names key = {NULL, 0};
    size_t count = columns != NULL ? columns->count : 0;
    int rc = instar_table_list(cli->db, name, take_key, &key);

    *table_out = (struct cli_table){.name = name};
    if (rc == INSTAR_OK) {
        rc = instar_projection_prepare(cli->db, name, count > 0 ? columns->list : NULL, count,
                                       index, &table_out->projection);
    }
    if (rc == INSTAR_OK) {
        table_out->column_count = instar_projection_count(table_out->projection);
        table_out->key_count = key.count;
        table_out->key = calloc(key.count, sizeof(*table_out->key));
        table_out->missing_key[0] = '\0';
        for (size_t i = 0; table_out->key != NULL && i < key.count; i++) {
            table_out->key[i] = find_column(table_out->projection, key.names[i]);
            if (table_out->key[i] == table_out->column_count) {
                (void)snprintf(table_out->missing_key, sizeof(table_out->missing_key), "%s",
                               key.names[i]);
            }
        }
        rc = table_out->key == NULL ? INSTAR_ENOMEM : INSTAR_OK;
    }
    free(key.names);
    if (rc != INSTAR_OK) {
        cli_table_close(table_out);
        (void)cli_fail(cli, rc, name);
    }
    return rc;
}

void cli_table_close(struct cli_table *table)
{
    instar_projection_free(table->projection);
    free(table->key);
    *table = (struct cli_table){0};
}

/* ---- printing ----------------------------------------------------------------------------- */

void printer_close(struct row_printer *p)
{
    for (size_t i = 0; p->texts != NULL && i < p->count; i++) {
        free(p->texts[i].text);
    }
    free(p->texts);
    free(p->cells);
    free(p->columns);
    *p = (struct row_printer){0};
}

static enum out_kind kind_of(enum instar_type type)
{
    switch (type) {
    case INSTAR_BOOL:
        return OUT_BOOL;
    case INSTAR_INT2:
    case INSTAR_INT4:
    case INSTAR_INT8:
    case INSTAR_NUMERIC: /* all its digits; what reads them may keep fewer */
        return OUT_NUMBER;
    default:
        return OUT_TEXT; /* float8 too: NaN and infinities are no JSON numbers */
    }
}

bool printer_open(const struct cli *cli, const struct cli_table *table, struct row_printer *p)
{
    p->count = table->column_count;
    p->columns = calloc(p->count, sizeof(*p->columns));
    p->cells = calloc(p->count, sizeof(*p->cells));
    p->texts = calloc(p->count, sizeof(*p->texts));
    if (p->columns == NULL || p->cells == NULL || p->texts == NULL) {
        printer_close(p);
        return false;
    }
    for (size_t i = 0; i < p->count; i++) {
        p->columns[i].name = instar_projection_column(table->projection, i);
        p->columns[i].kind = kind_of(instar_projection_type(table->projection, i));
    }
    p->out = out_begin(cli, p->columns, p->count);
    return p->out != NULL;
}

void printer_row(struct row_printer *p, const instar_value *values)
{
    for (size_t i = 0; i < p->count; i++) {
        p->cells[i] = format_cell(&p->texts[i], &values[i]);
    }
    out_row(p->out, p->cells);
}

/* ---- keys --------------------------------------------------------------------------------- */

void parsed_free(struct parsed *parsed)
{
    for (size_t i = 0; i < parsed->count; i++) {
        free(parsed->owned[i]);
    }
}

/* Name and type of a column of the key. A row id is not among all columns. */
static const char *key_name(const struct cli_table *table, size_t i)
{
    bool named = table->key[i] < table->column_count;

    return named ? instar_projection_column(table->projection, table->key[i]) : table->missing_key;
}

static enum instar_type key_type(const struct cli_table *table, size_t i)
{
    bool named = table->key[i] < table->column_count;

    return named ? instar_projection_type(table->projection, table->key[i]) : INSTAR_INT8;
}

static int parse_key(struct cli *cli, const struct cli_table *table, struct parsed *key)
{
    int rc = INSTAR_OK;

    if ((size_t)cli->argc - 1 != table->key_count) {
        return cli_usage(cli, "the primary key of %s has %zu columns, %d values were given",
                         table->name, table->key_count, cli->argc - 1);
    }
    for (size_t i = 0; i < table->key_count; i++) {
        const char *text = cli->argv[1 + i];

        rc = cli_value(key_type(table, i), text, strlen(text), &key->values[i], &key->owned[i]);
        if (rc != INSTAR_OK) {
            return cli_fail_value(cli, rc, key_name(table, i), text);
        }
        key->count = i + 1;
    }
    return CLI_OK;
}

/* ---- get and delete ----------------------------------------------------------------------- */

/* One call inside instar_run. */
struct row_call {
    struct cli *cli;
    struct cli_table *table;
    instar_projection *shown;
    instar_value *key;
    instar_value *values;
    struct row_printer *printer;
    bool insert, update;
};

static int get_row(instar_txn *txn, void *arg)
{
    struct row_call *call = arg;
    int rc = instar_get(txn, call->shown, call->key, call->values);

    if (rc == INSTAR_OK) {
        printer_row(call->printer, call->values);
    }
    return rc;
}

static int print_row(struct cli *cli, struct cli_table *table, struct cli_table *shown,
                     struct parsed *key)
{
    struct row_printer printer = {0};
    struct row_call call = {cli,   table, shown->projection, key->values, NULL, &printer,
                            false, false};
    int rc;

    call.values = calloc(shown->column_count, sizeof(*call.values));
    if (call.values == NULL || !printer_open(cli, shown, &printer)) {
        free(call.values);
        return cli_fail(cli, INSTAR_ENOMEM, "get");
    }
    rc = instar_run(cli->db, INSTAR_TXN_READONLY, get_row, &call);
    free(call.values);
    if (rc != INSTAR_OK) {
        (void)out_end(printer.out);
        rc = cli_fail(cli, rc, "get");
    } else {
        rc = out_end(printer.out);
    }
    printer_close(&printer);
    return rc;
}

int command_get(struct cli *cli)
{
    struct cli_table table, shown;
    struct cli_names columns;
    struct parsed key = {.count = 0};
    int rc = cli_names_option(cli, "columns", &columns);

    if (rc != CLI_OK) {
        return rc;
    }
    if (cli_table_open(cli, cli->argv[0], NULL, NULL, &table) != INSTAR_OK) {
        cli_names_free(&columns);
        return CLI_FAILED;
    }
    rc = parse_key(cli, &table, &key);
    if (rc == CLI_OK && cli_table_open(cli, cli->argv[0], &columns, NULL, &shown) != INSTAR_OK) {
        rc = CLI_FAILED;
    } else if (rc == CLI_OK) {
        rc = print_row(cli, &table, &shown, &key);
        cli_table_close(&shown);
    }
    parsed_free(&key);
    cli_table_close(&table);
    cli_names_free(&columns);
    return rc;
}

static int delete_row(instar_txn *txn, void *arg)
{
    struct row_call *call = arg;

    return instar_delete(txn, call->table->projection, call->key);
}

int command_delete(struct cli *cli)
{
    struct cli_table table;
    struct parsed key = {.count = 0};
    struct row_call call = {.cli = cli, .table = &table, .key = key.values};
    int rc;

    if (cli_table_open(cli, cli->argv[0], NULL, NULL, &table) != INSTAR_OK) {
        return CLI_FAILED;
    }
    rc = parse_key(cli, &table, &key);
    if (rc == CLI_OK) {
        rc = instar_run(cli->db, 0, delete_row, &call);
        rc = rc == INSTAR_OK ? cli_written(cli, "deleted") : cli_fail(cli, rc, "delete");
    }
    parsed_free(&key);
    cli_table_close(&table);
    return rc;
}

/* ---- put ---------------------------------------------------------------------------------- */

static int put_row(instar_txn *txn, void *arg)
{
    struct row_call *call = arg;

    if (call->insert) {
        return instar_insert(txn, call->table->projection, call->values);
    }
    if (call->update) {
        return instar_update(txn, call->table->projection, call->key, call->values);
    }
    return instar_upsert(txn, call->table->projection, call->values);
}

/* The names of "a=1 b". */
static bool names_of_assignments(const struct cli *cli, struct cli_names *names)
{
    bool ok = true;

    *names = (struct cli_names){NULL, 0};
    for (int i = 1; ok && i < cli->argc; i++) {
        ok = cli_names_add(names, cli->argv[i], strcspn(cli->argv[i], "="));
    }
    return ok;
}

static int parse_assignments(struct cli *cli, const struct cli_table *table, instar_value *values,
                             char **owned)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const char *text = strchr(cli->argv[1 + i], '=');
        int rc;

        if (text == NULL) {
            continue; /* null */
        }
        rc = cli_value(instar_projection_type(table->projection, i), text + 1, strlen(text + 1),
                       &values[i], &owned[i]);
        if (rc != INSTAR_OK) {
            return cli_fail_value(cli, rc, instar_projection_column(table->projection, i),
                                  text + 1);
        }
    }
    return CLI_OK;
}

static int put_parsed(struct cli *cli, struct cli_table *table, instar_value *values)
{
    instar_value key[INSTAR_INDEX_COLUMNS_MAX];
    struct row_call call = {.cli = cli,
                            .table = table,
                            .key = key,
                            .values = values,
                            .insert = cli_switch(cli, "insert"),
                            .update = cli_switch(cli, "update")};
    bool row_id = strcmp(table->missing_key, INSTAR_ROW_ID) == 0;
    int rc;

    if (row_id && !call.update) {
        call.insert = true; /* there is nothing by which a row could be there already */
    } else if (table->missing_key[0] != '\0') {
        return cli_usage(cli, "column %s of the primary key of %s is missing", table->missing_key,
                         table->name);
    }
    for (size_t i = 0; i < table->key_count && !call.insert; i++) {
        key[i] = values[table->key[i]];
    }
    rc = instar_run(cli->db, 0, put_row, &call);
    return rc == INSTAR_OK ? cli_written(cli, "written") : cli_fail(cli, rc, "put");
}

int command_put(struct cli *cli)
{
    struct cli_table table;
    instar_value *values = NULL;
    char **owned = NULL;
    struct cli_names names;
    int rc = CLI_FAILED;

    if (cli_switch(cli, "insert") && cli_switch(cli, "update")) {
        return cli_usage(cli, "--insert and --update exclude each other");
    }
    if (!names_of_assignments(cli, &names) ||
        cli_table_open(cli, cli->argv[0], &names, NULL, &table) != INSTAR_OK) {
        cli_names_free(&names);
        return CLI_FAILED;
    }
    values = calloc(table.column_count, sizeof(*values));
    owned = calloc(table.column_count, sizeof(*owned));
    if (values != NULL && owned != NULL) {
        rc = parse_assignments(cli, &table, values, owned);
        rc = rc == CLI_OK ? put_parsed(cli, &table, values) : rc;
    }
    for (size_t i = 0; owned != NULL && i < table.column_count; i++) {
        free(owned[i]);
    }
    free(owned);
    free(values);
    cli_names_free(&names);
    cli_table_close(&table);
    return rc;
}
