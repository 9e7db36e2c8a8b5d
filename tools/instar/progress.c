/* SPDX-License-Identifier: Apache-2.0 */
/* One line on a terminal that is drawn over again: for people, so never in a pipe or with --json.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 2000 /* what ends sooner needs no progress line */
#define TICK_MS 200
#define BAR_CELLS 20

uint64_t cli_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_shown(const struct cli *cli)
{
    return !cli->json && isatty(STDERR_FILENO) == 1;
}

/* A line that is wider than the terminal would not be drawn over but left behind. */
static size_t line_width(void)
{
    struct winsize window = {0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1
               ? (size_t)window.ws_col - 1
               : 79;
}

void cli_draw_line(const struct cli *cli, const char *text)
{
    size_t width;

    if (!is_shown(cli)) {
        return;
    }
    width = strnlen(text, line_width());
    while (width > 0 && ((unsigned char)text[width] & 0xc0) == 0x80) {
        width--; /* not inside a character */
    }
    fprintf(stderr, "\r\x1b[K");
    out_printable(stderr, text, width);
    (void)fflush(stderr);
}

void cli_clear_line(const struct cli *cli)
{
    if (is_shown(cli)) {
        fprintf(stderr, "\r\x1b[K");
        (void)fflush(stderr);
    }
}

void cli_progress_begin(struct cli_progress *p, const struct cli *cli, uint64_t total)
{
    *p = (struct cli_progress){.cli = cli, .total = total, .began_ms = cli_now_ms()};
}

/* How much, and how fast. */
static void say_amount(const struct cli_progress *p, uint64_t amount, uint64_t took, char *out,
                       size_t size)
{
    if (p->bytes) {
        (void)snprintf(out, size, "%" PRIu64 " MiB, %" PRIu64 " MiB/s", amount >> 20,
                       (amount * 1000 / took) >> 20);
    } else {
        (void)snprintf(out, size, "%" PRIu64 " rows, %" PRIu64 "/s", amount, amount * 1000 / took);
    }
}

void cli_progress_to(struct cli_progress *p, uint64_t done, uint64_t rows)
{
    uint64_t now = cli_now_ms(), took = now - p->began_ms, percent, filled;
    char text[256], amount[96];
    int at;

    if (took < QUIET_MS || now - p->drawn_ms < TICK_MS) {
        return;
    }
    p->drawn_ms = now;
    p->drawn = true;
    say_amount(p, rows, took, amount, sizeof(amount));
    if (p->total == 0) {
        (void)snprintf(text, sizeof(text), "%s: %s", p->cli->command->name, amount);
        cli_draw_line(p->cli, text);
        return;
    }
    done = done < p->total ? done : p->total; /* totals are estimates */
    percent = (uint64_t)((double)done * 100 / (double)p->total);
    filled = percent * BAR_CELLS / 100;
    at = snprintf(text, sizeof(text), "%s: [", p->cli->command->name);
    for (uint64_t i = 0; i < BAR_CELLS; i++) {
        text[at++] = i < filled ? '#' : '.';
    }
    (void)snprintf(text + at, sizeof(text) - (size_t)at, "] %" PRIu64 " %%, %s, ETA %.0f s",
                   percent, amount,
                   done > 0 ? (double)took / 1000 * (double)(p->total - done) / (double)done : 0.0);
    cli_draw_line(p->cli, text);
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->drawn) {
        cli_clear_line(p->cli);
    }
}
