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

		while (++*at < ids->count && ids->items[*at] == last + 1)
			last++;
		json_array_append_new(list, json_pack("[I,I]", (json_int_t)first, (json_int_t)last));
	}
	return list;
}

/* Where the id stands that an answer names as the next; the end when it is null. */
static size_t place_of(const struct job_ids *ids, json_t *next, size_t from, size_t end)
{
	if (!json_is_integer(next))
		return end;
	while (from < end && ids->items[from] != (uint64_t)json_integer_value(next))
		from++;
	return from;
}

static void add_number(json_t *sums, json_t *answer, const char *name)
{
	json_object_set_new(sums, name,
			    json_integer((json_int_t)(cli_number(sums, name) + cli_number(answer, name))));
}

/* ---- a change ---- */

/* The exit code of the worst. */
static int tell_errors(struct cli *cli, const struct many_change *c, json_t *answer)
{
	int code = CLI_EXIT_FINE;
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(answer, "errors"), i, item)
	{
		json_t *error = json_object_get(item, "error");
		struct error e = {0};
		int r;

		error_set(&e, error_code_of(cli_text(error, "code")), "%s", cli_text(error, "message"));
		error_help(&e, "%s", cli_text(error, "help"));
		r = c->on_error != NULL ? c->on_error(cli, cli_number(item, "id"), &e)
					: cli_tell_error(cli, &e);
		code = code == CLI_EXIT_FINE ? r : code;
	}
	return code;
}

static void tell_sums(const struct cli *cli, const struct many_change *c, json_t *sums)
{
	char text[HUMAN_TEXT_MAX];
	uint64_t changed = cli_number(sums, "changed"), same = cli_number(sums, "same"),
		 left = cli_number(sums, "left");

	if (cli->json) {
		cli_print_json_value(cli, sums);
		return;
	}
	printf("%s job%s %s", human_count(changed, text, sizeof(text)), changed == 1 ? "" : "s", c->done);
	if (same > 0)
		printf(", %s needed nothing", human_count(same, text, sizeof(text)));
	if (left > 0)
		printf(", %s had ended", human_count(left, text, sizeof(text)));
	printf("\n");
}

int many_change(struct cli *cli, const struct many_change *c, const struct job_ids *ids, struct error *reterr)
{
	json_t *sums = json_object();
	int code = CLI_EXIT_FINE, r = 0;

	for (size_t at = 0, end = 0; at < ids->count && r == 0; end = at) {
		json_t *ranges = take_ranges(ids, &end), *body;
		struct client_answer answer;

		body = json_pack("{s:s,s:o,s:b}", "change", c->change, "jobs", ranges, "cancelled",
				 c->cancelled);
		if (c->why != NULL)
			json_object_set_new(body, "why", json_string(c->why));
		r = client_post(&cli->client, "/v1/changes", body, true, &answer, reterr);
		if (r != 0)
			break;
		at = place_of(ids, json_object_get(answer.json, "next"), at, end);
		add_number(sums, answer.json, "changed");
		add_number(sums, answer.json, "same");
		add_number(sums, answer.json, "left");
		r = tell_errors(cli, c, answer.json);
		client_answer_fini(&answer);
		code = code == CLI_EXIT_FINE ? r : code;
		r = 0;
	}
	if (r == 0)
		tell_sums(cli, c, sums);
	json_decref(sums);
	return r != 0 ? r : code;
}

/* ---- waiting ---- */

static void show_progress(size_t ended, size_t count)
{
	char a[HUMAN_TEXT_MAX], b[HUMAN_TEXT_MAX];

	fprintf(stderr, "\r\033[K%s of %s jobs have ended", human_count(ended, a, sizeof(a)),
		human_count(count, b, sizeof(b)));
}

static int tell_ends(const struct cli *cli, json_t *sums, json_t *named, size_t count)
{
	uint64_t failed = cli_number(sums, "failed"), cancelled = cli_number(sums, "cancelled");
	char text[HUMAN_TEXT_MAX];
	json_t *job;
	size_t i;

	if (cli->json) {
		json_object_set(sums, "not_succeeded", named);
		cli_print_json_value(cli, sums);
	} else {
		printf("%s jobs have ended: %" PRIu64 " succeeded, %" PRIu64 " failed, %" PRIu64 " cancelled",
		       human_count(count, text, sizeof(text)), cli_number(sums, "succeeded"), failed,
		       cancelled);
		json_array_foreach(named, i, job) printf(
		    "%s %" JSON_INTEGER_FORMAT, i == 0 ? " (not succeeded:" : ",", json_integer_value(job));
		printf("%s%s\n", failed + cancelled > json_array_size(named) ? ", ..." : "",
		       json_array_size(named) > 0 ? ")" : "");
	}
	return failed > 0 ? CLI_EXIT_JOB_FAILED : cancelled > 0 ? CLI_EXIT_JOB_CANCELLED : CLI_EXIT_FINE;
}

/* One request: *at moves to the first job that has not ended. */
static int wait_once(struct cli *cli, const struct job_ids *ids, size_t *at, usec_t timeout_us, json_t *sums,
		     json_t *named, struct error *reterr)
{
	size_t end = *at;
	json_t *ranges = take_ranges(ids, &end);
	struct client_answer answer;
	char timeout[32];
	int r;

	snprintf(timeout, sizeof(timeout), "%" PRId64 "us", timeout_us);
	r = client_post(&cli->client, "/v1/wait", json_pack("{s:o,s:s}", "jobs", ranges, "timeout", timeout),
			true, &answer, reterr);
	if (r != 0)
		return r;
	*at = place_of(ids, json_object_get(answer.json, "next"), *at, end);
	add_number(sums, answer.json, "succeeded");
	add_number(sums, answer.json, "failed");
	add_number(sums, answer.json, "cancelled");
	if (json_array_size(named) < MANY_JOBS)
		json_array_extend(named, json_object_get(answer.json, "not_succeeded"));
	client_answer_fini(&answer);
	return 0;
}

int many_wait(struct cli *cli, const struct job_ids *ids, usec_t deadline_us, struct error *reterr)
{
	bool watched = terminal_of(stderr).is_terminal;
	json_t *sums = json_object(), *named = json_array();
	usec_t patience_us = cli->client.patience_us, now = clock_mono_us();
	size_t at = 0;
	int r = 0;

	cli->client.patience_us = USEC_NEVER; /* a dispatcher that is started again is waited for */
	cli->client.deadline_us = deadline_us;
	for (; at < ids->count && r == 0; now = clock_mono_us()) {
		usec_t timeout_us = watched ? LOOK_US : LOOK_QUIET_US;

		if (deadline_us != USEC_NEVER && deadline_us - now < timeout_us)
			timeout_us = deadline_us > now ? deadline_us - now : 0;
		r = wait_once(cli, ids, &at, timeout_us, sums, named, reterr);
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
		r = tell_ends(cli, sums, named, ids->count);
	json_decref(sums);
	json_decref(named);
	return r;
}
