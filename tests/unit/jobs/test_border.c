/* Record borders: cases by hand, random FASTQ and lines cut at random, and any bytes at all. */
#include "jobs/border.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/rng.h"
#include "tests/fuzz/border_play.h"

static uint64_t seed_played;

/* Set as the CHECK hook: the seed stands above what did not hold. */
static void say_seed(const char *file, int line, const char *func, const char *cond)
{
	(void)file, (void)line, (void)func, (void)cond;
	fprintf(stderr, "seed %llu\n", (unsigned long long)seed_played);
}

/* cut(at), with blocks of 1 to 4 bytes; SIZE_MAX for ERR_LIMIT. */
static uint64_t cut(const char *text, uint8_t align, uint64_t at, uint32_t record_max, struct error *e)
{
	struct rng r;
	uint64_t found = 0;
	int code;

	rng_seed(&r, at);
	code = border_cut(bytes_of(text), align, at, record_max, &r, 4, &found, e);
	cr_assert(code == 0 || code == ERR_LIMIT);
	return code == 0 ? found : SIZE_MAX;
}

/* In text, '|' stands where a record begins that is not the first byte; it is taken out. From each
 * position the next one of them is found. */
static void expect_borders(const char *marked, uint8_t align)
{
	char text[400];
	bool starts[401] = {0};
	size_t n = 0;

	for (const char *p = marked; *p != '\0'; p++) {
		if (*p == '|')
			starts[n] = true;
		else
			text[n++] = *p;
	}
	text[n] = '\0';
	starts[n] = true;
	cr_assert_eq(cut(text, align, 0, 300, NULL), 0);
	for (size_t at = 1; at <= n + 1; at++) {
		size_t expected = at < n ? at : n;
		uint64_t found = cut(text, align, at, 300, NULL);

		while (!starts[expected])
			expected++;
		cr_expect_eq(found, expected, "in \"%s\" from %zu: expected %zu, found %llu", text, at,
			     expected, (unsigned long long)found);
	}
}

Test(border, lines)
{
	static const char *const cases[] = {
	    "", "one", "one\n", "one\n|two\n|three", "\n|\n|\n|x\n", "a\r\n|b\r\n|\r\n|c\r\n",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		expect_borders(cases[i], ALIGN_LINE);
}

Test(border, fastq)
{
	static const char *const cases[] = {
	    /* Plain, with and without the last newline, CRLF, one truncated CRLF. */
	    "@r1\nACGT\n+\nIIII\n|@r2\nACG\n+r2\nIII\n",
	    "@r1\nACGT\n+\nIIII\n|@r2\nACG\n+\nIII",
	    "@r1\r\nACGT\r\n+\r\nIIII\r\n|@r2\r\nACG\r\n+\r\nIII\r\n",
	    "@r1\r\nACGT\r\n+\r\nIIII\r\n|@r2\r\nACG\r\n+\r\nIII\r",
	    /* Quality that looks like a header or a plus line, all lines equally long. */
	    "@ab\nCCC\n+ab\n@II\n|@cd\nGGG\n+cd\n@II\n|@ef\nTTT\n+ef\n+II\n|@gh\nAAA\n+\n+@+\n",
	    "@a\nC\n+\n@\n|@b\nG\n+\n+\n|@c\nG\n+\n@\n",
	    /* Reads of no length; blank lines behind the end. */
	    "@a\n\n+\n\n|@b\n\n+\n\n|@c\n\n+\n",
	    "@a\nAC\n+\n@I\n\n",
	    "@a\nAC\n+\n@I\n|@b\nAC\n+\n@I\n\n\n\n\n\n\n\n\n\n\n",
	    /* Truncated: the last record stands for itself, and is not a part of the one before. */
	    "@a\nAC\n+\n@I\n|@b\nAC\n+\n@",
	    "@a\nAC\n+\n@I\n|@b\nAC\n+\n",
	    "@a\nAC\n+\n@I\n|@b\nAC\n+",
	    "@a\nAC\n+\n@I\n|@b\nAC\n",
	    "@a\nAC\n+\n@I\n|@b\nA",
	    "@a\nAC\n+\n@I\n|@b\n",
	    "@a\nAC\n+\n@I\n|@",
	    "@a\nAC\n+\n+I\n|@b",
	    /* The last line is quality that begins with '@', of a record that is whole. */
	    "@a\nAC\n+\n+I\n|@b\nAC\n+\n@I",
	    "@a\nAC\n+\n@I",
	    /* What is no record stays with the one before it. */
	    "@a\nAC\n+\nII\nrubbish\n\n@no\n|@b\nAC\n+\nII\n",
	    "no fastq\nat all\n",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		expect_borders(cases[i], ALIGN_FASTQ);
}

Test(border, a_record_longer_than_its_bound_fails_in_words)
{
	static const char text[] = "@a\nACGTACGTACGTACGTACGT\n+\nIIIIIIIIIIIIIIIIIIII\n@b\nA\n+\nI\n";
	struct error e = {0};

	/* 'a' has 47 bytes. From its second byte on, b starts 46 bytes later. */
	cr_assert_eq(cut(text, ALIGN_FASTQ, 1, 47, &e), strlen(text) - 9);
	cr_assert_eq(cut(text, ALIGN_FASTQ, 1, 46, &e), strlen(text) - 9);
	cr_assert_eq(cut(text, ALIGN_FASTQ, 1, 45, &e), SIZE_MAX);
	cr_assert_eq(cut(text, ALIGN_FASTQ, 1, 20, &e), SIZE_MAX);
	cr_assert_str_eq(e.what, "expected a FASTQ record (4 lines: @header, sequence, +, quality) to "
				 "start within 20 bytes behind offset 1, found none");
	cr_assert_str_neq(e.help, "");
	cr_assert_eq(cut(text, ALIGN_LINE, 5, 20, &e), 24);
	cr_assert_eq(cut(text, ALIGN_LINE, 4, 19, &e), SIZE_MAX);
	cr_assert_str_eq(e.what, "expected a line to start within 19 bytes behind offset 4, found none");
	cr_assert_eq(cut(text, ALIGN_NONE, 13, 1, &e), 13);
}

Test(border, a_file_that_has_shrunk_is_told)
{
	struct border_search s;
	struct error e = {0};

	cr_assert_eq(border_search_init(&s, ALIGN_LINE, 5, 100, 50, &e), BORDER_NEED_MORE);
	cr_assert_eq(border_search_feed(&s, BYTES_LIT("abc"), &e), BORDER_NEED_MORE);
	cr_assert_eq(border_search_feed(&s, BYTES_LIT(""), &e), ERR_INVALID);
	cr_assert_str_eq(e.what, "expected a file of 100 bytes, found its end at 7");
	cr_assert_eq(border_search_init(&s, 9, 5, 100, 50, &e), ERR_INVALID);
	cr_assert_str_eq(e.what, "expected align none, line or fastq, found number 9");
}

/* A random FASTQ file, and where its records start. */
struct made {
	struct buf text;
	uint8_t *starts;
	size_t record_count;
	size_t record_max;
};

static void append_random(struct buf *b, struct rng *r, const char *alphabet, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_append(b, &alphabet[rng_below(r, strlen(alphabet))], 1);
}

static void make_fastq(struct made *m, struct rng *r)
{
	/* Each file has its own habits, so that the mean ones occur together. */
	const char *newline = rng_chance(r, 300000) ? "\r\n" : "\n";
	size_t length_max = rng_below(r, 3) == 0 ? 1 : 1 + rng_below(r, 60);
	bool equal = rng_chance(r, 300000), empty = rng_chance(r, 200000);
	bool named_plus = rng_chance(r, 400000);
	const char *quality = rng_chance(r, 500000) ? "@+" : "@+IF#A";
	size_t starts[64];

	memset(m, 0, sizeof(*m));
	m->record_count = rng_below(r, ARRAY_LENGTH(starts));
	for (size_t i = 0; i < m->record_count; i++) {
		size_t length = equal ? length_max : rng_below(r, length_max + 1);
		size_t name = equal ? length - 1 : rng_below(r, 12);

		if (length == 0 && !empty)
			length = 1;
		starts[i] = m->text.size;
		buf_append(&m->text, "@", 1);
		append_random(&m->text, r, "@+ab.", name);
		buf_printf(&m->text, "%s", newline);
		append_random(&m->text, r, "ACGTN*-.", length);
		buf_printf(&m->text, "%s+", newline);
		if (named_plus)
			append_random(&m->text, r, "@+ab.", name);
		buf_printf(&m->text, "%s", newline);
		append_random(&m->text, r, quality, length);
		if (i + 1 < m->record_count || rng_chance(r, 600000))
			buf_printf(&m->text, "%s", newline);
		if (m->text.size - starts[i] > m->record_max)
			m->record_max = m->text.size - starts[i];
	}
	if (rng_chance(r, 400000) && m->record_count > 0) /* truncated anywhere */
		m->text.size = rng_below(r, m->text.size);
	while (m->record_count > 0 && starts[m->record_count - 1] >= m->text.size)
		m->record_count--;
	m->starts = check_calloc(m->text.size, 1);
	for (size_t i = 0; i < m->record_count; i++)
		m->starts[starts[i]] = 1;
}

Test(border, random_fastq_cut_at_random)
{
	uint64_t shard_count = 0, truncated_count = 0;

	check_set_hook(say_seed);
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		struct rng r;
		struct made m;
		uint8_t *starts;

		seed_played = seed;
		rng_seed(&r, seed);
		make_fastq(&m, &r);
		/* That the rule finds each record, and nothing else; */
		starts = border_starts(buf_bytes(&m.text), ALIGN_FASTQ);
		if (m.text.size > 0)
			m.starts[0] = starts[0]; /* cut(0) is 0 whatever stands there */
		cr_assert(memcmp(starts, m.starts, m.text.size) == 0, "seed %llu: %.*s",
			  (unsigned long long)seed, (int)m.text.size, (char *)m.text.data);
		/* and that the searches, in the least room the records allow, find what the rule says. */
		shard_count += border_play(buf_bytes(&m.text), ALIGN_FASTQ,
					   1 + rng_below(&r, 1 + rng_below(&r, m.text.size + 9)),
					   (uint32_t)(m.record_max ? m.record_max : 1), true, &r);
		truncated_count += m.record_count > 0 && m.text.data[m.text.size - 1] != '\n';
		free(starts);
		free(m.starts);
		buf_fini(&m.text);
	}
	cr_expect_gt(shard_count, 10000);
	cr_expect_gt(truncated_count, 500);
	printf("%llu shards, %llu files without a last newline\n", (unsigned long long)shard_count,
	       (unsigned long long)truncated_count);
}

Test(border, any_bytes_are_cut_into_the_whole)
{
	check_set_hook(say_seed);
	for (uint64_t seed = 1; seed <= 4000; seed++) {
		static const uint8_t aligns[] = {ALIGN_NONE, ALIGN_LINE, ALIGN_FASTQ, ALIGN_FASTQ};
		struct rng r;
		struct buf text = {0};
		uint8_t align = aligns[seed % ARRAY_LENGTH(aligns)];
		bool strict = seed % 3 != 0;
		uint32_t record_max;

		seed_played = seed;
		rng_seed(&r, seed);
		append_random(&text, &r, rng_chance(&r, 500000) ? "\n@+A" : "\n\n\n@@+AAAAAA\r",
			      rng_below(&r, 300));
		record_max = (uint32_t)(1 + (strict ? text.size : rng_below(&r, 40)));
		border_play(buf_bytes(&text), align, 1 + rng_below(&r, 40), record_max, strict, &r);
		buf_fini(&text);
	}
}
