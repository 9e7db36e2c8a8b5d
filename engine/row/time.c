/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates and timestamps as text: ISO 8601 as PostgreSQL writes it, "2026-01-31" and
 * "2026-01-31 12:00:00.5+00", with " BC" behind years before 1. Years are at least four digits.
 * A timestamp without a zone is taken as UTC, and one without a time of day as midnight.
 * The calendar is the proleptic Gregorian one. No clock and no time zone database is asked, so what
 * a text means never changes.
 */
#include "row/row_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* Days are counted in eras of 400 years, which all have the same length; within one the year
 * begins in March, so that the leap day is the last of it. */
#define ERA_DAYS 146097
#define YEAR_DAYS 365
#define ERA_TO_EPOCH 719468 /* 0000-03-01 to 1970-01-01 */

int64_t row_days_from_civil(int64_t year, int month, int day)
{
    if (month <= 2) {
        year--;
    }
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * YEAR_DAYS + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - ERA_TO_EPOCH;
}

struct row_civil row_civil_from_days(int64_t days)
{
    int64_t rest = days % ERA_DAYS + ERA_TO_EPOCH; /* no overflow near the ends of int64 */
    int64_t era = days / ERA_DAYS;
    era += (rest >= 0 ? rest : rest - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = ((rest % ERA_DAYS) + ERA_DAYS) % ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / YEAR_DAYS;
    int64_t day_of_year =
        day_of_era - (YEAR_DAYS * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (int)((5 * day_of_year + 2) / 153); /* 0 is March */
    struct row_civil civil = {
        .year = year_of_era + era * 400 + (month >= 10 ? 1 : 0),
        .month = month < 10 ? month + 3 : month - 9,
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
    };
    return civil;
}

/* ---- reading ------------------------------------------------------------------------------ */

struct text {
    const char *at;
    const char *end;
};

static bool take(struct text *t, char c)
{
    if (t->at < t->end && *t->at == c) {
        t->at++;
        return true;
    }
    return false;
}

static bool is_digit(const struct text *t)
{
    return t->at < t->end && *t->at >= '0' && *t->at <= '9';
}

/* Between least and most digits. */
static bool take_number(struct text *t, int least, int most, int64_t *out)
{
    int digits = 0;
    *out = 0;
    while (digits < most && is_digit(t)) {
        *out = *out * 10 + (*t->at++ - '0');
        digits++;
    }
    return digits >= least;
}

static bool take_two(struct text *t, int64_t *out)
{
    return take_number(t, 2, 2, out);
}

struct parsed_date {
    int64_t year, month, day;
};

static bool take_date(struct text *t, struct parsed_date *d)
{
    return take_number(t, 4, 9, &d->year) && take(t, '-') && take_two(t, &d->month) &&
           take(t, '-') && take_two(t, &d->day);
}

/* The end of the text, perhaps after " BC". */
static bool take_era(struct text *t, struct parsed_date *d, bool *year_ok)
{
    *year_ok = d->year != 0; /* there was none */
    if (t->end - t->at == 3 && memcmp(t->at, " BC", 3) == 0) {
        d->year = 1 - d->year;
        t->at = t->end;
    }
    return t->at == t->end;
}

static bool days_of(const struct parsed_date *d, int64_t *days_out)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (d->month < 1 || d->month > 12) {
        return false;
    }
    bool leap = d->year % 4 == 0 && (d->year % 100 != 0 || d->year % 400 == 0);
    int length = lengths[d->month - 1] + (leap && d->month == 2 ? 1 : 0);
    if (d->day < 1 || d->day > length) {
        return false;
    }
    *days_out = row_days_from_civil(d->year, (int)d->month, (int)d->day);
    return true;
}

int row_date_parse(const char *text, size_t size, int64_t *days_out, struct base_err *err)
{
    struct text t = {text, text + size};
    struct parsed_date d;
    bool year_ok = false;
    if (!take_date(&t, &d) || !take_era(&t, &d, &year_ok)) {
        return base_err_set(err, INSTAR_ETYPE, "not a date such as 2026-01-31");
    }
    if (!year_ok || !days_of(&d, days_out)) {
        return base_err_set(err, INSTAR_ERANGE, "no such day in the calendar");
    }
    if (!row_integer_in_range(INSTAR_DATE, *days_out)) {
        return row_integer_range_error(INSTAR_DATE, *days_out, err);
    }
    return 0;
}

struct parsed_clock {
    int64_t hour, minute, second, micros;
    int64_t zone_s; /* east of Greenwich */
    bool in_range;
};

/* Up to six digits of a second. More would be lost, and that is not done unasked. */
static bool take_fraction(struct text *t, int64_t *micros_out)
{
    const char *begin = t->at;
    if (!take_number(t, 1, 6, micros_out) || is_digit(t)) {
        return false;
    }
    for (int64_t digits = t->at - begin; digits < 6; digits++) {
        *micros_out *= 10;
    }
    return true;
}

/* Z, +hh, +hh:mm, +hhmm, +hh:mm:ss, or nothing. */
static bool take_zone(struct text *t, struct parsed_clock *c)
{
    int64_t hours;
    int64_t minutes = 0;
    int64_t seconds = 0;
    if (take(t, 'Z') || take(t, 'z')) {
        return true;
    }
    bool west = t->at < t->end && *t->at == '-';
    if (!take(t, '+') && !take(t, '-')) {
        return true;
    }
    if (!take_two(t, &hours)) {
        return false;
    }
    if (take(t, ':')) {
        if (!take_two(t, &minutes) || (take(t, ':') && !take_two(t, &seconds))) {
            return false;
        }
    } else if (is_digit(t) && !take_two(t, &minutes)) {
        return false;
    }
    c->in_range = c->in_range && hours <= 15 && minutes <= 59 && seconds <= 59;
    c->zone_s = (hours * 60 + minutes) * 60 + seconds;
    if (west) {
        c->zone_s = -c->zone_s;
    }
    return true;
}

/* hh:mm, then perhaps :ss, then perhaps a fraction. */
static bool take_time(struct text *t, struct parsed_clock *c)
{
    if (!take_two(t, &c->hour) || !take(t, ':') || !take_two(t, &c->minute)) {
        return false;
    }
    if (take(t, ':')) {
        if (!take_two(t, &c->second) || (take(t, '.') && !take_fraction(t, &c->micros))) {
            return false;
        }
    }
    c->in_range = c->hour <= 23 && c->minute <= 59 && c->second <= 59;
    return true;
}

static bool take_clock(struct text *t, struct parsed_clock *c)
{
    return take_time(t, c) && take_zone(t, c);
}

/* A time of day has no zone; 24:00:00 is its end. */
int row_clock_parse(const char *text, size_t size, int64_t *us_out, struct base_err *err)
{
    struct text t = {text, text + size};
    struct parsed_clock c = {.in_range = true};
    if (!take_time(&t, &c) || t.at != t.end) {
        return base_err_set(err, INSTAR_ETYPE,
                            "not a time such as 12:00:00.5 (no time zone; at most six digits of a "
                            "second)");
    }
    *us_out = ((c.hour * 60 + c.minute) * 60 + c.second) * 1000000 + c.micros;
    if (!c.in_range && *us_out != ROW_DAY_US) {
        return base_err_set(err, INSTAR_ERANGE, "no such time");
    }
    return 0;
}

int row_time_parse(const char *text, size_t size, int64_t *us_out, struct base_err *err)
{
    struct text t = {text, text + size};
    struct parsed_date d;
    struct parsed_clock c = {.in_range = true};
    bool year_ok = false;
    bool ok = take_date(&t, &d);
    if (ok && t.end - t.at > 1 && (*t.at == 'T' || (*t.at == ' ' && t.at[1] != 'B'))) {
        t.at++;
        ok = take_clock(&t, &c);
    }
    if (!ok || !take_era(&t, &d, &year_ok)) {
        return base_err_set(err, INSTAR_ETYPE,
                            "not a timestamp such as 2026-01-31 12:00:00.5+00 (at most six digits "
                            "of a second)");
    }
    int64_t days;
    if (!year_ok || !c.in_range || !days_of(&d, &days)) {
        return base_err_set(err, INSTAR_ERANGE, "no such day or time");
    }
    int64_t seconds = (c.hour * 60 + c.minute) * 60 + c.second - c.zone_s;
    int64_t us;
    /* One day is borrowed, so that the largest time does not overflow on the way to it. */
    if (__builtin_mul_overflow(days - 1, ROW_DAY_US, &us) ||
        __builtin_add_overflow(us, ROW_DAY_US + seconds * 1000000 + c.micros, &us) ||
        !row_integer_in_range(INSTAR_TIMESTAMPTZ, us)) {
        return row_integer_range_error(INSTAR_TIMESTAMPTZ, 0, err);
    }
    *us_out = us;
    return 0;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* "2026-01-31"; the era goes behind all else. */
static int put_date(char *text, struct row_civil civil)
{
    int64_t year = civil.year > 0 ? civil.year : 1 - civil.year;
    return snprintf(text, ROW_TIME_TEXT_MAX, "%04" PRId64 "-%02d-%02d", year, civil.month,
                    civil.day);
}

static int put_era(char *text, int length, struct row_civil civil)
{
    if (civil.year > 0) {
        return length;
    }
    memcpy(text + length, " BC", 4);
    return length + 3;
}

int row_date_format(int64_t days, char *text)
{
    struct row_civil civil = row_civil_from_days(days);
    return put_era(text, put_date(text, civil), civil);
}

/* "12:00:00.5"; us from 0 on. */
static int put_clock(char *text, size_t size, int64_t us)
{
    int64_t micros = us % 1000000;
    int64_t rest = us / 1000000;
    int n = snprintf(text, size, "%02" PRId64 ":%02d:%02d", rest / 3600, (int)(rest / 60 % 60),
                     (int)(rest % 60));
    if (micros != 0) {
        n += snprintf(text + n, size - (size_t)n, ".%06d", (int)micros);
        while (text[n - 1] == '0') {
            n--;
        }
        text[n] = 0;
    }
    return n;
}

/* Any int64 is written, in range or not. */
int row_clock_format(int64_t us, char *text)
{
    int sign = us < 0 ? 1 : 0;
    int64_t size = us < 0 ? us == INT64_MIN ? INT64_MAX : -us : us;
    text[0] = '-';
    return sign + put_clock(text + sign, ROW_TIME_TEXT_MAX - (size_t)sign, size);
}

int row_time_format(int64_t us, char *text)
{
    int64_t days = us / ROW_DAY_US;
    int64_t rest = us % ROW_DAY_US;
    if (rest < 0) {
        rest += ROW_DAY_US;
        days--;
    }
    struct row_civil civil = row_civil_from_days(days);
    int n = put_date(text, civil);
    text[n++] = ' ';
    n += put_clock(text + n, ROW_TIME_TEXT_MAX - (size_t)n, rest);
    memcpy(text + n, "+00", 4);
    return put_era(text, n + 3, civil);
}
