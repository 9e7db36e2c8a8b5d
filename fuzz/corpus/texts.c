/* SPDX-License-Identifier: Apache-2.0 */
/* For the targets csv and cli. */
#include "make.h"

#include <stdio.h>

static const char *const csv[] = {
    "a,b,c\n1,2,3\n",
    "\"quoted, \"\"twice\"\"\",\"two\nlines\"\r\nnext,line\r\n",
    "\xef\xbb\xbf"
    "with,a mark\n",
    "ends without,a line end",
    "\"is not,closed\nat all",
    "a\"quote,inside\nand one\rbehind\n,,\n\n\"\",\n",
    "\"closed\"text\nfine,line\n",
};
static const char *const cli[] = {
    "scan\nstore\nt\n--from\n5\n--limit=10K\n--columns=a,b",
    "create-table\nstore\nt\na:int8\nb:numeric(10,2)\nc:varchar(20)\n--key\na:desc",
    "create-index\nstore\ni\nt\na:desc:nulls-first\n(lower(c))\n--unique\n--sort-memory=1G",
    "put\nstore\nt\na=1\nb=2026-01-31 12:00:00+01\nc=\\x00ff\n"
    "d=00000000-0000-0000-0000-000000000001",
    "check\nstore\n--untrusted\n--time-limit\n60\n--json",
    "alter-table\nstore\nt\n--add\nx:date\n--drop\ny\n--help",
    "sql\nstore\n-f\nfile\n--",
    "wait\nstore\n18446744073709551615\n--timeout=99999999999999999999",
    "get\nstore\nt\n--\n-5\n1e37\nNaN\n-0.0",
    "chek\nstore",
    "scan\n\nt\n--lim=5\n--no-such=1\n-x",
};

void make_texts(void)
{
    char name[32];
    for (size_t i = 0; i < BASE_ARRAY_LEN(csv); i++) {
        snprintf(name, sizeof(name), "text-%zu", i);
        write_text("csv", name, csv[i]);
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(cli); i++) {
        snprintf(name, sizeof(name), "call-%zu", i);
        write_text("cli", name, cli[i]);
    }
}
