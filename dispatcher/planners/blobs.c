#include "dispatcher/planners/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/units.h"
#include "jobs/ids.h"
#include "jobs/plan_blob.h"

#define BLOBS_OPEN_MAX 8

struct open_blob {
	char name[BLOB_NAME_BYTES]; /* "" = free */
	int fd;
	uint64_t used; /* the least is closed first */
	uint8_t *block;
	size_t block_size;
	struct plan_blob_block at; /* of block; no items: none is read */
	struct plan_blob_place place;
};

struct blobs {
	char *dir;
	pthread_mutex_t lock; /* guards what follows */
	uint64_t clock;
	struct open_blob open[BLOBS_OPEN_MAX];
};

const char *blob_name(uint64_t job, uint32_t phase, char buf[BLOB_NAME_BYTES])
{
	snprintf(buf, BLOB_NAME_BYTES, "%llu-%u.items", (unsigned long long)job, phase);
	return buf;
}

uint64_t blob_job(const char *name)
{
	uint64_t job, phase;

	if (!units_take_number(&name, JOB_ID_MAX, &job) || *name++ != '-' ||
	    !units_take_number(&name, UINT32_MAX, &phase) || strcmp(name, ".items") != 0)
		return 0;
	return job;
}

struct blobs *blobs_create(const char *plans_dir)
{
	struct blobs *b = check_calloc(1, sizeof(*b));

	b->dir = strdup(plans_dir);
	pthread_mutex_init(&b->lock, NULL);
	CHECK(b->dir != NULL);
	return b;
}

static void blob_close(struct open_blob *o)
{
	if (o->name[0] == '\0')
		return;
	close(o->fd);
	free(o->block);
	*o = (struct open_blob){0};
}

void blobs_destroy(struct blobs *b)
{
	if (b == NULL)
		return;
	for (size_t i = 0; i < BLOBS_OPEN_MAX; i++)
		blob_close(&b->open[i]);
	pthread_mutex_destroy(&b->lock);
	free(b->dir);
	free(b);
}

void blobs_forget(struct blobs *b, struct bytes name)
{
	if (pthread_mutex_trylock(&b->lock) != 0) /* close_removed will see to it */
		return;
	for (size_t i = 0; i < BLOBS_OPEN_MAX; i++)
		if (bytes_equal(bytes_of(b->open[i].name), name))
			blob_close(&b->open[i]);
	pthread_mutex_unlock(&b->lock);
}

bool blobs_have(const struct blobs *b, struct bytes name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%.*s", b->dir, (int)name.size, (const char *)name.data);
	return access(path, R_OK) == 0;
}

static void close_removed(struct blobs *b)
{
	struct stat st;

	for (size_t i = 0; i < BLOBS_OPEN_MAX; i++)
		if (b->open[i].name[0] != '\0' && (fstat(b->open[i].fd, &st) < 0 || st.st_nlink == 0))
			blob_close(&b->open[i]);
}

static int blob_open(struct blobs *b, struct bytes name, struct open_blob **ret, struct error *reterr)
{
	struct open_blob *o = &b->open[0];
	char text[BLOB_NAME_BYTES], path[4096];

	if (name.size >= sizeof(text))
		return error_set(reterr, ERR_CORRUPT, "a plan names a blob that cannot be");
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	if (blob_job(text) == 0)
		return error_set(reterr, ERR_CORRUPT, "a plan names a blob that cannot be");
	for (size_t i = 0; i < BLOBS_OPEN_MAX; i++) {
		if (strcmp(b->open[i].name, text) == 0) {
			o = &b->open[i];
			break;
		}
		if (b->open[i].used < o->used)
			o = &b->open[i];
	}
	o->used = ++b->clock;
	*ret = o;
	if (strcmp(o->name, text) == 0)
		return 0;
	blob_close(o);
	snprintf(path, sizeof(path), "%s/%s", b->dir, text);
	o->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (o->fd < 0) {
		error_set(reterr, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
			  "the items of the plan cannot be read: %s", strerror(errno));
		return error_where(reterr, "%s", path);
	}
	memcpy(o->name, text, sizeof(text));
	o->block = check_calloc(1, PLAN_BLOB_BLOCK_BYTES);
	o->used = b->clock;
	return 0;
}

static int read_at(struct open_blob *o, uint8_t *data, size_t size, uint64_t offset, size_t *ret_size,
		   struct error *reterr)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = pread(o->fd, data + got, size - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			error_set(reterr, ERR_IO, "the items of the plan cannot be read: %s",
				  strerror(errno));
			return error_where(reterr, "plans/%s", o->name);
		}
		if (n == 0)
			break;
		got += (size_t)n;
	}
	*ret_size = got;
	return 0;
}

/* The number of the block that holds `item`, by bisection over headers. */
static int block_find(struct open_blob *o, uint32_t item, uint64_t *ret_block, struct error *reterr)
{
	struct stat st;
	uint64_t low = 0, high;

	if (fstat(o->fd, &st) < 0)
		return error_set(reterr, ERR_IO, "plans/%s: %s", o->name, strerror(errno));
	high = ((uint64_t)st.st_size + PLAN_BLOB_BLOCK_BYTES - 1) / PLAN_BLOB_BLOCK_BYTES;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		uint8_t head[PLAN_BLOB_HEADER_BYTES];
		struct plan_blob_block at;
		size_t size;
		int r = read_at(o, head, sizeof(head), middle * PLAN_BLOB_BLOCK_BYTES, &size, reterr);

		if (r == 0)
			r = plan_blob_header(BYTES(head, size), &at, reterr);
		if (r < 0)
			return r;
		if (range_contains(at.items, item)) {
			*ret_block = middle;
			return 0;
		}
		if (item < at.items.first)
			high = middle;
		else
			low = middle + 1;
	}
	error_set(reterr, ERR_CORRUPT, "item %u is not in the plan's blob", item);
	return error_where(reterr, "plans/%s", o->name);
}

static int block_load(struct open_blob *o, uint32_t item, struct error *reterr)
{
	uint64_t block = 0;
	int r;

	if (range_contains(o->at.items, item))
		return 0;
	o->at = (struct plan_blob_block){0};
	o->place = (struct plan_blob_place){0};
	r = block_find(o, item, &block, reterr);
	if (r == 0)
		r = read_at(o, o->block, PLAN_BLOB_BLOCK_BYTES, block * PLAN_BLOB_BLOCK_BYTES, &o->block_size,
			    reterr);
	if (r == 0)
		r = plan_blob_check(BYTES(o->block, o->block_size), &o->at, reterr);
	if (r == ERR_CORRUPT)
		error_where(reterr, "plans/%s", o->name);
	return r;
}

static int read_items(struct blobs *b, struct bytes name, uint32_t first, uint32_t count, size_t bytes_max,
		      struct arena *arena, struct text_item *items, uint32_t *ret_count, struct error *reterr)
{
	struct open_blob *o;
	size_t used = 0;
	uint32_t n = 0;
	int r = blob_open(b, name, &o, reterr);

	if (r < 0)
		return r;
	for (; n < count; n++) {
		struct bytes item;

		r = block_load(o, first + n, reterr);
		if (r < 0) {
			blob_close(o);
			return r;
		}
		item = plan_blob_item(BYTES(o->block, o->block_size), first + n, &o->place);
		used += item.size + 5;
		if (n > 0 && used > bytes_max)
			break;
		items[n].text = arena_copy(arena, item);
	}
	*ret_count = n;
	return 0;
}

int blobs_items(struct blobs *b, struct bytes name, uint32_t first, uint32_t count, size_t bytes_max,
		struct arena *arena, struct text_item *items, uint32_t *ret_count, struct error *reterr)
{
	int r;

	pthread_mutex_lock(&b->lock);
	close_removed(b);
	r = read_items(b, name, first, count, bytes_max, arena, items, ret_count, reterr);
	pthread_mutex_unlock(&b->lock);
	return r;
}
