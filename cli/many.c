#include "cli/many.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/human.h"

#define RANGES_MAX 100000u   /* of one request: what its body has room for */
#define LOOK_US USEC_PER_SEC /* between two looks where a person watches */
#define LOOK_QUIET_US (30 * USEC_PER_SEC)

/* The ids from *at on, as ranges; moves behind those that fitted. */
static json_t *take_ranges(const struct job_ids *ids, size_t *at)
{
	json_t *list = json_array();

	while (*at < ids->count && json_array_size(list) < RANGES_MAX) {
		uint64_t first = ids->items[*at], last = first;
		json_t *range = json_array();

		while (++*at < ids->count && ids->items[*at] == last + 1)
			last++;
		json_array_append_new(range, json_integer((json_int_t)first));
		json_array_append_new(range, json_integer((json_int_t)last));
		json_array_append_new(list, range);
	}
	return list;
}

/* Where the id stands that an answer names as the next; the end when it is 0. */
static size_t place_of(const struct job_ids *ids, uint64_t next, size_t from, size_t end)
{
	if (next == 0)
		return end;
	while (from < end && ids->items[from] != next)
		from++;
	return from;
}

/* What answers sum up to; errors have been told, and nothing is left to ask for. */
static void print_sums(const struct cli *cli, const struct object_type *o, const void *sums)
{
	json_t *json = object_write(o, sums);

	json_object_del(json, "errors");
	json_object_del(json, "next");
	cli_print_json_value(cli, json);
	json_decref(json);
}

/* ---- a change ---- */

/* The exit code of the worst. */
static int tell_errors(struct cli *cli, const struct many_change *c, const json_t *errors)
{
	int code = CLI_EXIT_FINE;
	struct api_job_error job;
	json_t *item;
	size_t i;

	json_array_foreach(errors, i, item)
	{
		struct error e = {0};
		int r;

		object_read(object_job_error(), item, &job);
		error_set(&e, client_error_code(&job.error), "%s", api_text(job.error.message));
		error_help(&e, "%s", api_text(job.error.help));
		r = c->on_error != NULL ? c->on_error(cli, job.id, &e) : cli_tell_error(cli, &e);
		code = code == CLI_EXIT_FINE ? r : code;
	}
	return code;
}

static void tell_sums(const struct cli *cli, const struct many_change *c, const struct api_changed *sums)
{
	char text[HUMAN_TEXT_MAX];

	if (cli->json) {
		print_sums(cli, object_changed(), sums);
		return;
	}
	printf("%s job%s %s", human_count(sums->changed, text, sizeof(text)), sums->changed == 1 ? "" : "s",
	       c->done);
	if (sums->same > 0)
		printf(", %s needed nothing", human_count(sums->same, text, sizeof(text)));
	if (sums->left > 0)
		printf(", %s %s", human_count(sums->left, text, sizeof(text)),
		       c->left != NULL ? c->left : "had ended");
	printf("\n");
}

/* One request: *at moves to the first job that was not seen to. 0 or more is an exit code. */
static int change_once(struct cli *cli, const struct many_change *c, const struct job_ids *ids, size_t *at,
		       struct api_changed *sums, struct error *reterr)
{
	size_t end = *at;
	const struct api_changes asked = {.change = bytes_of(c->change),
					  .jobs = take_ranges(ids, &end),
					  .why = bytes_of(c->why != NULL ? c->why : ""),
					  .cancelled = c->cancelled};
	struct client_answer answer;
	struct api_changed changed;
	int r = client_post(&cli->client, "/v1/changes", object_changes(), &asked, true, &answer, reterr);

	if (r != 0)
		return r;
	r = client_read(&answer, object_changed(), &changed, reterr);
	if (r == 0) {
		*at = place_of(ids, changed.next, *at, end);
		sums->changed += changed.changed;
		sums->same += changed.same;
		sums->left += changed.left;
		r = tell_errors(cli, c, changed.errors);
	}
	client_answer_fini(&answer);
	return r;
}

int many_change(struct cli *cli, const struct many_change *c, const struct job_ids *ids, struct error *reterr)
{
	struct api_changed sums = {.changed = 0};
	int code = CLI_EXIT_FINE;

	for (size_t at = 0; at < ids->count;) {
		int r = change_once(cli, c, ids, &at, &sums, reterr);

		if (r < 0)
			return r;
		code = code == CLI_EXIT_FINE ? r : code;
	}
	if (c->left_ret != NULL)
		*c->left_ret = sums.left;
	if (c->left_ret == NULL || (cli->json && sums.left == 0))
		tell_sums(cli, c, &sums);
	return code;
}

/* ---- waiting ---- */

static void show_progress(size_t ended, size_t count)
{
	char a[HUMAN_TEXT_MAX], b[HUMAN_TEXT_MAX];

	fprintf(stderr, "\r\033[K%s of %s jobs have ended", human_count(ended, a, sizeof(a)),
		human_count(count, b, sizeof(b)));
}

/* sums->not_succeeded is taken over. */
static int tell_ends(const struct cli *cli, struct api_waited *sums, size_t count)
{
	size_t i, named = json_array_size(sums->not_succeeded);
	char text[HUMAN_TEXT_MAX];
	json_t *job;

	if (cli->json) {
		print_sums(cli, object_waited(), sums);
		sums->not_succeeded = NULL;
	} else {
		printf("%s jobs have ended: %" PRIu64 " succeeded, %" PRIu64 " failed, %" PRIu64 " cancelled",
		       human_count(count, text, sizeof(text)), sums->succeeded, sums->failed,
		       sums->cancelled);
		json_array_foreach(sums->not_succeeded, i, job) printf(
		    "%s %" JSON_INTEGER_FORMAT, i == 0 ? " (not succeeded:" : ",", json_integer_value(job));
		printf("%s%s\n", sums->failed + sums->cancelled > named ? ", ..." : "", named > 0 ? ")" : "");
	}
	if (sums->failed > 0)
		return CLI_EXIT_JOB_FAILED;
	return sums->cancelled > 0 ? CLI_EXIT_JOB_CANCELLED : CLI_EXIT_FINE;
}

/* One request: *at moves to the first job that has not ended. */
static int wait_once(struct cli *cli, const struct job_ids *ids, size_t *at, usec_t timeout_us,
		     struct api_waited *sums, struct error *reterr)
{
	char timeout[32];
	size_t end = *at;
	struct api_wait asked = {.jobs = take_ranges(ids, &end)};
	struct client_answer answer;
	struct api_waited waited;
	int r;

	snprintf(timeout, sizeof(timeout), "%" PRId64 "us", timeout_us);
	asked.timeout = bytes_of(timeout);
	r = client_post(&cli->client, "/v1/wait", object_wait(), &asked, true, &answer, reterr);
	if (r != 0)
		return r;
	r = client_read(&answer, object_waited(), &waited, reterr);
	if (r == 0) {
		*at = place_of(ids, waited.next, *at, end);
		sums->succeeded += waited.succeeded;
		sums->failed += waited.failed;
		sums->cancelled += waited.cancelled;
		if (json_array_size(sums->not_succeeded) < MANY_JOBS)
			json_array_extend(sums->not_succeeded, waited.not_succeeded);
	}
	client_answer_fini(&answer);
	return r;
}

int many_wait(struct cli *cli, const struct job_ids *ids, usec_t deadline_us, struct error *reterr)
{
	bool watched = terminal_of(stderr).is_terminal;
	struct api_waited sums = {.not_succeeded = json_array()};
	usec_t patience_us = cli->client.patience_us, now = clock_mono_us();
	size_t at = 0;
	int r = 0;

	cli->client.patience_us = USEC_NEVER; /* a dispatcher that is started again is waited for */
	cli->client.deadline_us = deadline_us;
	for (; at < ids->count && r == 0; now = clock_mono_us()) {
		usec_t timeout_us = watched ? LOOK_US : LOOK_QUIET_US;

		if (deadline_us != USEC_NEVER && deadline_us - now < timeout_us)
			timeout_us = deadline_us > now ? deadline_us - now : 0;
		r = wait_once(cli, ids, &at, timeout_us, &sums, reterr);
		if (watched && r == 0)
			show_progress(at, ids->count);
		if (r == 0 && at < ids->count && clock_mono_us() >= deadline_us)
			r = CLI_EXIT_TIMEOUT;
	}
	cli->client.patience_us = patience_us;
	cli->client.deadline_us = USEC_NEVER;
	if (watched)
		fprintf(stderr, "\r\033[K");
	if (r == CLI_EXIT_TIMEOUT)
		fprintf(stderr, "%s: time is over; of %zu jobs, job %" PRIu64 " and perhaps others go on\n",
			cli->program, ids->count, ids->items[at]);
	if (r == 0)
		r = tell_ends(cli, &sums, ids->count);
	json_decref(sums.not_succeeded);
	return r;
}
