/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main TOOL SCRATCH COLUMNS COLUMN        the director: goes through the demo
 * main writer STORE STAGE N COLUMNS COLUMN
 * main runner STORE STAGE
 */
#include "demo.h"

#include <stdio.h>
#include <string.h>

static int parse_data(const char *columns, const char *indexed, struct demo_data *data)
{
    char *rest = NULL;

    if (strlen(columns) >= sizeof(data->text)) {
        fprintf(stderr, "demo: too many columns\n");
        return -1;
    }
    (void)snprintf(data->text, sizeof(data->text), "%s", columns);
    data->indexed = DEMO_COLUMNS_MAX;
    for (char *name = strtok_r(data->text, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (data->count == DEMO_COLUMNS_MAX) {
            fprintf(stderr, "demo: more than %d columns\n", DEMO_COLUMNS_MAX);
            return -1;
        }
        if (strcmp(name, indexed) == 0) {
            data->indexed = data->count;
        }
        data->columns[data->count++] = name;
    }
    if (data->indexed == DEMO_COLUMNS_MAX) {
        fprintf(stderr, "demo: there is no column %s\n", indexed);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct demo_data data;

    if (argc == 4 && strcmp(argv[1], "runner") == 0) {
        return runner_main(argv[2], argv[3]);
    }
    if (argc == 7 && strcmp(argv[1], "writer") == 0) {
        return parse_data(argv[5], argv[6], &data) == 0
                   ? writer_main(argv[2], argv[3], argv[4], &data)
                   : 1;
    }
    if (argc == 5) {
        return parse_data(argv[3], argv[4], &data) == 0 ? director_main(argv[1], argv[2], &data)
                                                        : 1;
    }
    fprintf(stderr, "usage: make demo [DATA=file.csv] [COLUMN=name]\n");
    return 2;
}
