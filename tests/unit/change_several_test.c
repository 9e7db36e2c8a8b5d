/* SPDX-License-Identifier: Apache-2.0 */
/* The members of a change of several tables as bytes. */
#include "support/tables.h"

#include "change/several_impl.h"

static void encode(struct base_buf *out)
{
    struct several_member list[] = {
        {.kind = SEVERAL_ALTER, .table = 5, .name = "c"},
        {.kind = SEVERAL_CREATE, .table = 300, .name = "größe", .gone = 3},
        {.kind = SEVERAL_DROP, .table = 7, .name = "d"},
        {.kind = SEVERAL_PARENT, .table = 8, .name = "p"},
    };

    expect(base_buf_add(&list[0].bytes, "what is altered", 15));
    expect(base_buf_add(&list[1].bytes, "what is made", 12));
    must(several_encode(&(struct several_request){list, BASE_ARRAY_LEN(list)}, out, &test_err));
    base_buf_free(&list[0].bytes);
    base_buf_free(&list[1].bytes);
}

/* Everything comes back as it was. */
Test(change_several, round_trip)
{
    struct base_buf bytes = {0};
    struct several_request r;

    encode(&bytes);
    must(several_decode(base_buf_slice(&bytes), &r, &test_err));
    expect_u64(r.count, 4);
    expect(r.list[0].kind == SEVERAL_ALTER && r.list[0].table == 5 && r.list[0].gone == 0);
    expect(r.list[1].kind == SEVERAL_CREATE && r.list[1].table == 300 && r.list[1].gone == 3);
    cr_assert_str_eq(r.list[1].name, "größe");
    expect(base_slice_eq(base_buf_slice(&r.list[1].bytes), base_slice("what is made", 12)));
    expect(r.list[2].kind == SEVERAL_DROP && r.list[2].bytes.size == 0);
    expect(r.list[3].kind == SEVERAL_PARENT && r.list[3].table == 8);
    several_free(&r);
    base_buf_free(&bytes);
}

/* A table is a member once: it has one next version. */
Test(change_several, member_that_is_there_twice)
{
    struct several_member list[] = {{.kind = SEVERAL_DROP, .table = 7, .name = "d"},
                                    {.kind = SEVERAL_PARENT, .table = 7, .name = "p"}};
    struct base_buf bytes = {0};
    struct several_request r;

    must(several_encode(&(struct several_request){list, BASE_ARRAY_LEN(list)}, &bytes, &test_err));
    must_fail(several_decode(base_buf_slice(&bytes), &r, &test_err), INSTAR_ECORRUPT);
    several_free(&r);
    base_buf_free(&bytes);
}

/* Bytes that are cut short or changed are refused, or harmless. */
Test(change_several, nonsense_is_refused_or_harmless)
{
    struct base_buf bytes = {0};
    struct several_request r;
    struct test_random chance = test_random(1);
    unsigned refused = 0;

    encode(&bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        cr_assert_eq(several_decode(base_slice(bytes.data, size), &r, NULL), INSTAR_ECORRUPT);
        several_free(&r);
    }
    for (int i = 0; i < 5000; i++) {
        size_t at = test_random_below(&chance, bytes.size);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)test_random_next(&chance);
        if (several_decode(base_buf_slice(&bytes), &r, NULL) == 0) {
            for (size_t k = 0; k < r.count; k++) {
                expect(r.list[k].table != 0 && r.list[k].name[0] != '\0');
            }
        } else {
            refused++;
        }
        several_free(&r);
        bytes.data[at] = before;
    }
    expect(refused > 500);
    base_buf_free(&bytes);
}
