/* SPDX-License-Identifier: Apache-2.0 */
/* The checker's part for a store that nobody has open, and what mends one. */
#include "api/api_impl.h"

/* Whom to tell. */
struct listener {
    int (*fn)(void *arg, const instar_finding *finding);
    void *arg;
};

static int report_file(void *arg, enum instar_problem problem, const char *file, const char *text)
{
    const struct listener *c = arg;
    instar_finding finding = {.problem = problem, .table = "", .key = file, .text = text};

    return c->fn != NULL ? c->fn(c->arg, &finding) : INSTAR_OK;
}

int instar_check_files(const char *path, int (*fn)(void *arg, const instar_finding *finding),
                       void *arg, instar_check_summary *summary_out)
{
    struct listener c = {.fn = fn, .arg = arg};
    struct store_files files = {0};
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    if (rc == INSTAR_OK) {
        rc = store_check_files(path, &options, report_file, &c, &files, api_err());
    }
    if (summary_out != NULL) {
        *summary_out = (instar_check_summary){
            .entries = files.entries, .pages = files.pages, .findings = files.findings};
    }
    return api_judge_check(rc, files.findings);
}

int instar_check_after_io_error(const char *path)
{
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    return rc == INSTAR_OK ? store_check_after_io_error(path, &options, api_err()) : rc;
}

int instar_cut_log(const char *path, instar_log_cut *cut_out)
{
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_need(cut_out, "cut_out");
    }
    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    return rc == INSTAR_OK ? store_cut_log(path, &options, cut_out, api_err()) : rc;
}

int instar_overwrite(const char *path, uint64_t *bytes_out)
{
    uint64_t bytes = 0;
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    if (rc == INSTAR_OK) {
        rc = store_overwrite(path, &options, &bytes, api_err());
    }
    if (bytes_out != NULL) {
        *bytes_out = bytes;
    }
    return rc;
}

int instar_repair(const char *path, int (*fn)(void *arg, const char *text), void *arg)
{
    char text[512] = "";
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    if (rc == INSTAR_OK) {
        rc = store_repair(path, &options, text, sizeof(text), api_err());
    }
    return rc == INSTAR_OK && text[0] != '\0' && fn != NULL ? fn(arg, text) : rc;
}
