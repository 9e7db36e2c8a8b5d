/* SPDX-License-Identifier: Apache-2.0 */

/* The command: runs cases and controls, says for each whether it is as it must be. */
#include "log.h"
#include "model.h"

#include <stdlib.h>
#include <string.h>

static unsigned passed, failed;

static const char usage[] =
    "Searches the abstract models of the schema protocol and of the log exhaustively. See\n"
    "docs/model/README.md.\n"
    "\n"
    "  instar-model --quick            all cases and negative controls, in small bounds\n"
    "  instar-model --full             the same, the cases in wide bounds (minutes, some GiB)\n"
    "  instar-model --list             names of cases and of rules\n"
    "  instar-model --case NAME        one case in its quick bounds; with --full in its wide ones\n"
    "  instar-model --without RULE     one rule taken out; prints the shortest trace to damage\n"
    "\n"
    "  --force-versions                with --case or --without: transactions may use the version\n"
    "                                  before that of their snapshot\n"
    "  --bounds R,T,P,C                with --case or --without: rows, transactions, records\n"
    "                                  after lo, commits (0: no limit)\n"
    "  --log-bounds S,C,P,K,E          the same for log-...: slots, contents of a commit, power\n"
    "                                  cuts, kills, I/O errors\n"
    "\n"
    "Exit: 0 all is as it must be, 1 something is not, 2 wrong use.\n";

/* ---- Verdicts ---------------------------------------------------------------------------------
 */

static void count(bool ok)
{
    passed += ok;
    failed += !ok;
}

static void print_cost(const struct result *r)
{
    printf(" states=%zu depth=%u memory=%zuMiB", r->states, r->depth, r->bytes >> 20);
}

/* What a case is judged by, whichever model it is of. */
struct expected {
    const char *name;
    const char *more;
    const char *const *property_text;
    unsigned milestones; /* of a case */
    unsigned finds;      /* of a control */
};

static void judge_case(const struct expected *e, const struct result *r)
{
    bool complete = (r->milestones & e->milestones) == e->milestones;
    bool ok = r->exhausted && !r->property && complete;
    printf("%s %s", ok ? "ok" : "not ok", e->name);
    print_cost(r);
    if (!r->exhausted)
        printf(" out of memory");
    else if (r->property)
        printf(" found: %s", e->property_text[r->property]);
    else if (!complete)
        printf(" reached only the milestones %x of %x", r->milestones, e->milestones);
    printf("\n");
    fflush(stdout);
    count(ok);
}

static void judge_control(const struct expected *e, const struct result *r)
{
    bool ok = r->property && (e->finds & (1u << r->property));
    printf("%s without/%s%s", ok ? "ok" : "not ok", e->name, e->more);
    print_cost(r);
    printf(" found: %s\n", e->property_text[r->property]);
    fflush(stdout);
    count(ok);
}

/* ---- Runs -------------------------------------------------------------------------------------
 */

struct options {
    const char *name;
    const char *rule;
    bool quick;
    bool full;
    bool force_versions;
    bool has_bounds;
    struct bounds bounds;
    bool has_log_bounds;
    struct log_bounds log_bounds;
};

static void run_case(const struct test_case *t, const struct options *o)
{
    struct config c = t->config;
    c.bounds = o->has_bounds ? o->bounds : o->full || !c.bounds.rows ? t->full : c.bounds;
    c.force_versions |= o->force_versions;
    struct result r = search_schema(&c, true);
    judge_case(&(struct expected){t->name, "", property_text, t->milestones, 0}, &r);
}

static void run_log_case(const struct log_case *t, const struct options *o)
{
    struct log_config c = t->config;
    c.bounds = o->has_log_bounds ? o->log_bounds : o->full ? t->full : c.bounds;
    struct result r = search_log(&c, true);
    judge_case(&(struct expected){t->name, "", log_property_text, t->milestones, 0}, &r);
}

static void run_control(const struct control *c, bool trace)
{
    struct config made = control_config(c);
    struct result r = search_schema(&made, trace);
    judge_control(
        &(struct expected){c->name, c->force_versions ? "+forced" : "", property_text, 0, c->finds},
        &r);
}

static void run_log_control(const struct log_control *c, const struct options *o, bool trace)
{
    struct log_config made = log_control_config(c);
    made.bounds = o->has_log_bounds ? o->log_bounds : made.bounds;
    struct result r = search_log(&made, trace);
    judge_control(&(struct expected){c->name, "", log_property_text, 0, c->finds}, &r);
}

static void run_all(const struct options *o)
{
    for (size_t i = 0; i < cases_count; i++)
        if (o->full || cases[i].config.bounds.rows)
            run_case(&cases[i], o);
    for (size_t i = 0; i < RULES; i++)
        run_control(&controls[i], false);
    for (size_t i = 0; i < log_cases_count; i++)
        run_log_case(&log_cases[i], o);
    for (size_t i = 0; i < log_controls_count; i++)
        run_log_control(&log_controls[i], o, false);
    printf("%u passed, %u failed\n", passed, failed);
}

/* A rule that only the hook makes necessary is safe to leave out when the hook is not asked for. */
static int run_without(const struct options *o)
{
    for (size_t i = 0; i < RULES; i++) {
        struct control c = controls[i];
        if (strcmp(c.name, o->rule) != 0)
            continue;
        c.bounds = o->has_bounds ? o->bounds : c.bounds;
        if (c.force_versions && !o->force_versions) {
            run_case(case_by_name(c.base), o);
            return failed != 0;
        }
        c.force_versions = o->force_versions;
        run_control(&c, true);
        return failed != 0;
    }
    for (size_t i = 0; i < log_controls_count; i++)
        if (strcmp(log_controls[i].name, o->rule) == 0) {
            run_log_control(&log_controls[i], o, true);
            return failed != 0;
        }
    fprintf(stderr, "instar-model: no rule '%s'; --list names them\n", o->rule);
    return 2;
}

static int run_named(const struct options *o)
{
    const struct test_case *t = case_by_name(o->name);
    for (size_t i = 0; i < log_cases_count; i++)
        if (strcmp(log_cases[i].name, o->name) == 0) {
            run_log_case(&log_cases[i], o);
            return failed != 0;
        }
    if (!t) {
        fprintf(stderr, "instar-model: no case '%s'; --list names them\n", o->name);
        return 2;
    }
    run_case(t, o);
    return failed != 0;
}

static void list(void)
{
    printf("Cases, which hold:\n");
    for (size_t i = 0; i < cases_count; i++)
        printf("  %-30s %s\n", cases[i].name, cases[i].text);
    for (size_t i = 0; i < log_cases_count; i++)
        printf("  %-30s %s\n", log_cases[i].name, log_cases[i].text);
    printf("Rules, as what happens without them, each with the case it is taken from:\n");
    for (size_t i = 0; i < RULES; i++)
        printf("  %-30s %s (%s)\n", controls[i].name, controls[i].text, controls[i].base);
    for (size_t i = 0; i < log_controls_count; i++)
        printf("  %-30s %s (%s)\n", log_controls[i].name, log_controls[i].text,
               log_controls[i].base);
}

/* ---- Options ----------------------------------------------------------------------------------
 */

static bool parse_bounds(const char *text, struct bounds *b)
{
    char end;
    if (sscanf(text, "%u,%u,%u,%u%c", &b->rows, &b->txns, &b->pending, &b->commits, &end) != 4)
        return false;
    return b->rows >= 1 && b->rows <= ROWS_MAX && b->txns >= 1 && b->txns <= TXNS_MAX &&
           b->pending >= 1 && b->pending <= PENDING_MAX && b->commits <= COMMITS_MAX;
}

static bool parse_log_bounds(const char *text, struct log_bounds *b)
{
    char end;
    if (sscanf(text, "%u,%u,%u,%u,%u%c", &b->slots, &b->contents, &b->cuts, &b->kills, &b->errors,
               &end) != 5)
        return false;
    return b->slots >= 1 && b->slots <= SLOTS_MAX && b->contents >= 1 && b->contents <= 2 &&
           b->cuts <= 3 && b->kills <= 3 && b->errors <= 1;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(arg, "--quick") == 0) {
            o->quick = true;
        } else if (strcmp(arg, "--full") == 0) {
            o->full = true;
        } else if (strcmp(arg, "--force-versions") == 0) {
            o->force_versions = true;
        } else if (strcmp(arg, "--case") == 0 && value) {
            o->name = argv[++i];
        } else if (strcmp(arg, "--without") == 0 && value) {
            o->rule = argv[++i];
        } else if (strcmp(arg, "--log-bounds") == 0 && value) {
            o->has_log_bounds = true;
            if (!parse_log_bounds(argv[++i], &o->log_bounds))
                return false;
        } else if (strcmp(arg, "--bounds") == 0 && value) {
            o->has_bounds = true;
            if (!parse_bounds(argv[++i], &o->bounds))
                return false;
        } else {
            return false;
        }
    }
    bool one = o->name || o->rule;
    return (one || o->quick || o->full) && !(one && o->quick) && !(o->name && o->rule) &&
           (one || !(o->force_versions || o->has_bounds || o->has_log_bounds));
}

int main(int argc, char **argv)
{
    struct options o = {0};
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return 2;
    }
    if (o.rule)
        return run_without(&o);
    if (o.name)
        return run_named(&o);
    run_all(&o);
    return failed != 0;
}
