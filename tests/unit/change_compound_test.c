/* SPDX-License-Identifier: Apache-2.0 */
/* The request of a compound change as bytes. */
#include "support/alters.h"

#include "change/compound_impl.h"

static const instar_key_column parts[] = {{.name = "b", .nulls = INSTAR_NULLS_FIRST},
                                          {.name = "größe", .descending = true}};
static const char *const include[] = {"x", "y y"};

static void encode(struct base_buf *out)
{
    static struct alters a;
    const struct alter_name names[] = {{0, "t", "u"}};
    struct compound_statement statements[3] = {
        {.kind = COMPOUND_CREATE_INDEX,
         .tree = 77,
         .def = {.name = "t_b",
                 .columns = parts,
                 .column_count = 2,
                 .unique = true,
                 .predicate = "b > 1",
                 .include = include,
                 .include_count = 2,
                 .constraint = true}},
        {.kind = COMPOUND_DROP_INDEX, .tree = 78, .name = "old"},
        {.kind = COMPOUND_ALTER_TABLE}};

    alters_parse(&a, "add d int8 default 7 , rename-to u");
    statements[2].alter.steps = a.steps;
    statements[2].alter.step_count = a.count;
    must(compound_encode(statements, 3, names, 1, out, &test_err));
}

/* Everything comes back as it was. */
Test(change_compound, round_trip)
{
    struct base_buf bytes = {0};
    struct compound_request r;

    encode(&bytes);
    must(compound_decode(base_buf_slice(&bytes), &r, &test_err));
    expect_u64(r.count, 3);
    const struct compound_statement *made = compound_created(&r, "t_b");
    expect(made == &r.statements[0] && made->tree == 77 && made->def.unique);
    expect_u64(made->def.column_count, 2);
    cr_assert_str_eq(made->def.columns[1].name, "größe");
    expect(made->def.columns[1].descending && !made->def.columns[0].descending);
    expect(made->def.columns[0].nulls == INSTAR_NULLS_FIRST && made->def.columns[1].nulls == 0);
    cr_assert_str_eq(made->def.predicate, "b > 1");
    expect(made->def.constraint && made->def.include_count == 2);
    cr_assert_str_eq(made->def.include[1], "y y");
    expect(r.statements[1].tree == 78 && compound_created(&r, "old") == NULL);
    cr_assert_str_eq(r.statements[1].name, "old");
    expect_u64(r.statements[2].alter.step_count, 2);
    cr_assert_str_eq(r.statements[2].alter.steps[0].column->name, "d");
    expect_u64(r.renames.name_count, 1);
    cr_assert_str_eq(r.renames.names[0].new, "u");
    compound_free(&r);
    base_buf_free(&bytes);
}

/* Bytes that are cut short or changed are refused, or harmless. */
Test(change_compound, nonsense_is_refused_or_harmless)
{
    struct base_buf bytes = {0};
    struct compound_request r;
    struct test_random chance = test_random(1);

    encode(&bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        cr_assert_eq(compound_decode(base_slice(bytes.data, size), &r, NULL), INSTAR_ECORRUPT);
        compound_free(&r);
    }
    for (int i = 0; i < 5000; i++) {
        size_t at = test_random_below(&chance, bytes.size);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)test_random_next(&chance);
        if (compound_decode(base_buf_slice(&bytes), &r, NULL) == 0) {
            expect(r.count <= COMPOUND_STATEMENTS_MAX);
        }
        compound_free(&r);
        bytes.data[at] = before;
    }
    base_buf_free(&bytes);
}
