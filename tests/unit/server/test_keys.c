/* Files of deduplication keys: what is written is found, by its filter and its blocks; two become one; damage
 * is seen. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "dispatcher/dedup/key_build.h"
#include "dispatcher/dedup/key_list.h"

#define KEYS 20000u
#define BUCKET_US (1750000000 * USEC_PER_SEC)
#define FAST (1024ull * 1024 * 1024 * 1024)

static char dir[] = "/tmp/shardmill-keys-XXXXXX";
static struct error error;
static _Atomic bool cancelled;

static void setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
}

static void teardown(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(keys, .init = setup, .fini = teardown);

static struct key_entry entry_of(uint64_t seed, uint64_t n, uint32_t bucket_s)
{
	struct rng rng;
	struct key_entry e = {.job = n, .job_count = 1 + (uint32_t)n % 3, .bucket_s = bucket_s};

	rng_seed(&rng, seed << 32 | n);
	e.hi = rng_u64(&rng);
	e.lo = rng_u64(&rng);
	return e;
}

static struct key_file *build(uint32_t number, uint64_t seed, uint64_t first, uint32_t count,
			      usec_t bucket_us)
{
	struct key_entry *entries = calloc(count + 1, sizeof(*entries));
	struct key_file *f = NULL;

	for (uint32_t i = 0; i < count; i++)
		entries[i] = entry_of(seed, first + i, key_bucket_s(bucket_us));
	cr_assert_eq(key_build(dir, number, bucket_us, bucket_us, entries, count, &f, &error), 0, "%s",
		     error.what);
	free(entries);
	return f;
}

static int find(struct key_file *f, uint64_t seed, uint64_t n, struct key_entry *ret)
{
	struct key_entry e = entry_of(seed, n, 0);
	struct key_mask mask = key_mask_of(e.hi, e.lo);

	if (!key_file_may_have(f, &mask))
		return ERR_NOT_FOUND;
	return key_file_find(f, e.hi, e.lo, ret, &error);
}

static void expect_all(struct key_file *f, uint64_t seed, uint64_t first, uint32_t count)
{
	struct key_entry e;

	for (uint64_t n = first; n < first + count; n++) {
		cr_assert_eq(find(f, seed, n, &e), 0, "key %llu", (unsigned long long)n);
		cr_assert_eq(e.job, n);
		cr_assert_eq(e.job_count, 1 + n % 3);
	}
}

static struct key_file *open_again(struct key_file *f)
{
	uint32_t number = f->number;
	struct key_file *again = NULL;

	key_file_unref(f);
	cr_assert_eq(key_file_open(dir, number, &again, &error), 0, "%s", error.what);
	return again;
}

Test(keys, what_was_written_is_found_and_nothing_else)
{
	static const uint32_t counts[] = {1, 2, 127, 128, 129, KEYS};

	for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct key_file *f = build(i, 1, 0, counts[i], BUCKET_US);
		struct key_entry e;

		expect_all(f, 1, 0, counts[i]);
		f = open_again(f);
		cr_assert_eq(f->keys, counts[i]);
		cr_assert_eq(f->last_us, BUCKET_US);
		expect_all(f, 1, 0, counts[i]);
		for (uint64_t n = 0; n < 2000; n++)
			cr_assert_eq(find(f, 2, n, &e), ERR_NOT_FOUND);
		key_file_unref(f);
	}
}

Test(keys, the_filter_errs_for_fewer_than_two_in_a_hundred_and_takes_ten_bits_a_key)
{
	struct key_file *f = build(1, 1, 0, KEYS, BUCKET_US);
	uint32_t wrong = 0;

	for (uint64_t n = 0; n < 100000; n++) {
		struct key_entry e = entry_of(2, n, 0);
		struct key_mask mask = key_mask_of(e.hi, e.lo);

		wrong += key_file_may_have(f, &mask);
	}
	cr_assert_lt(wrong, 2000);
	cr_assert_lt(f->filter_blocks * KEY_FILTER_BLOCK_BYTES * 8, KEYS * 101 / 10);
	cr_assert_lt(f->bytes, KEYS * 34);
	/* With the first key of each block: 11 bits of memory a key, as key_file.h and params.def say. */
	cr_assert_leq(8 * (f->filter_blocks * KEY_FILTER_BLOCK_BYTES + f->block_count * sizeof(uint64_t)),
		      KEYS * 11);
	key_file_unref(f);
}

Test(keys, two_files_become_one_without_what_is_forgotten)
{
	struct key_file *a = build(1, 1, 0, 5000, BUCKET_US),
			*b = build(2, 1, 4000, 5000, BUCKET_US + 100 * USEC_PER_SEC), *merged = NULL;
	struct key_entry e;

	cr_assert_eq(key_merge(dir, 3, a, b, 0, FAST, &cancelled, &merged, &error), 0, "%s", error.what);
	cr_assert_eq(merged->keys, 9000, "a key that both have stands once");
	cr_assert_eq(merged->first_us, BUCKET_US);
	cr_assert_eq(merged->last_us, BUCKET_US + 100 * USEC_PER_SEC);
	merged = open_again(merged);
	expect_all(merged, 1, 0, 9000);
	cr_assert_eq(find(merged, 1, 4500, &e), 0);
	cr_assert_eq(e.bucket_s, key_bucket_s(BUCKET_US) + 100, "as the newer says");
	key_file_unref(merged);

	cr_assert_eq(key_merge(dir, 4, a, b, BUCKET_US + USEC_PER_SEC, FAST, &cancelled, &merged, &error), 0);
	cr_assert_eq(merged->keys, 5000);
	expect_all(merged, 1, 4000, 5000);
	cr_assert_eq(find(merged, 1, 1, &e), ERR_NOT_FOUND);
	key_file_unref(merged);
	key_file_unref(a);
	key_file_unref(b);
}

Test(keys, a_merge_that_is_cancelled_leaves_nothing)
{
	struct key_file *a = build(1, 1, 0, KEYS, BUCKET_US), *b = build(2, 2, 0, KEYS, BUCKET_US), *merged;
	char *path = key_file_path(dir, 3);

	atomic_store(&cancelled, true);
	cr_assert_eq(key_merge(dir, 3, a, b, 0, FAST, &cancelled, &merged, &error), ERR_CLOSED);
	cr_assert_neq(access(path, F_OK), 0);
	free(path);
	key_file_unref(a);
	key_file_unref(b);
}

/* Each byte of it in turn. What is not noticed when it is opened is noticed when it is read, or is a zero
 * that nobody reads. */
Test(keys, damage_is_seen)
{
	struct key_file *f = build(1, 1, 0, 200, BUCKET_US), *again;
	char *path = key_file_path(dir, 1);
	struct key_entry e;
	uint32_t opened = 0, seen = 0;
	size_t size = f->bytes;
	int fd = open(path, O_RDWR);

	key_file_unref(f);
	for (size_t at = 0; at < size; at += at < 64 || at >= 3 * KEY_BLOCK_BYTES ? 1 : 13) {
		uint8_t byte, bad;
		int rc;

		cr_assert_eq(pread(fd, &byte, 1, (off_t)at), 1);
		bad = byte ^ 4;
		cr_assert_eq(pwrite(fd, &bad, 1, (off_t)at), 1);
		rc = key_file_open(dir, 1, &again, &error);
		seen += rc < 0;
		if (rc == 0) {
			opened++;
			cr_assert(at >= 64 && at < 3 * KEY_BLOCK_BYTES, "byte %zu", at);
			for (uint64_t n = 0; n < 200; n++) {
				rc = find(again, 1, n, &e);
				cr_assert(rc == ERR_CORRUPT || (rc == 0 && e.job == n), "byte %zu", at);
				seen += rc == ERR_CORRUPT;
			}
			key_file_unref(again);
		}
		cr_assert_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	cr_assert_gt(opened, 0);
	cr_assert_gt(seen, 0);
	cr_assert_eq(ftruncate(fd, (off_t)size - 1), 0);
	cr_assert_eq(key_file_open(dir, 1, &again, &error), ERR_CORRUPT);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(key_file_open(dir, 1, &again, &error), ERR_NOT_FOUND);
	close(fd);
	free(path);
}

Test(keys, the_list_is_whole_or_damaged_and_what_it_does_not_name_goes)
{
	struct key_row rows[] = {{7, 100, 1}, {0xffffffff, INT64_MAX, UINT64_MAX}};
	struct key_list list = {.sealed_us = 100, .rows = rows, .count = 2}, read = {0};
	char path[64];
	uint8_t text[256];
	ssize_t size;
	int fd;

	cr_assert_eq(key_list_read(dir, &read, &error), ERR_NOT_FOUND);
	cr_assert_eq(key_list_write(dir, &list, &error), 0);
	cr_assert_eq(key_list_read(dir, &read, &error), 0);
	cr_assert_eq(read.count, 2);
	cr_assert_eq(read.sealed_us, 100);
	cr_assert_eq(read.rows[0].number, 7);
	cr_assert_eq(read.rows[0].last_us, 100);
	cr_assert_eq(read.rows[1].number, 0xffffffff);
	cr_assert_eq(read.rows[1].keys, UINT64_MAX);
	key_list_fini(&read);
	for (uint32_t n = 6; n <= 8; n++)
		key_file_unref(build(n, 1, 0, 3, BUCKET_US));
	cr_assert_eq(key_list_sweep(dir, &list), 2);
	snprintf(path, sizeof(path), "%s/list", dir);
	fd = open(path, O_RDWR);
	size = pread(fd, text, sizeof(text), 0);
	cr_assert_gt(size, 20);
	for (ssize_t at = 0; at + 1 < size; at++) { /* the newline is nothing */
		uint8_t bad = text[at] ^ 1;

		cr_assert_eq(pwrite(fd, &bad, 1, at), 1);
		cr_assert_lt(key_list_read(dir, &read, &error), 0, "byte %zd", at);
		cr_assert_eq(pwrite(fd, &text[at], 1, at), 1);
	}
	close(fd);
}
