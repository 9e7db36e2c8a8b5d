/* SPDX-License-Identifier: Apache-2.0 */
/* Options: defaults, limits, and structures of older programs. */
#include "api/api_impl.h"

#include <inttypes.h>
#include <string.h>

#define KIB ((uint64_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define WORKERS_MAX 64u
#define LATENCY_TARGET_MS_MAX 60000u
#define TIB (GIB * 1024)
#define UNDO_WINDOW_S_MAX (100ull * 365 * 86400)

#define TXN_BYTES_LEAST (4 * KIB)
#define ROW_BYTES_DEFAULT MIB

/* One option: where it lies, what it may be. */
struct option_rule {
    const char *name;
    size_t offset;
    size_t size;
    uint64_t fallback;
    uint64_t min;
    uint64_t max;
    bool power_of_two;
};
#define RULE(field, fallback, min, max)                                                          \
    {                                                                                            \
#field, offsetof(instar_options, field), sizeof(((instar_options *)0)->field), fallback, \
            min, max, false                                                                      \
    }

static const struct option_rule rules[] = {
    RULE(flags, 0, 0,
         INSTAR_OPEN_CREATE | INSTAR_OPEN_NO_RUNNER | INSTAR_OPEN_FORCE_NETWORK |
             INSTAR_OPEN_SALVAGE),
    RULE(durability, INSTAR_SYNC, INSTAR_SYNC, INSTAR_ASYNC),
    RULE(segments_pending, 4, 2, 64),
    RULE(segments_retained, 4, 1, 64),
    RULE(trees_max, 4096, 16, 65536),
    RULE(lease_slots, 4096, 64, 65536),
    RULE(lease_ms, 60000, 50, 3600000),
    RULE(lock_timeout_ms, 10000, 10, 600000),
    RULE(readers_max, 2048, 64, 65536),
    RULE(nodes_max, 256, 2, 4096),
    RULE(build_workers, 0, 0, 64),
    {"segment_bytes", offsetof(instar_options, segment_bytes), 8, 64 * MIB, 64 * KIB, GIB, true},
    RULE(map_bytes, TIB, MIB, 64 * TIB),
    RULE(txn_bytes_max, 0, 0, GIB / 4), /* 0: a quarter of a segment */
    RULE(row_bytes_max, ROW_BYTES_DEFAULT, KIB, GIB / 8),
    RULE(sort_memory_bytes, 256 * MIB, MIB, 64 * GIB),
    RULE(history_s, 14 * 86400, 1, 100ull * 365 * 86400),
    RULE(undo_window_s, 0, 0, UNDO_WINDOW_S_MAX),
};

static uint64_t field_get(const instar_options *o, const struct option_rule *rule)
{
    uint64_t wide;
    uint32_t narrow;

    if (rule->size == sizeof(wide)) {
        memcpy(&wide, (const char *)o + rule->offset, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, (const char *)o + rule->offset, sizeof(narrow));
    return narrow;
}

static void field_set(instar_options *o, const struct option_rule *rule, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;

    if (rule->size == sizeof(value)) {
        memcpy((char *)o + rule->offset, &value, sizeof(value));
    } else {
        memcpy((char *)o + rule->offset, &narrow, sizeof(narrow));
    }
}

void instar_options_init(instar_options *options)
{
    if (options == NULL) {
        return;
    }
    memset(options, 0, sizeof(*options));
    options->struct_size = (uint32_t)sizeof(*options);
    for (size_t i = 0; i < BASE_ARRAY_LEN(rules); i++) {
        field_set(options, &rules[i], rules[i].fallback);
    }
}

static int check_rule(const instar_options *o, const struct option_rule *rule)
{
    uint64_t value = field_get(o, rule);

    if (value < rule->min || value > rule->max) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "option %s is %" PRIu64 ", and must be %" PRIu64 " to %" PRIu64,
                            rule->name, value, rule->min, rule->max);
    }
    if (rule->power_of_two && (value & (value - 1)) != 0) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "option %s is %" PRIu64 ", and must be a power of two", rule->name,
                            value);
    }
    return INSTAR_OK;
}

/* The limits that depend on other options. */
static int check_sizes(instar_options *o)
{
    uint64_t quarter = o->segment_bytes / 4;
    uint64_t half;

    if (o->txn_bytes_max < TXN_BYTES_LEAST || o->txn_bytes_max > quarter) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "option txn_bytes_max is %" PRIu64 ", and must be %" PRIu64
                            " to a quarter of segment_bytes (%" PRIu64 ")",
                            o->txn_bytes_max, TXN_BYTES_LEAST, quarter);
    }
    half = o->txn_bytes_max / 2;
    /* Who asks for small transactions need not say that rows are small too. */
    if (o->row_bytes_max > half && o->row_bytes_max == ROW_BYTES_DEFAULT) {
        o->row_bytes_max = half;
    }
    if (o->row_bytes_max > half) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "option row_bytes_max is %" PRIu64
                            ", and must be at most half of txn_bytes_max (%" PRIu64 ")",
                            o->row_bytes_max, half);
    }
    return INSTAR_OK;
}

int api_options_complete(const instar_options *from, instar_options *out)
{
    int rc;

    instar_options_init(out);
    if (from == NULL) {
        out->txn_bytes_max = out->segment_bytes / 4;
        return INSTAR_OK;
    }
    if (from->struct_size < sizeof(uint32_t) * 2 || from->struct_size > sizeof(*out)) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "options: struct_size is %" PRIu32 ", this library knows up to %zu: "
                            "fill them with instar_options_init() first",
                            from->struct_size, sizeof(*out));
    }
    memcpy(out, from, from->struct_size);
    out->struct_size = (uint32_t)sizeof(*out);
    for (size_t i = 0; i < BASE_ARRAY_LEN(rules); i++) {
        rc = check_rule(out, &rules[i]);
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    if (out->txn_bytes_max == 0) {
        out->txn_bytes_max = out->segment_bytes / 4;
    }
    return check_sizes(out);
}

void instar_change_options_init(instar_change_options *options)
{
    if (options == NULL) {
        return;
    }
    memset(options, 0, sizeof(*options));
    options->struct_size = (uint32_t)sizeof(*options);
    options->fence_after_ms = CHANGE_FENCE_AFTER_MS;
    options->undo_window_s = UINT64_MAX;
}

static int bad_workers(const char *where, uint32_t workers)
{
    return base_err_set(api_err(), INSTAR_EINVALID,
                        "change %s: workers is %" PRIu32 ", and must be 0 to %u", where, workers,
                        WORKERS_MAX);
}

void instar_change_steering_init(instar_change_steering *steering)
{
    if (steering != NULL) {
        *steering = (instar_change_steering){.struct_size = (uint32_t)sizeof(*steering),
                                             .workers = UINT32_MAX,
                                             .fence_after_ms = UINT32_MAX,
                                             .rows_per_second_max = UINT64_MAX,
                                             .bytes_per_second_max = UINT64_MAX,
                                             .latency_target_ms = UINT32_MAX};
    }
}

static int check_target(const char *where, uint32_t target_ms)
{
    return target_ms <= LATENCY_TARGET_MS_MAX
               ? INSTAR_OK
               : base_err_set(api_err(), INSTAR_EINVALID,
                              "change %s: latency_target_ms is %" PRIu32 ", and must be 0 to %u",
                              where, target_ms, LATENCY_TARGET_MS_MAX);
}

static int check_policy(const char *where, uint32_t flags)
{
    const uint32_t both = INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP;

    if ((flags & both) == both) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "change %s: it can keep waiting or give up, not both", where);
    }
    return INSTAR_OK;
}

int api_change_steering_check(const instar_change_steering *steering)
{
    if (steering->struct_size != sizeof(*steering)) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "change steering: struct_size is %" PRIu32
                            ": fill it with instar_change_steering_init() first",
                            steering->struct_size);
    }
    uint32_t foreign = (steering->set_flags | steering->clear_flags) & ~CHANGE_STEERED;
    if (foreign != 0) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "change steering: flags 0x%" PRIx32 " cannot be steered", foreign);
    }
    uint32_t both = steering->set_flags & steering->clear_flags;
    if (both != 0) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "change steering: flags 0x%" PRIx32 " are both set and cleared", both);
    }
    if (steering->workers != UINT32_MAX && steering->workers > WORKERS_MAX) {
        return bad_workers("steering", steering->workers);
    }
    int rc = steering->latency_target_ms != UINT32_MAX
                 ? check_target("steering", steering->latency_target_ms)
                 : INSTAR_OK;
    return rc == INSTAR_OK ? check_policy("steering", steering->set_flags) : rc;
}

int api_change_options_complete(const instar_change_options *from, instar_change_options *out)
{
    const uint32_t known = INSTAR_CHANGE_IF_NOT_EXISTS | INSTAR_CHANGE_IF_EXISTS |
                           INSTAR_CHANGE_NULLABLE | CHANGE_STEERED;

    instar_change_options_init(out);
    if (from == NULL) {
        return INSTAR_OK;
    }
    if (from->struct_size < sizeof(uint32_t) * 2 || from->struct_size > sizeof(*out)) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "change options: struct_size is %" PRIu32
                            ": fill them with instar_change_options_init() first",
                            from->struct_size);
    }
    memcpy(out, from, from->struct_size);
    out->struct_size = (uint32_t)sizeof(*out);
    if ((out->flags & ~known) != 0) {
        return base_err_set(api_err(), INSTAR_EINVALID, "change options: unknown flags 0x%" PRIx32,
                            out->flags & ~known);
    }
    if (out->workers > WORKERS_MAX) {
        return bad_workers("options", out->workers);
    }
    if (out->sort_memory_bytes != 0 && out->sort_memory_bytes < MIB) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "change options: sort_memory_bytes is %" PRIu64
                            ", and must be 0 or at least %" PRIu64,
                            out->sort_memory_bytes, MIB);
    }
    if (out->undo_window_s != UINT64_MAX && out->undo_window_s > UNDO_WINDOW_S_MAX) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "change options: undo_window_s is %" PRIu64
                            ", and must be at most %" PRIu64,
                            out->undo_window_s, (uint64_t)UNDO_WINDOW_S_MAX);
    }
    int rc = check_target("options", out->latency_target_ms);
    return rc == INSTAR_OK ? check_policy("options", out->flags) : rc;
}
