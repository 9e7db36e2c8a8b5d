/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is searched of the second model. As in cases.c, a control is a case with one rule taken out,
 * in bounds that the case covers.
 *
 * Bounds: slots of the log, contents that a commit may have, power cuts, kills, I/O errors.
 */
#include "log.h"

#include <assert.h>
#include <string.h>

const struct log_case log_cases[] = {
    {.name = "log-power-cuts",
     .text = "commits and flushes over segments, power cuts also during recovery",
     .config = {.bounds = {4, 2, 2, 0, 0}, .without = LOG_ALL_RULES},
     .full = {6, 2, 3, 0, 0},
     .milestones = RECOVERED_AFTER_CUT | CUT_IN_RECOVERY},
    {.name = "log-kills",
     .text = "processes are killed at any instruction, then the power goes",
     .config = {.bounds = {3, 1, 2, 2, 0}, .without = LOG_ALL_RULES},
     .full = {4, 2, 2, 3, 0},
     .milestones = RECOVERED_AFTER_KILL | VOID_WRITTEN},
    {.name = "log-error",
     .text = "a page cannot be written, and a process is killed that knew",
     .config = {.bounds = {2, 2, 2, 2, 1}, .without = LOG_ALL_RULES},
     .full = {4, 1, 2, 3, 1},
     .milestones = STORE_STOPPED | WRITTEN_BACK},
    {.name = "log-applier",
     .text = "an applier folds and retires beside it",
     .config = {.bounds = {4, 1, 1, 1, 0}, .without = LOG_ALL_RULES, .applier = true},
     .full = {6, 1, 2, 2, 0},
     .milestones = SEGMENT_RETIRED},
    {.name = "log-all",
     .text = "all of it: an applier, an I/O error, kills and power cuts",
     .config = {.bounds = {3, 1, 1, 1, 1}, .without = LOG_ALL_RULES, .applier = true},
     .full = {4, 1, 2, 2, 1},
     .milestones = STORE_STOPPED | SEGMENT_RETIRED | VOID_WRITTEN},
    {.name = "log-opened-though-stopped",
     .text = "a stopped store is opened again in its boot: the log alone bears that",
     .config = {.bounds = {2, 1, 1, 2, 1}, .without = LOG_STAYS_STOPPED},
     .full = {3, 1, 2, 2, 1},
     .milestones = STORE_STOPPED | RECOVERED_AFTER_KILL},
};
const size_t log_cases_count = sizeof(log_cases) / sizeof(log_cases[0]);

#define FINDS(property) (1u << (property))
#define CONTROL(rule_, name_, text_, base_, finds_, ...)                                       \
    {                                                                                          \
        .name = (name_), .text = (text_), .base = (base_), .rule = (rule_), .finds = (finds_), \
        .bounds = {                                                                            \
            __VA_ARGS__                                                                        \
        }                                                                                      \
    }

const struct log_control log_controls[] = {
    CONTROL(LOG_CHAIN, "no-chain", "a record is taken whatever stands before it", "log-kills",
            FINDS(LOG_DEAD_SHOWN), 2, 1, 1, 1, 0),
    CONTROL(LOG_CHAIN_KEPT, "chain-from-the-page",
            "a header takes the checksum of the one before from its page", "log-error",
            FINDS(LOG_DEAD_SHOWN), 2, 1, 1, 1, 1),
    CONTROL(LOG_STOPS, "nobody-told", "who is told of a failed sync tells nobody", "log-error",
            FINDS(LOG_PROMISE_LOST), 2, 1, 1, 1, 1),
    CONTROL(LOG_VOID_PUBLISHED, "void-though-published",
            "the successor of a dead writer does not compare its mark with tail", "log-kills",
            FINDS(LOG_VOIDS_PUBLISHED), 3, 1, 1, 1, 0),
    CONTROL(LOG_TAIL_FIRST, "tail-after-sync", "a flush raises durable to the tail after its sync",
            "log-power-cuts", FINDS(LOG_PROMISE_LOST), 3, 1, 1, 0, 0),
    CONTROL(LOG_EACH_SEGMENT, "one-segment-synced", "a flush syncs the last segment alone",
            "log-power-cuts", FINDS(LOG_PROMISE_LOST), 3, 1, 1, 0, 0),
    CONTROL(LOG_TAKEOVER, "no-write-back", "a dead flusher's successor only syncs", "log-error",
            FINDS(LOG_PROMISE_LOST), 2, 1, 1, 1, 1),
    CONTROL(LOG_TAIL0, "no-tail0", "only the first flush of the successor writes back", "log-error",
            FINDS(LOG_PROMISE_LOST), 2, 1, 1, 1, 1),
    CONTROL(LOG_VERIFIED, "not-verified", "what is written back is not verified", "log-error",
            FINDS(LOG_PROMISE_LOST), 2, 1, 1, 1, 1),
    CONTROL(LOG_PRIVATE_COPY, "through-the-map",
            "what is verified and what is written back are read one after the other", "log-error",
            FINDS(LOG_PROMISE_LOST), 2, 1, 1, 1, 1),
    CONTROL(LOG_NO_RETRY, "sync-retried", "a failed flush is tried again", "log-error",
            FINDS(LOG_PROMISE_LOST), 2, 1, 1, 0, 1),
    CONTROL(LOG_PREPARED_LATE, "prepared-early",
            "a segment is written to before its name is on disk", "log-power-cuts",
            FINDS(LOG_PROMISE_LOST), 3, 1, 1, 0, 0),
    CONTROL(LOG_FOLD_DURABLE, "folds-beyond-durable", "the applier folds what is not durable",
            "log-applier", FINDS(LOG_TREES_AHEAD), 3, 1, 1, 0, 0),
    CONTROL(LOG_BOTH_METAS, "newer-meta-alone",
            "a segment is retired when the newer meta is beyond it", "log-applier",
            FINDS(LOG_PROMISE_LOST) | FINDS(LOG_TREES_AHEAD), 3, 1, 1, 1, 0),
    CONTROL(LOG_RECOVERY_WRITES_BACK, "recovery-trusts-the-cache",
            "recovery writes back nothing of what it shows", "log-error", FINDS(LOG_PROMISE_LOST),
            2, 1, 1, 1, 1),
    CONTROL(LOG_RECOVERY_ZEROES, "rest-not-zeroed",
            "recovery leaves what is behind the end of the log", "log-power-cuts",
            FINDS(LOG_DEAD_SHOWN), 3, 1, 2, 0, 0),
    CONTROL(LOG_RECOVERY_SYNCS, "recovery-does-not-sync",
            "recovery shows the log before it syncs it", "log-power-cuts",
            FINDS(LOG_PROMISE_LOST) | FINDS(LOG_DEAD_SHOWN), 3, 1, 2, 0, 0),
    CONTROL(LOG_RECOVERY_DELETES, "later-segments-stay", "recovery leaves later segments",
            "log-power-cuts", FINDS(LOG_DEAD_SHOWN), 3, 1, 2, 0, 0),
    CONTROL(LOG_RECOVERY_SYNCS_DIR, "directory-not-synced",
            "recovery does not sync the directory from which it deleted", "log-power-cuts",
            FINDS(LOG_DEAD_SHOWN), 3, 1, 2, 0, 0),
};
const size_t log_controls_count = sizeof(log_controls) / sizeof(log_controls[0]);

static bool covers(const struct log_bounds *wide, const struct log_bounds *narrow)
{
    return wide->slots >= narrow->slots && wide->contents >= narrow->contents &&
           wide->cuts >= narrow->cuts && wide->kills >= narrow->kills &&
           wide->errors >= narrow->errors;
}

struct log_config log_control_config(const struct log_control *c)
{
    for (size_t i = 0; i < log_cases_count; i++) {
        struct log_config made = log_cases[i].config;
        if (strcmp(log_cases[i].name, c->base) != 0)
            continue;
        assert(covers(&made.bounds, &c->bounds));
        made.without = c->rule;
        made.bounds = c->bounds;
        return made;
    }
    assert(false);
    return (struct log_config){0};
}
