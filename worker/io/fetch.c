#include "worker/io/fetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "jobs/border.h"
#include "jobs/plan.h"

#define SEARCH_BYTES ((size_t)65536) /* asked for at a time, to find a border */

struct fetch {
	struct s3_client *client;
	struct s3_name name;
	char etag[S3_ETAG_BYTES_MAX];
	uint64_t size_bytes, first, end; /* the plan's */
	uint8_t align;
	uint64_t known_first;
	pthread_t thread;
	int event_fd;
	_Atomic bool cancelled;
	uint8_t *ring;
	size_t capacity;
	/* Below: under the lock. [at, at + used) of the ring is the reader's, the rest the thread's. */
	pthread_mutex_t lock;
	pthread_cond_t room;
	size_t at, used;
	bool held, cut, done;
	int sink_fd; /* of fetch_attach */
	bool deaf;   /* nobody reads there any more */
	uint64_t first_byte, end_byte, come;
	int rc;
	struct error why;
};

static void tell(struct fetch *f)
{
	(void)eventfd_write(f->event_fd, 1);
}

static bool is_cancelled(void *arg)
{
	struct fetch *f = arg;

	return atomic_load(&f->cancelled);
}

/* ---- the thread ---- */

/* What a search has asked for. */
struct block {
	uint8_t data[SEARCH_BYTES];
	size_t size;
};

static int take_block(void *arg, struct bytes piece)
{
	struct block *b = arg;

	memcpy(b->data + b->size, piece.data, piece.size);
	b->size += piece.size;
	return 0;
}

/* Under the lock. */
static bool is_almost_whole(const struct fetch *f)
{
	return f->done || (f->cut && f->end_byte - f->first_byte - f->come <= f->capacity);
}

/* Under the lock: the slot is told when it is time to begin with the next. */
static void count(struct fetch *f, size_t size)
{
	bool before = is_almost_whole(f);

	f->come += size;
	if (!before && is_almost_whole(f))
		tell(f);
}

/* Under the lock: to who reads, as much as he takes now. What is in the ring goes first. */
static size_t hand_over(struct fetch *f, struct bytes piece)
{
	ssize_t put = 0;

	if (f->sink_fd >= 0 && f->used == 0)
		put = write(f->sink_fd, piece.data, piece.size);
	f->deaf = put < 0 && errno == EPIPE;
	if (put <= 0)
		return 0;
	count(f, (size_t)put);
	return (size_t)put;
}

static int take_piece(void *arg, struct bytes piece)
{
	struct fetch *f = arg;

	while (piece.size > 0) {
		size_t to, size;
		bool was_empty;

		pthread_mutex_lock(&f->lock);
		size = hand_over(f, piece);
		piece = BYTES(piece.data + size, piece.size - size);
		if (piece.size == 0) {
			pthread_mutex_unlock(&f->lock);
			break;
		}
		while (f->used == f->capacity && !atomic_load(&f->cancelled))
			pthread_cond_wait(&f->room, &f->lock);
		to = (f->at + f->used) % f->capacity;
		size = to < f->at ? f->at - to : f->capacity - to;
		pthread_mutex_unlock(&f->lock);
		if (atomic_load(&f->cancelled) || f->deaf)
			return -1;
		if (size > piece.size)
			size = piece.size;
		memcpy(f->ring + to, piece.data, size);
		pthread_mutex_lock(&f->lock);
		was_empty = f->used == 0;
		f->used += size;
		count(f, size);
		pthread_mutex_unlock(&f->lock);
		if (was_empty)
			tell(f);
		piece = BYTES(piece.data + size, piece.size - size);
	}
	return 0;
}

static struct s3_get get_of(struct fetch *f, uint64_t offset, uint64_t size)
{
	return (struct s3_get){
	    .name = &f->name,
	    .etag = f->etag,
	    .offset = offset,
	    .size = size,
	    .cancel = {is_cancelled, f},
	};
}

/* cut(at) of jobs/border.h, reading the object. */
static int find_border(struct fetch *f, uint64_t at, uint64_t *ret, struct error *reterr)
{
	struct block *b = check_calloc(1, sizeof *b);
	struct border_search s;
	int rc = border_search_init(&s, f->align, at, f->size_bytes, RECORD_BYTES_MAX, reterr);

	while (rc == BORDER_NEED_MORE) {
		uint64_t left = s.limit - s.offset;
		struct s3_get get = get_of(f, s.offset, left < sizeof b->data ? left : sizeof b->data);

		b->size = 0;
		get.take = take_block;
		get.arg = b;
		rc = s3_get(f->client, &get, reterr);
		if (rc == 0)
			rc = border_search_feed(&s, BYTES(b->data, b->size), reterr);
		if (rc == ERR_LIMIT)
			(void)error_where(reterr, "s3://%s/%.180s", f->name.bucket, f->name.key);
	}
	free(b);
	if (rc == BORDER_FOUND)
		*ret = s.found;
	return rc < 0 ? rc : 0;
}

/* false: it is given up. */
static bool await_turn(struct fetch *f)
{
	pthread_mutex_lock(&f->lock);
	while (f->held && !atomic_load(&f->cancelled))
		pthread_cond_wait(&f->room, &f->lock);
	pthread_mutex_unlock(&f->lock);
	return !atomic_load(&f->cancelled);
}

static int read_range(struct fetch *f, struct error *reterr)
{
	uint64_t first = f->known_first, end = 0;
	struct s3_get get;
	int rc = first == FETCH_UNKNOWN ? find_border(f, f->first, &first, reterr) : 0;

	if (rc == 0)
		rc = find_border(f, f->end, &end, reterr);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&f->lock);
	f->first_byte = first;
	f->end_byte = end;
	f->cut = true;
	pthread_mutex_unlock(&f->lock);
	tell(f);
	if (first >= end)
		return 0;
	if (!await_turn(f))
		return error_set(reterr, ERR_CLOSED, "it was not wanted any more");
	get = get_of(f, first, end - first);
	get.take = take_piece;
	get.arg = f;
	return s3_get(f->client, &get, reterr);
}

static void *thread_main(void *arg)
{
	struct fetch *f = arg;
	struct error e = {0};
	int rc = read_range(f, &e);

	pthread_mutex_lock(&f->lock);
	f->rc = rc;
	f->why = e;
	f->done = true;
	pthread_mutex_unlock(&f->lock);
	tell(f);
	return NULL;
}

/* ---- the slot ---- */

static void destroy(struct fetch *f)
{
	if (f->event_fd >= 0)
		close(f->event_fd);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->room);
	free(f->ring);
	free(f);
}

int fetch_start(struct s3_client *client, const struct fetch_range *range, size_t ring_bytes,
		struct fetch **ret, struct error *reterr)
{
	const struct plan *p = range->plan;
	struct fetch *f = check_calloc(1, sizeof *f);
	int rc = s3_name_parse(p->url, &f->name, reterr);

	f->client = client;
	f->size_bytes = p->size_bytes;
	f->align = p->align;
	f->known_first = range->first_byte;
	f->held = range->held;
	f->sink_fd = -1;
	plan_bytes_range(p, range->shard, &f->first, &f->end);
	f->capacity = ring_bytes;
	if (f->end - f->first < ring_bytes) /* a small range and the rest of its last record */
		f->capacity = f->end - f->first + SEARCH_BYTES < ring_bytes ? f->end - f->first + SEARCH_BYTES
									    : ring_bytes;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->room, NULL);
	f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->ring = malloc(f->capacity);
	if (rc == 0 && p->etag.size >= sizeof f->etag)
		rc = error_set(reterr, ERR_INVALID, "the object's ETag is longer than %zu bytes",
			       sizeof f->etag - 1);
	if (rc == 0 && (f->event_fd < 0 || f->ring == NULL))
		rc = error_set(reterr, ERR_EXHAUSTED, "no room to read an object: %s", strerror(errno));
	if (rc == 0 && p->etag.size > 0)
		memcpy(f->etag, p->etag.data, p->etag.size);
	if (rc == 0 && pthread_create(&f->thread, NULL, thread_main, f) != 0)
		rc = error_set(reterr, ERR_EXHAUSTED, "no thread to read an object");
	if (rc < 0) {
		destroy(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void fetch_go(struct fetch *f)
{
	pthread_mutex_lock(&f->lock);
	f->held = false;
	pthread_cond_signal(&f->room);
	pthread_mutex_unlock(&f->lock);
}

void fetch_attach(struct fetch *f, int fd)
{
	pthread_mutex_lock(&f->lock);
	f->sink_fd = fd;
	pthread_mutex_unlock(&f->lock);
}

void fetch_stop(struct fetch *f)
{
	if (f == NULL)
		return;
	atomic_store(&f->cancelled, true);
	pthread_mutex_lock(&f->lock);
	pthread_cond_signal(&f->room);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	destroy(f);
}

bool fetch_is(const struct fetch *f, const struct plan *plan, uint32_t shard)
{
	struct s3_name name;
	uint64_t first, end;

	if (plan->align != f->align || plan->size_bytes != f->size_bytes ||
	    !bytes_equal(plan->etag, bytes_of(f->etag)) || s3_name_parse(plan->url, &name, NULL) < 0)
		return false;
	plan_bytes_range(plan, shard, &first, &end);
	return first == f->first && end == f->end && strcmp(name.bucket, f->name.bucket) == 0 &&
	       strcmp(name.key, f->name.key) == 0;
}

int fetch_fd(const struct fetch *f)
{
	return f->event_fd;
}

int fetch_borders(struct fetch *f, uint64_t *ret_first, uint64_t *ret_end, struct error *reterr)
{
	eventfd_t n;
	int rc;

	(void)eventfd_read(f->event_fd, &n);
	pthread_mutex_lock(&f->lock);
	rc = f->cut ? 1 : f->done ? f->rc : 0;
	if (rc > 0) {
		*ret_first = f->first_byte;
		*ret_end = f->end_byte;
	} else if (rc < 0 && reterr != NULL) {
		*reterr = f->why;
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* What lies in one piece at the reader's end. */
static size_t next_piece(struct fetch *f, const uint8_t **ret)
{
	size_t size;

	pthread_mutex_lock(&f->lock);
	*ret = f->ring + f->at;
	size = f->used < f->capacity - f->at ? f->used : f->capacity - f->at;
	pthread_mutex_unlock(&f->lock);
	return size;
}

static void taken(struct fetch *f, size_t size)
{
	pthread_mutex_lock(&f->lock);
	f->at = (f->at + size) % f->capacity;
	f->used -= size;
	pthread_cond_signal(&f->room);
	pthread_mutex_unlock(&f->lock);
}

int fetch_feed(struct fetch *f, int fd, struct error *reterr)
{
	const uint8_t *piece;
	eventfd_t n;
	size_t size;
	int rc;

	(void)eventfd_read(f->event_fd, &n);
	while (size = next_piece(f, &piece), size > 0) {
		ssize_t put = write(fd, piece, size);

		if (put < 0 && errno == EAGAIN)
			return 1;
		if (put < 0)
			return errno == EPIPE ? 0
					      : error_set(reterr, error_code_of_errno(errno),
							  "cannot hand over the input: %s", strerror(errno));
		taken(f, (size_t)put);
	}
	pthread_mutex_lock(&f->lock);
	rc = f->used > 0 || !f->done ? 1 : f->deaf ? 0 : f->rc;
	if (rc < 0 && reterr != NULL)
		*reterr = f->why;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

bool fetch_is_empty(struct fetch *f)
{
	bool empty;

	pthread_mutex_lock(&f->lock);
	empty = f->used == 0 && !f->done;
	pthread_mutex_unlock(&f->lock);
	return empty;
}

bool fetch_is_almost_whole(struct fetch *f)
{
	bool almost;

	pthread_mutex_lock(&f->lock);
	almost = is_almost_whole(f);
	pthread_mutex_unlock(&f->lock);
	return almost;
}

bool fetch_has_failed(struct fetch *f)
{
	bool failed;

	pthread_mutex_lock(&f->lock);
	failed = f->done && f->rc < 0;
	pthread_mutex_unlock(&f->lock);
	return failed;
}
