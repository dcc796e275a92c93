#include "dispatcher/intake/buckets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "dispatcher/intake/bucket.h"

static void bucket_destroy(struct bucket *b)
{
	bucket_scan_fini(b);
	bucket_notify_close(b);
	bucket_offers_fini(b);
	if (b->dir_fd >= 0)
		close(b->dir_fd);
	free(b->path);
	free(b->intake);
	free(b);
}

static void read_watermark(struct bucket *b)
{
	struct bytes position = dispatcher_view_watermark(b->server->core, bytes_of(b->intake));
	char text[64] = "";
	long long at;

	if (position.size < sizeof(text) && position.size > 0)
		memcpy(text, position.data, position.size);
	if (sscanf(text, "1 %lld", &at) == 1)
		b->watermark_us = b->written_us = at;
}

static int bucket_open(struct server *s, const char *path, struct bucket **ret, struct error *reterr)
{
	struct bucket *b = check_calloc(1, sizeof(*b));
	struct buf intake = {0};
	int r;

	b->server = s;
	b->notify_fd = -1;
	bucket_scan_init(b);
	b->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b->path = b->dir_fd >= 0 ? realpath(path, NULL) : NULL;
	if (b->path == NULL) {
		error_set(reterr, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID,
			  "the directory to watch cannot be read: %s", strerror(errno));
		bucket_destroy(b);
		return error_where(reterr, "bucket %s", path);
	}
	b->name = strrchr(b->path, '/') + 1;
	buf_printf(&intake, "bucket:%s", b->path);
	b->intake = strdup(buf_text(&intake));
	buf_fini(&intake);
	read_watermark(b);
	r = bucket_notify_open(b, reterr);
	if (r < 0) {
		bucket_destroy(b);
		return r;
	}
	*ret = b;
	return 0;
}

int buckets_open(struct server *s, struct error *reterr)
{
	struct buckets *all = s->buckets = check_calloc(1, sizeof(*all));

	for (size_t i = 0; i < params_list_count(s->params, PARAM_BUCKET); i++) {
		struct bucket *b = NULL;
		int r = bucket_open(s, params_list_at(s->params, PARAM_BUCKET, i), &b, reterr);

		if (r < 0)
			return r;
		b->next = all->first;
		all->first = b;
		log_info("watching", log_text("bucket", b->path));
		bucket_scan(b);
	}
	return 0;
}

void buckets_close(struct server *s)
{
	struct buckets *all = s->buckets;

	if (all == NULL)
		return;
	while (all->first != NULL) {
		struct bucket *b = all->first;

		all->first = b->next;
		bucket_destroy(b);
	}
	free(all);
	s->buckets = NULL;
}
