/* Buckets become files, files become fewer, and go. What changes the list is done one after the other, each
 * in a reader's thread: the new file is whole and synced first, then the list names it, then others are
 * unlinked. */
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/constants.h"
#include "base/log.h"
#include "dispatcher/dedup/dedup_private.h"
#include "dispatcher/dedup/key_build.h"

#define COPIED_AT_A_TIME 16384u /* entries, in one turn of the loop */
#define MERGES_FAILED_MAX 7	/* of those that are counted: each one doubles the wait */

/* ---- in a reader's thread ---- */

static void remove_files(const struct dedup_files *d)
{
	for (size_t i = 0; i < ARRAY_LENGTH(d->gone); i++) {
		char *path = d->gone[i] != NULL ? key_file_path(d->dir, d->gone[i]->number) : NULL;

		if (path != NULL)
			(void)unlink(path); /* else it goes at the next start */
		free(path);
	}
}

/* The list was not written: or was it, and only the directory could not be synced? */
static void remove_unnamed(const struct dedup_files *d)
{
	struct key_list list = {0};
	bool is_named = key_list_read(d->dir, &list, NULL) < 0;
	char *path = key_file_path(d->dir, d->made->number);

	for (uint32_t i = 0; i < list.count; i++)
		is_named |= list.rows[i].number == d->made->number;
	if (!is_named)
		(void)unlink(path);
	free(path);
	key_list_fini(&list);
}

static void run_work(struct history_reader *history, struct reading *r)
{
	struct dedup_files *d = (struct dedup_files *)((char *)r - offsetof(struct dedup_files, work));

	(void)history;
	if (d->working == WORK_SEAL) {
		struct key_row *row = &d->list.rows[d->list.count];

		r->rc = key_build(d->dir, d->number, d->first_us, d->bucket_us, d->entries, d->entry_count,
				  &d->made, &r->error);
		if (r->rc < 0)
			return;
		*row = (struct key_row){d->made->number, d->made->last_us, d->made->keys};
		d->list.count++;
		d->list.sealed_us = d->bucket_us;
	}
	r->rc = key_list_write(d->dir, &d->list, &r->error);
	if (r->rc == 0)
		remove_files(d);
	else if (d->made != NULL)
		remove_unnamed(d);
}

static void run_merge(struct history_reader *history, struct reading *r)
{
	struct dedup_files *d = (struct dedup_files *)((char *)r - offsetof(struct dedup_files, merge));

	(void)history;
	r->rc = key_merge(d->dir, d->merged_number, d->from[0], d->from[1], d->forget_before_us,
			  DEDUP_MERGE_BYTES_PER_SECOND, &r->cancelled, &d->merged, &r->error);
}

/* ---- in the loop ---- */

static void tell_failure(struct dedup_files *d, struct reading *r)
{
	char line[ERROR_LINE_MAX];

	if (!d->told && !d->services->stopping)
		log_error("files of keys cannot be written: keys stay in memory, up to dedup_max",
			  log_error_field(&r->error, line, sizeof(line)));
	d->told = true;
}

static void end_sealing(struct dedup_files *d)
{
	struct input_dedup_kept in = {.bucket_wall_us = d->bucket_us};

	free(d->entries);
	d->entries = NULL;
	d->entry_count = d->entry_room = 0;
	d->copied = false;
	d->bucket_us = 0;
	if (!d->services->stopping)
		port_submit(d->services->port, INPUT_DEDUP_KEPT, &in, NULL);
}

static void take_sealed(struct dedup_files *d)
{
	files_add(d, d->made);
	d->made = NULL;
	d->changes++;
	if (d->bucket_us > d->sealed_us)
		d->sealed_us = d->bucket_us;
	end_sealing(d);
}

/* The merged one stands where they stood. */
static void take_swapped(struct dedup_files *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->files[i] == d->from[0])
			d->files[i] = d->merged;
	files_take(d, d->from[1]);
	d->merged = d->from[0] = d->from[1] = NULL;
	d->changes++; /* its filter takes other keys for its own */
}

static void on_worked(struct reading *r)
{
	struct dedup_files *d = (struct dedup_files *)((char *)r - offsetof(struct dedup_files, work));
	enum dedup_work working = d->working;

	d->working = WORK_NONE;
	key_list_fini(&d->list);
	if (r->rc == 0 && working == WORK_SEAL)
		take_sealed(d);
	else if (r->rc == 0 && working == WORK_SWAP)
		take_swapped(d);
	for (size_t i = 0; i < ARRAY_LENGTH(d->gone); i++) {
		if (r->rc == 0 || working == WORK_DROP)
			key_file_unref(d->gone[i]);
		d->gone[i] = NULL;
	}
	key_file_unref(d->made); /* the list does not name it */
	d->made = NULL;
	if (r->rc == 0) {
		d->told = false;
		works_go_on(d);
		return;
	}
	tell_failure(d, r);
	if (!d->services->stopping)
		loop_timer_set(d->services->loop, &d->timer, clock_mono_us() + DEDUP_FAILED_US);
}

static void ask(struct dedup_files *d, enum dedup_work working)
{
	d->working = working;
	d->work = (struct reading){.run = run_work,
				   .done = on_worked,
				   .lane = READERS_LANE_KEYS_LIST,
				   .lane_max = 1,
				   .without_history = true};
	readers_ask(d->services->readers, &d->work);
}

static void tell_unreadable(const struct reading *r)
{
	char line[ERROR_LINE_MAX];

	log_error(
	    "a file of keys cannot be read: it is merged with no other, and events that need what is damaged "
	    "in it are refused until dedup_window has passed",
	    log_error_field(&r->error, line, sizeof(line)));
}

/* Each failure may have written a third of all keys in vain. The timer is that of the other works, too. */
static void put_off_merge(struct dedup_files *d)
{
	usec_t now_us = clock_mono_us();

	d->merge_after_us = now_us + (DEDUP_FAILED_US << d->merges_failed);
	if (d->merges_failed < MERGES_FAILED_MAX)
		d->merges_failed++;
	loop_timer_set(d->services->loop, &d->timer, now_us + DEDUP_FAILED_US);
}

static void on_merged(struct reading *r)
{
	struct dedup_files *d = (struct dedup_files *)((char *)r - offsetof(struct dedup_files, merge));
	bool is_unreadable;

	if (r->rc == 0) {
		d->merges_failed = 0;
		works_go_on(d);
		return;
	}
	is_unreadable = atomic_load(&d->from[0]->is_unreadable) || atomic_load(&d->from[1]->is_unreadable);
	d->from[0] = d->from[1] = NULL;
	if (r->rc == ERR_CLOSED || d->services->stopping)
		return;
	if (is_unreadable) {
		tell_unreadable(r);
		works_go_on(d); /* others, now: each file fails once */
		return;
	}
	tell_failure(d, r);
	put_off_merge(d);
}

static void start_merge(struct dedup_files *d, usec_t forget_before_us)
{
	uint32_t best;

	if (d->from[0] != NULL || !files_to_merge(d, &best) || clock_mono_us() < d->merge_after_us)
		return;
	d->from[0] = d->files[best];
	d->from[1] = d->files[best + 1];
	d->merged_number = ++d->last_number;
	d->forget_before_us = forget_before_us;
	d->merge = (struct reading){.run = run_merge,
				    .done = on_merged,
				    .lane = READERS_LANE_KEYS_MERGE,
				    .lane_max = 1,
				    .without_history = true};
	readers_ask(d->services->readers, &d->merge);
}

static bool start_seal(struct dedup_files *d)
{
	if (!d->copied)
		return false;
	d->number = ++d->last_number;
	files_list(d, d->gone, NULL, &d->list);
	ask(d, WORK_SEAL);
	return true;
}

static bool start_swap(struct dedup_files *d)
{
	if (d->merged == NULL)
		return false;
	d->gone[0] = d->from[0];
	d->gone[1] = d->from[1];
	files_list(d, d->gone, d->merged, &d->list);
	ask(d, WORK_SWAP);
	return true;
}

static void tell_shortened(const struct dedup_files *d)
{
	usec_t since_us = d->count > 0 ? d->files[0]->first_us : d->sealed_us;

	log_warn("deduplication reaches back less than its window: dedup_bytes is its bound",
		 log_i64("seconds", (clock_wall_us() - since_us) / USEC_PER_SEC));
}

static bool start_drop(struct dedup_files *d, usec_t forget_before_us)
{
	struct key_file *oldest = d->count > 0 ? d->files[0] : NULL;
	bool is_old = oldest != NULL && oldest->last_us < forget_before_us;

	if (oldest == NULL || oldest == d->from[0] || (!is_old && files_bytes(d) <= d->bytes_max))
		return false;
	files_take(d, oldest);
	d->gone[0] = oldest;
	files_list(d, d->gone, NULL, &d->list);
	if (!is_old)
		tell_shortened(d);
	ask(d, WORK_DROP);
	return true;
}

void works_go_on(struct dedup_files *d)
{
	struct view_counters c;

	if (d->services->stopping)
		return;
	dispatcher_view_counters(services_core(d->services), &c);
	if (d->working == WORK_NONE && !start_seal(d) && !start_swap(d))
		(void)start_drop(d, c.dedup_forget_before_us);
	start_merge(d, c.dedup_forget_before_us);
}

void works_fini(struct dedup_files *d)
{
	key_file_unref(d->merged);
	key_list_fini(&d->list);
	free(d->entries);
}

/* ---- buckets are handed out ---- */

/* A piece a turn, so that the loop goes on meanwhile. */
static void on_copy(struct loop *loop, void *arg)
{
	struct dedup_files *d = arg;
	static struct dedup_entry piece[COPIED_AT_A_TIME];
	uint32_t count = dispatcher_view_sealing(services_core(d->services), d->bucket_us, &d->copied_at,
						 COPIED_AT_A_TIME, piece);

	if (count > 0 && d->entry_count == 0)
		d->first_us = d->copied_at.bucket_wall_us;
	ARRAY_RESERVE(d->entries, d->entry_room, d->entry_count + count);
	for (uint32_t i = 0; i < count; i++)
		d->entries[d->entry_count++] =
		    (struct key_entry){piece[i].key_hi, piece[i].key_lo, piece[i].job, piece[i].job_count,
				       key_bucket_s(d->copied_at.bucket_wall_us)};
	if (count > 0) {
		loop_defer(loop, &d->copy);
	} else if (d->entry_count > 0) {
		d->copied = true;
		works_go_on(d);
	} else {
		end_sealing(d); /* they have gone */
	}
}

void dedup_seal_up_to(struct services *s, usec_t bucket_wall_us)
{
	struct dedup_files *d = s->dedup;

	CHECK(d != NULL && d->bucket_us == 0);
	d->bucket_us = bucket_wall_us;
	d->copied_at = (struct view_sealing){0};
	d->copy = (struct loop_task){.fn = on_copy, .arg = d};
	loop_defer(s->loop, &d->copy);
}
