/* SPDX-License-Identifier: Apache-2.0 */
/* Backup and restore: arguments are checked here, and what can be restored is put into words. */
#include "api/api_impl.h"

#include <inttypes.h>
#include <string.h>

static int check_size(uint32_t given, size_t whole, const char *what)
{
    return given == whole
               ? INSTAR_OK
               : base_err_set(api_err(), INSTAR_EINVALID,
                              "%s: struct_size is %" PRIu32 ", expected %zu", what, given, whole);
}

static int check_path(const char *path, const char *what)
{
    return path != NULL && path[0] != '\0'
               ? INSTAR_OK
               : base_err_set(api_err(), INSTAR_EMISUSE, "the path of the %s is missing", what);
}

int instar_backup(instar *db, const char *to, const instar_backup_options *options,
                  instar_backup_info *info_out)
{
    static const instar_backup_options none = {.struct_size = sizeof(none)};
    instar_backup_info info = {0};
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (info_out != NULL) {
        *info_out = info;
    }
    options = options != NULL ? options : &none;
    if (rc == INSTAR_OK) {
        rc = check_path(to, "backup");
    }
    if (rc == INSTAR_OK) {
        rc = check_size(options->struct_size, sizeof(*options), "backup options");
    }
    if (rc == INSTAR_OK) {
        rc = store_backup(db->env.store, to, options, &info, api_err());
    }
    if (rc == INSTAR_OK && info_out != NULL) {
        *info_out = info;
    }
    return rc;
}

int instar_backup_look(const char *backup, instar_backup_info *info_out)
{
    int rc = check_path(backup, "backup");

    if (rc == INSTAR_OK) {
        rc = api_need(info_out, "info_out");
    }
    if (rc == INSTAR_OK) {
        *info_out = (instar_backup_info){0};
        rc = store_backup_look(backup, info_out, api_err());
    }
    return rc;
}

void instar_restore_options_init(instar_restore_options *options)
{
    if (options != NULL) {
        *options = (instar_restore_options){
            .struct_size = sizeof(*options), .to_lsn = UINT64_MAX, .to_us = INT64_MAX};
    }
}

static void format_time(int64_t us, char out[64])
{
    instar_value value = {.type = INSTAR_TIMESTAMPTZ, .i = us};

    (void)instar_value_format(&value, out, 64);
}

/* Is there such a position or time in it? */
static int check_range(const char *backup, const instar_restore_options *o)
{
    instar_backup_info info;
    char from[64], to[64];
    int rc = store_backup_look(backup, &info, api_err());

    if (rc != INSTAR_OK) {
        return rc;
    }
    if (o->to_us != INT64_MAX && (o->to_us < info.first_us || o->to_us > info.last_us)) {
        format_time(info.first_us, from);
        format_time(info.last_us, to);
        return base_err_set(api_err(), INSTAR_EINVALID, "%s can be restored to times from %s to %s",
                            backup, from, to);
    }
    if (o->to_us == INT64_MAX && o->to_lsn != UINT64_MAX &&
        (o->to_lsn < info.first_lsn || o->to_lsn > info.last_lsn)) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "%s can be restored to positions from %" PRIu64 " to %" PRIu64, backup,
                            info.first_lsn, info.last_lsn);
    }
    return INSTAR_OK;
}

int instar_restore(const char *backup, const char *path, const instar_restore_options *options)
{
    instar_restore_options all;
    instar_options complete;
    int rc = check_path(backup, "backup");

    instar_restore_options_init(&all);
    options = options != NULL ? options : &all;
    if (rc == INSTAR_OK) {
        rc = check_path(path, "new store");
    }
    if (rc == INSTAR_OK) {
        rc = check_size(options->struct_size, sizeof(*options), "restore options");
    }
    if (rc == INSTAR_OK) {
        rc = check_range(backup, options);
    }
    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &complete);
    }
    return rc == INSTAR_OK ? store_restore(backup, path, &complete, options, api_err()) : rc;
}
