#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/intake/bucket.h"
#include "dispatcher/intake/intake.h"
#include "jobs/event_bucket.h"
#include "jobs/file_tag.h"

bool bucket_ignores(const char *name)
{
	size_t length = strlen(name);

	return name[0] == '.' || (length >= 4 && strcmp(name + length - 4, ".tmp") == 0) ||
	       (length >= 5 && strcmp(name + length - 5, ".part") == 0);
}

usec_t bucket_changed_us(const struct stat *st)
{
	return (usec_t)st->st_ctim.tv_sec * USEC_PER_SEC + st->st_ctim.tv_nsec / 1000;
}

void bucket_keep_below(struct bucket *b, usec_t changed_us)
{
	if (changed_us < b->low_us)
		b->low_us = changed_us;
}

static void offer_close(struct bucket_offer *o)
{
	struct bucket *b = o->bucket;

	DL_DELETE(b->offers, o);
	b->offer_count--;
	free(o);
}

static void on_reply(struct server *s, void *arg, const struct dispatcher_reply *reply)
{
	struct bucket_offer *o = arg;
	struct bucket *b = o->bucket;

	(void)s;
	if (reply->code == ERR_BUSY)
		bucket_keep_below(b, o->changed_us);
	else if (reply->code != ERR_OK)
		log_error("a file starts nothing", log_text("bucket", b->name),
			  log_text("error", reply->why));
	offer_close(o);
	bucket_scan_go_on(b);
}

static struct dedup_key key_of(struct bucket *b, const char *full, const struct stat *st, int64_t mtime_ns)
{
	char tag[FILE_TAG_BYTES_MAX];
	struct bytes parts[2];

	parts[0] = bytes_of(full);
	parts[1] = BYTES(tag, file_tag((uint64_t)st->st_ino, (uint64_t)st->st_size, mtime_ns, tag));
	return dedup_key_of("listing", parts, 2, b->server->dedup_secret);
}

static void offer(struct bucket *b, const char *path, const char *full, const struct stat *st)
{
	int64_t mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	struct bucket_file f = {.bucket = b->name,
				.key = bytes_of(path),
				.path = bytes_of(full),
				.size_bytes = (uint64_t)st->st_size,
				.inode = (uint64_t)st->st_ino,
				.mtime_ns = mtime_ns,
				.wall_us = clock_wall_us()};
	struct intake_result result = {0};
	struct bucket_offer *o;
	struct error e = {0};
	struct event event;
	char line[ERROR_LINE_MAX];

	if (event_bucket_created(&f, &event, &e) < 0) {
		log_error("a file cannot be told as an event", log_text("path", full),
			  log_error_field(&e, line, sizeof(line)));
		return;
	}
	o = check_calloc(1, sizeof(*o));
	o->bucket = b;
	o->changed_us = bucket_changed_us(st);
	DL_APPEND(b->offers, o);
	b->offer_count++;
	intake_offer(b->server, &event, key_of(b, full, st, mtime_ns), on_reply, o, &result);
	if (result.jobs == 0)
		offer_close(o);
	else
		b->offered++;
	event_fini(&event);
}

bool bucket_offer_file(struct bucket *b, const char *path, const struct stat *st)
{
	char full[8192];

	if (server_has_room(b->server, NULL) < 0) {
		bucket_keep_below(b, bucket_changed_us(st));
		return false;
	}
	snprintf(full, sizeof(full), "%s/%s", b->path, path);
	offer(b, path, full, st);
	return true;
}

void bucket_offers_fini(struct bucket *b)
{
	while (b->offers != NULL)
		offer_close(b->offers);
}
