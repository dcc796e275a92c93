#include "dispatcher/intake/buckets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/part.h"
#include "jobs/api/values.h"
#include "dispatcher/intake/bucket.h"

#define LOOK_EVERY_US USEC_PER_SEC

static void set_gone(struct bucket *b, const struct error *e)
{
	char line[ERROR_LINE_MAX];

	snprintf(b->gone, sizeof(b->gone), "%s", error_text(e, line, sizeof(line)));
}

static void look_again(struct bucket *b)
{
	b->looking = false;
	loop_timer_set(b->services->loop, &b->root_timer, clock_mono_us() + (b->doubted ? 0 : LOOK_EVERY_US));
	b->doubted = false;
}

void bucket_attached(struct bucket *b, int r, const struct error *e)
{
	char line[ERROR_LINE_MAX];

	look_again(b);
	if (r < 0) {
		if (b->gone[0] == '\0')
			log_warn("a watched directory cannot be taken up", log_text("bucket", b->given),
				 log_error_field(e, line, sizeof(line)));
		set_gone(b, e);
		return;
	}
	b->gone[0] = '\0';
	log_warn("watching what now stands at the path of a watched directory: files in it that were not "
		 "taken yet are taken",
		 log_text("bucket", b->given), log_u64("known_files", taken_count(b->taken)));
	bucket_scan(b);
}

void bucket_looked(struct bucket *b, int r, const struct error *e)
{
	char line[ERROR_LINE_MAX];

	if (r != 0 && b->path != NULL) {
		log_warn(r == ERR_EXISTS
			     ? "a watched directory was replaced by another one, or a mount covers it"
			     : "a watched directory is gone: it is watched again when it is back",
			 log_text("bucket", b->given), log_error_field(e, line, sizeof(line)));
		bucket_detach(b);
	}
	if (r == ERR_EXISTS)
		return; /* it is being opened */
	if (r != 0)
		set_gone(b, e);
	look_again(b);
}

static void on_root_timer(struct loop *loop, void *arg)
{
	struct bucket *b = arg;

	(void)loop;
	b->looking = true;
	bucket_look(b);
}

void bucket_doubt_root(struct bucket *b)
{
	if (b->looking)
		b->doubted = true;
	else
		loop_timer_set(b->services->loop, &b->root_timer, clock_mono_us());
}

static void bucket_destroy(struct bucket *b)
{
	loop_timer_unset(b->services->loop, &b->root_timer);
	if (b->readers != NULL) {
		bucket_detach(b);
		bucket_applies_fini(b);
		bucket_work_close(b);
	}
	bucket_offers_fini(b);
	free(b->given);
	free(b);
}

/* Absolute, but with its links: they may come to point elsewhere. */
static char *absolute(const char *path)
{
	char here[4096];
	struct buf text = {0};

	if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		here[0] = '\0';
	buf_printf(&text, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
	buf_text(&text);
	return (char *)text.data;
}

static struct bucket *bucket_create(struct services *s, const char *path)
{
	struct bucket *b = check_calloc(1, sizeof(*b));

	b->services = s;
	b->dir_fd = b->notify_fd = -1;
	b->given = absolute(path);
	b->root_timer = (struct loop_timer){.fn = on_root_timer, .arg = b};
	b->flush_task = (struct loop_task){.fn = bucket_on_flush, .arg = b};
	bucket_scan_init(b);
	return b;
}

static int buckets_open(struct services *s, struct error *reterr)
{
	struct buckets *all = s->buckets = check_calloc(1, sizeof(*all));

	for (size_t i = 0; i < params_list_count(s->params, PARAM_BUCKET); i++) {
		struct bucket *b = bucket_create(s, params_list_at(s->params, PARAM_BUCKET, i));
		int r;

		b->next = all->first;
		all->first = b;
		r = bucket_work_open(b, reterr);
		if (r == 0)
			r = bucket_attach(b, reterr);
		if (r < 0)
			return error_where(reterr, "bucket %s", b->given);
		log_info("watching", log_text("bucket", b->path),
			 log_u64("known_files", taken_count(b->taken)));
		bucket_scan(b);
		loop_timer_set(s->loop, &b->root_timer, clock_mono_us() + LOOK_EVERY_US);
	}
	return 0;
}

static void buckets_close(struct services *s)
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

static void buckets_pause(struct services *s)
{
	for (struct bucket *b = s->buckets != NULL ? s->buckets->first : NULL; b != NULL; b = b->next)
		b->paused = true;
}

static void buckets_resume(struct services *s)
{
	for (struct bucket *b = s->buckets != NULL ? s->buckets->first : NULL; b != NULL; b = b->next) {
		b->paused = false;
		bucket_go_on(b);
	}
}

const struct part part_buckets = {.name = "buckets",
				  .open = buckets_open,
				  .close = buckets_close,
				  .pause = buckets_pause,
				  .resume = buckets_resume};

static json_t *bucket_json(const struct bucket *b)
{
	const struct api_bucket bucket = {
	    .path = bytes_of(b->given),
	    .error = bytes_of(b->gone[0] == '\0' && b->slow ? "it does not answer" : b->gone),
	    .files = b->taken != NULL ? taken_count(b->taken) : 0,
	    .left_out = {.hidden = b->left[LEFT_HIDDEN],
			 .unfinished = b->left[LEFT_UNFINISHED],
			 .symbolic_links = b->left[LEFT_LINK],
			 .special = b->left[LEFT_SPECIAL],
			 .unreadable = b->left[LEFT_UNREADABLE]},
	};

	return object_write(object_bucket(), &bucket);
}

json_t *buckets_json(const struct services *s)
{
	json_t *list = json_array();

	for (const struct bucket *b = s->buckets != NULL ? s->buckets->first : NULL; b != NULL; b = b->next)
		json_array_append_new(list, bucket_json(b));
	return list;
}
