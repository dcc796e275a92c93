#include "tests/unit/store/journal_kit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS 20000

void kit_begin(struct kit *k)
{
	*k = (struct kit){.options = {.cluster_hi = 0xc1,
				      .cluster_lo = 0x05,
				      .segment_bytes = KIT_SEGMENT_BYTES,
				      .create = true,
				      .no_threads = true}};
	snprintf(k->dir, sizeof k->dir, "/tmp/shardmill-store-XXXXXX");
	cr_assert_not_null(mkdtemp(k->dir));
	snprintf(k->journal, sizeof k->journal, "%s/journal", k->dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void kit_end(struct kit *k)
{
	kit_close(k);
	nftw(k->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void kit_close(struct kit *k)
{
	journal_close(k->j);
	k->j = NULL;
}

int kit_open(struct kit *k)
{
	uint64_t last;
	int rc = journal_open(&k->j, k->journal, &k->options, &k->error);

	if (rc < 0) {
		k->j = NULL;
		return rc;
	}
	rc = kit_replay(k, 0, &last);
	if (rc == 0) {
		cr_assert_eq(last + 1, journal_next_lsn(k->j));
		rc = journal_start(k->j, &k->error);
	}
	if (rc < 0)
		kit_close(k);
	return rc;
}

void kit_reopen(struct kit *k)
{
	char text[1024];

	kit_close(k);
	cr_assert_eq(kit_open(k), 0, "%s", error_text(&k->error, text, sizeof text));
}

static size_t record_bytes(uint64_t lsn)
{
	return 16 + (size_t)(lsn * 2654435761u % 1500);
}

void kit_records(uint64_t first, uint32_t count, struct buf *out)
{
	for (uint64_t lsn = first; lsn < first + count; lsn++) {
		size_t size = record_bytes(lsn);
		uint8_t *p = buf_reserve(out, size);

		memset(p, (int)(lsn % 255 + 1), size);
		memcpy(p, &lsn, sizeof lsn);
		out->size += size;
	}
}

uint64_t kit_write(struct kit *k, uint32_t epoch, uint32_t count, bool alone)
{
	struct buf payload = {0};
	uint64_t last;

	kit_records(journal_next_lsn(k->j), count, &payload);
	last = journal_submit(k->j, epoch, buf_bytes(&payload), count, alone);
	buf_fini(&payload);
	return last;
}

void kit_wait(struct kit *k, uint64_t lsn)
{
	while (journal_durable_lsn(k->j) < lsn && !journal_failed(k->j, NULL)) {
		struct pollfd p = {.fd = journal_fd(k->j), .events = POLLIN};
		uint64_t n;

		cr_assert_eq(poll(&p, 1, DEADLINE_MS), 1, "nothing became durable");
		cr_assert_eq(read(p.fd, &n, sizeof n), (ssize_t)sizeof n);
	}
}

static int check_frame(void *arg, const struct frame *f, struct error *reterr)
{
	uint64_t *next = arg;
	struct buf expected = {0};

	(void)reterr;
	if (f->lsn <= *next && *next < f->lsn + f->record_count)
		*next = f->lsn;
	cr_assert_eq(f->lsn, *next);
	kit_records(f->lsn, f->record_count, &expected);
	cr_assert(bytes_equal(buf_bytes(&expected), f->payload), "records %llu to %llu",
		  (unsigned long long)f->lsn, (unsigned long long)(f->lsn + f->record_count - 1));
	buf_fini(&expected);
	*next = f->lsn + f->record_count;
	return 0;
}

int kit_replay(struct kit *k, uint64_t from, uint64_t *ret_last)
{
	uint64_t next = from != 0 ? from : journal_oldest_lsn(k->j);
	int rc = journal_replay(k->j, from, check_frame, &next, &k->error);

	*ret_last = next - 1;
	return rc;
}

void kit_path(const struct kit *k, const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s", k->journal, name);
}

void kit_segment_path(const struct kit *k, uint64_t number, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%020llu.segment", k->journal, (unsigned long long)number);
}

bool kit_exists(const struct kit *k, uint64_t number)
{
	char path[160];

	kit_segment_path(k, number, path, sizeof path);
	return access(path, F_OK) == 0;
}

void kit_flip(const struct kit *k, uint64_t number, uint64_t byte)
{
	char path[160];
	uint8_t b;
	int fd;

	kit_segment_path(k, number, path, sizeof path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pread(fd, &b, 1, (off_t)byte), 1);
	b ^= 0x10;
	cr_assert_eq(pwrite(fd, &b, 1, (off_t)byte), 1);
	close(fd);
}

void kit_read(const struct kit *k, uint64_t number, struct buf *ret)
{
	char path[160];
	ssize_t n;
	int fd;

	kit_segment_path(k, number, path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	buf_clear(ret);
	while ((n = read(fd, buf_reserve(ret, 65536), 65536)) > 0)
		ret->size += (size_t)n;
	close(fd);
}

void kit_says(const struct kit *k, const char *words)
{
	char text[1024];

	error_text(&k->error, text, sizeof text);
	cr_assert_not_null(strstr(text, words), "expected \"%s\" in \"%s\"", words, text);
}
