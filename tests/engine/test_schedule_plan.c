/* The scheduler's decisions: properties that must hold for any mix of requests, and cases worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/schedule_plan.h"

static size_t plan(exaone_plan_item *items, size_t n, size_t batch, size_t sequence, size_t chunk) {
    exaone_plan_limits l = {.batch_rows = batch, .sequence_rows = sequence, .chunk = chunk};
    return exaone_plan_rows(items, n, &l);
}

static void test_rows(void **state) {
    (void)state;
    /* a long prompt beside two replies: the chunk, and every reply its row */
    exaone_plan_item one[] = {{.prompt = 5000}, {.prompt = 0}, {.prompt = 0}};
    assert_int_equal(plan(one, 3, 256, 256, 64), 66);
    assert_int_equal(one[0].rows, 64);
    assert_int_equal(one[1].rows, 1);
    /* without replies the whole batch */
    assert_int_equal(plan(one, 1, 256, 256, 64), 256);
    assert_int_equal(plan(one, 1, 512, 256, 64), 256); /* what one sequence may take */
    /* a short prompt is through at once, the long one takes the rest */
    exaone_plan_item two[] = {{.prompt = 5000}, {.prompt = 9}, {.prompt = 0}};
    assert_int_equal(plan(two, 3, 256, 256, 64), 65);
    assert_int_equal(two[0].rows, 55);
    assert_int_equal(two[1].rows, 9);
    /* guesses: all when there is room, in turn when there is not */
    exaone_plan_item three[] = {{.drafts = 3}, {.drafts = 1}, {.drafts = 3}};
    assert_int_equal(plan(three, 3, 256, 256, 64), 10);
    assert_int_equal(plan(three, 3, 6, 256, 64), 6);
    assert_int_equal(three[0].rows, 2);
    assert_int_equal(three[1].rows, 2);
    assert_int_equal(three[2].rows, 2);
    /* guesses leave half to a prompt */
    exaone_plan_item four[] = {{.drafts = 8}, {.prompt = 100}};
    assert_int_equal(plan(four, 2, 10, 256, 64), 10);
    assert_int_equal(four[0].rows, 5);
    assert_int_equal(four[1].rows, 5);
    /* a higher priority goes first, an eighth stays */
    exaone_plan_item five[] = {{.prompt = 1000}, {.prompt = 1000, .priority = 1}};
    assert_int_equal(plan(five, 2, 258, 256, 64), 258);
    assert_int_equal(five[0].rows, 33);
    assert_int_equal(five[1].rows, 225);
    five[1].prompt = 10;
    assert_int_equal(plan(five, 2, 258, 256, 64), 258);
    assert_int_equal(five[1].rows, 10);
    assert_int_equal(five[0].rows, 248);
    assert_int_equal(plan(NULL, 0, 256, 256, 64), 0);
}

static void test_rows_any(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        exaone_plan_item items[20];
        unsigned r = (unsigned)round;
        size_t n = (size_t)(rand_r(&r) % 20) + 1;
        size_t replies = 0, promised = 0, prompt_rows = 0, total = 0;
        for (size_t i = 0; i < n; i++) {
            items[i] = (exaone_plan_item){.priority = (int)(rand_r(&r) % 3) - 1, .rows = 77};
            if (rand_r(&r) % 2) {
                items[i].prompt = (size_t)(rand_r(&r) % 400) + 1;
            } else {
                items[i].drafts = (size_t)(rand_r(&r) % 9);
                replies++;
            }
        }
        size_t batch = n + (size_t)(rand_r(&r) % 300), sequence = (size_t)(rand_r(&r) % 256) + 1;
        size_t chunk = (size_t)(rand_r(&r) % 128) + 1;
        size_t sum = plan(items, n, batch, sequence, chunk);
        for (size_t i = 0; i < n; i++) {
            size_t most = items[i].prompt ? items[i].prompt : items[i].drafts + 1;
            assert_true(items[i].rows >= 1 && items[i].rows <= most && items[i].rows <= sequence);
            total += items[i].rows;
            prompt_rows += items[i].prompt ? items[i].rows : 0;
            promised += most < sequence ? most : sequence;
        }
        assert_int_equal(total, sum);
        assert_true(sum <= batch);
        /* the chunk bounds what a reply waits for, except that every prompt gets one row */
        assert_true(replies == 0 || prompt_rows <= (chunk > n - replies ? chunk : n - replies));
        assert_true(replies > 0 || sum == (promised < batch ? promised : batch)); /* nothing is left unused */
    }
}

static void test_queue(void **state) {
    (void)state;
    exaone_waiting w[3] = {{.priority = 0}, {.priority = 5}, {.priority = 5}};
    assert_int_equal(exaone_queue_next(w, 3), 1); /* the older of the two */
    assert_int_equal(w[0].overtaken, 1);
    assert_int_equal(w[2].overtaken, 0);
    w[1] = w[2];
    unsigned taken = 0; /* an endless supply of higher ones does not starve the low one */
    while (exaone_queue_next(w, 2) == 1) {
        taken++;
        assert_true(taken <= EXAONE_QUEUE_PATIENCE);
    }
    assert_int_equal(taken, EXAONE_QUEUE_PATIENCE - 1);
    exaone_waiting low[2] = {{.priority = 3}, {.priority = -1}};
    assert_int_equal(exaone_queue_next(low, 2), 0);
    /* those that are held stay, and are not overtaken */
    exaone_waiting held[] = {{.priority = 2, .held = true}, {.priority = 0}, {.priority = 1}};
    assert_int_equal(exaone_queue_next(held, 3), 2);
    assert_int_equal(held[0].overtaken, 0);
    assert_int_equal(held[1].overtaken, 1);
    held[1].held = held[2].held = true;
    assert_int_equal(exaone_queue_next(held, 3), 3);
    assert_int_equal(held[1].overtaken, 1);
    assert_int_equal(exaone_queue_next(held, 0), 0);
    assert_int_equal(low[1].overtaken, 0); /* younger: nobody overtook it */
}

static void test_chunk(void **state) {
    (void)state;
    exaone_chunk_control c = {.least = 16, .most = 256, .chunk = 64, .target = 0.2};
    exaone_chunk_adapt(&c, 0, 100);
    assert_int_equal(c.chunk, 64);
    exaone_chunk_adapt(&c, 64, 0.25); /* a fifth too long */
    assert_int_equal(c.chunk, 51);
    exaone_chunk_adapt(&c, 51, 0.19); /* near enough */
    assert_int_equal(c.chunk, 51);
    exaone_chunk_adapt(&c, 20, 0.01); /* says nothing about full ones */
    assert_int_equal(c.chunk, 51);
    exaone_chunk_adapt(&c, 51, 0.1);
    assert_int_equal(c.chunk, 64);
    exaone_chunk_adapt(&c, 64, 1000); /* one slow step does not end all */
    assert_int_equal(c.chunk, 32);
    for (int i = 0; i < 10; i++) {
        exaone_chunk_adapt(&c, c.chunk, 1000);
    }
    assert_int_equal(c.chunk, 16);
    for (int i = 0; i < 100; i++) {
        exaone_chunk_adapt(&c, c.chunk, 1e-6);
    }
    assert_int_equal(c.chunk, 256);
    /* a machine that takes 5 ms per row and 20 ms per step settles below the target and stays there */
    for (int i = 0; i < 100; i++) {
        exaone_chunk_adapt(&c, c.chunk, 0.02 + 0.005 * (double)c.chunk);
        assert_true(i < 10 || (0.02 + 0.005 * (double)c.chunk <= 0.2 && c.chunk >= 24));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_rows_any),
                                       cmocka_unit_test(test_queue), cmocka_unit_test(test_chunk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
