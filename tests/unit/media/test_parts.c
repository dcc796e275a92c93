#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "base/rng.h"
#include "jobs/library/media/part.h"
#include "jobs/library/media/tar.h"
#include "jobs/library/media/times.h"

Test(ladder, rungs_are_read_and_mistakes_refused)
{
	static const char *const bad[] = {"",	     "720",	      "720:", "720:52",	       "721:20",
					  "720:20,", "720:20;480:20", "8:20", "720:20,720:21", "-720:20",
					  "720:20 "};
	struct ladder l;
	struct error e = {0};

	cr_assert_eq(ladder_parse("720:21,480:0", &l, &e), 0);
	cr_expect_eq(l.count, 2);
	cr_expect_eq(l.items[0].height, 720);
	cr_expect_eq(l.items[1].crf, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		cr_expect_eq(ladder_parse(bad[i], &l, &e), ERR_INVALID, "%s", bad[i]);
		cr_expect_str_eq(e.where, "--ladder");
	}
}

Test(part, is_what_was_written)
{
	struct part p = {.number = 7,
			 .start = -512,
			 .end = 1ll << 40,
			 .frames = 96,
			 .time_base_num = 1001,
			 .time_base_den = 30000,
			 .seek = 12.0625},
		    got;
	struct buf text = {0};
	struct error e = {0};

	part_write(&p, &text);
	cr_assert_eq(part_parse(buf_text(&text), &got, &e), 0, "%s", e.what);
	cr_expect_eq(got.number, 7);
	cr_expect_eq(got.start, -512);
	cr_expect_eq(got.end, 1ll << 40);
	cr_expect_eq(got.frames, 96);
	cr_expect_eq(got.time_base_num, 1001);
	cr_expect_eq(got.time_base_den, 30000);
	cr_expect_float_eq(got.seek, 12.0625, 1e-9);
	cr_expect(!got.is_audio);

	buf_clear(&text);
	p.end = INT64_MAX;
	part_write(&p, &text);
	cr_assert_eq(part_parse(buf_text(&text), &got, &e), 0);
	cr_expect_eq(got.end, INT64_MAX, "to the last frame");

	cr_assert_eq(part_parse("{\"part\":\"audio\"}", &got, &e), 0);
	cr_expect(got.is_audio);
	buf_fini(&text);
}

Test(part, what_is_no_part_is_refused)
{
	static const char *const bad[] = {
	    "",
	    "7",
	    "{}",
	    "{\"part\":\"text\"}",
	    "{\"part\":\"video\"}",
	    "{\"part\":\"video\",\"number\":0,\"frames\":0,\"start\":0,\"time_base\":[1,25],\"seek\":0}",
	    ("{\"part\":\"video\",\"number\":0,\"frames\":1,\"start\":0,\"end\":0,\"time_base\":[1,25],"
	     "\"seek\":0}"),
	    "{\"part\":\"video\",\"number\":0,\"frames\":1,\"start\":0,\"time_base\":[0,25],\"seek\":0}",
	};
	struct part p;
	struct error e = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		cr_expect_eq(part_parse(bad[i], &p, &e), ERR_INVALID, "%s", bad[i]);
}

/* Frames in groups, each stored in some order that a decoder with few frames of delay can put right. */
Test(times, decoding_is_never_late_and_never_goes_back)
{
	struct rng rng;

	rng_seed(&rng, 20240607);
	for (int round = 0; round < 300; round++) {
		struct times t = {0}, shown = {0};
		uint32_t count = 1 + (uint32_t)rng_below(&rng, 200), reach = 1 + (uint32_t)rng_below(&rng, 6);
		int64_t at = (int64_t)rng_below(&rng, 1000) - 500;

		for (uint32_t i = 0; i < count; i++) {
			times_add(&t, at);
			at += 1 + (int64_t)rng_below(&rng, 900);
		}
		for (uint32_t i = 0; i + reach < count; i += reach) { /* the last of a few is stored first */
			int64_t last = t.items[i + reach - 1];

			for (uint32_t k = reach - 1; k > 0; k--)
				t.items[i + k] = t.items[i + k - 1];
			t.items[i] = last;
		}
		for (uint32_t i = 0; i < count; i++)
			times_add(&shown, t.items[i]);
		times_to_decoding(&t);
		for (uint32_t i = 0; i < count; i++) {
			cr_assert_leq(t.items[i], shown.items[i], "round %d, frame %u", round, i);
			cr_assert(i == 0 || t.items[i] > t.items[i - 1], "round %d, frame %u", round, i);
		}
		times_fini(&t);
		times_fini(&shown);
	}
}

Test(times, frames_that_are_not_reordered_are_decoded_when_they_are_shown)
{
	struct times t = {0};

	for (int64_t i = 0; i < 10; i++)
		times_add(&t, i * i);
	times_to_decoding(&t);
	for (int64_t i = 0; i < 10; i++)
		cr_assert_eq(t.items[i], i * i);
	times_fini(&t);
}

Test(tar, is_read_by_tar)
{
	char dir[] = "/tmp/shardmill-tar.XXXXXX", command[200];
	struct error e = {0};
	FILE *f;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	f = fopen("in", "w");
	for (int i = 0; i < 1000; i++)
		fprintf(f, "line %d\n", i);
	fclose(f);
	f = fopen("out.tar", "w");
	cr_assert_eq(tar_add(fileno(f), "a.mp4", "in", &e), 0);
	cr_assert_eq(tar_add(fileno(f), "empty", "/dev/null", &e), 0);
	cr_assert_eq(tar_add(fileno(f), "gone", "nowhere", &e), ERR_IO);
	cr_assert_eq(tar_end(fileno(f), &e), 0);
	fclose(f);
	cr_assert_eq(system("tar -xf out.tar && cmp in a.mp4 && test -f empty && test ! -s empty"), 0);
	snprintf(command, sizeof command, "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}
