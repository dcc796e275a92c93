#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/emit_stream.h"
#include "cli/human.h"
#include "jobs/api/objects.h"

struct emit_options {
	const char *source, *detail_type, *detail, *id;
	json_t *resources;
	bool stream;
	struct emit_stream_options streaming;
};

static int add_resource(void *arg, const char *value, struct error *reterr)
{
	if (json_array_append_new(arg, json_string(value)) != 0)
		return error_set(reterr, ERR_INVALID, "expected UTF-8");
	return 0;
}

static int set_text(json_t *event, const char *name, const char *value, struct error *reterr)
{
	if (json_object_set_new(event, name, json_string(value)) == 0)
		return 0;
	error_set(reterr, ERR_INVALID, "expected UTF-8");
	return error_where(reterr, "--%s", name);
}

/* The event that the options tell, as text. */
static int make_event(const struct emit_options *o, struct buf *ret, struct error *reterr)
{
	json_error_t where;
	json_t *detail = json_loads(o->detail != NULL ? o->detail : "{}", JSON_REJECT_DUPLICATES, &where);
	json_t *event = json_object();
	char id[CLIENT_ID_BYTES], *text;
	int r = 0;

	client_random_id(id);
	if (!json_is_object(detail)) {
		error_set(reterr, ERR_INVALID, "expected a JSON object%s%s", detail == NULL ? ": " : "",
			  detail == NULL ? where.text : "");
		options_where("detail", o->detail, reterr);
		r = ERR_INVALID;
	}
	json_object_set_new(event, "detail", detail != NULL ? detail : json_null());
	json_object_set(event, "resources", o->resources);
	if (r == 0)
		r = set_text(event, "id", o->id != NULL ? o->id : id, reterr);
	if (r == 0)
		r = set_text(event, "source", o->source, reterr);
	if (r == 0)
		r = set_text(event, "detail-type", o->detail_type, reterr);
	if (r == 0) {
		text = json_dumps(event, JSON_COMPACT);
		CHECK(text != NULL);
		buf_printf(ret, "%s", text);
		free(text);
	}
	json_decref(event);
	return r;
}

static bool made_by_options(const struct emit_options *o)
{
	return o->source != NULL || o->detail_type != NULL || o->detail != NULL || o->id != NULL;
}

static int read_event(struct cli *cli, const struct emit_options *o, struct buf *ret, struct error *reterr)
{
	if (cli->argc == 1 && !made_by_options(o))
		return cli_read_input(cli->argv[0], HTTP_BODY_BYTES_MAX, ret, reterr);
	if (cli->argc == 0 && o->source != NULL && o->detail_type != NULL)
		return make_event(o, ret, reterr);
	error_set(reterr, ERR_INVALID, "expected %sa file with an event, or --source and --detail-type",
		  cli->argc > 1 ? "one argument, " : "");
	return error_help(reterr, "`shardmill emit --help` tells more");
}

static void add_error(struct buf *out, const struct api_error *error)
{
	human_text(out, error->where, false);
	buf_printf(out, "%s", error->where.size > 0 ? ": " : "");
	human_text(out, error->message, false);
	buf_printf(out, "\n");
}

static void add_event(struct buf *out, const struct api_event_taken *event)
{
	struct api_rule_error error;
	json_t *job, *json;
	size_t i;

	buf_printf(out, "event ");
	human_text(out, event->id, false);
	buf_printf(out, ": ");
	if (event->duplicate)
		buf_printf(out, "was known already; ");
	if (json_array_size(event->jobs) == 0)
		buf_printf(out, "no rule matches it");
	else
		buf_printf(out, "%s job%s", event->duplicate ? "it started" : "starts",
			   json_array_size(event->jobs) == 1 ? "" : "s");
	json_array_foreach(event->jobs, i, job)
	    buf_printf(out, "%s %" JSON_INTEGER_FORMAT, i > 0 ? "," : "", json_integer_value(job));
	if (event->forgotten)
		buf_printf(out, ", which %s forgotten",
			   json_array_size(event->jobs) == 1 ? "is" : "are, or the first of them is,");
	buf_printf(out, "\n");
	if (event->skipped > 0) {
		buf_printf(out, "  %" PRIu64 " job%s not started: ", event->skipped,
			   event->skipped == 1 ? "" : "s");
		human_text(out, event->skipped_why, false);
		buf_printf(out, "\n");
	}
	json_array_foreach(event->errors, i, json)
	{
		object_read(object_rule_error(), json, &error);
		buf_printf(out, "  rule ");
		human_text(out, error.rule, false);
		if (error.has_job)
			buf_printf(out, ": job %" PRIu64 " failed at once: ", error.job);
		else
			buf_printf(out, ": its job failed at once: ");
		add_error(out, &error.error);
	}
}

static void add_unknown(struct buf *out, const struct api_events_taken *taken)
{
	size_t i, count = json_array_size(taken->not_understood);
	struct api_error_answer unknown;
	json_t *json;

	json_array_foreach(taken->not_understood, i, json)
	{
		object_read(object_error_answer(), json, &unknown);
		buf_printf(out, "not understood: ");
		add_error(out, &unknown.error);
	}
	if (taken->not_understood_count > count)
		buf_printf(out, "not understood: %" PRIu64 " more\n", taken->not_understood_count - count);
}

/* The exit code: has anything of it failed? */
static int tell_taken(const struct cli *cli, const struct api_events_taken *taken)
{
	struct api_event_taken event;
	struct buf out = {0};
	bool failed;
	json_t *json;
	size_t i;

	failed = taken->not_understood != NULL;
	json_array_foreach(taken->events, i, json)
	{
		object_read(object_event_taken(), json, &event);
		failed |= json_array_size(event.errors) > 0;
		add_event(&out, &event);
	}
	add_unknown(&out, taken);
	if (json_array_size(taken->events) == 0)
		buf_printf(&out, "it holds no event\n");
	if (cli->json)
		buf_clear(&out);
	cli_print(&out);
	return failed ? CLI_EXIT_JOB_FAILED : CLI_EXIT_FINE;
}

static int emit_lines(struct cli *cli, struct emit_options *o, struct error *reterr)
{
	int r = cli_expect_arguments(cli, 0, 1, "expected a file with an event in each line, or -", reterr);

	if (r == 0 && (made_by_options(o) || cli->json)) {
		r = error_set(
		    reterr, ERR_INVALID, "%s",
		    cli->json
			? "--stream tells its end in words only"
			: "the events are those of the file: the options of a single one are not taken");
		error_where(reterr, "--stream");
	}
	o->streaming.path = cli->argc == 1 ? cli->argv[0] : "-";
	return r == 0 ? emit_stream(cli, &o->streaming, reterr) : r;
}

static int emit(struct cli *cli, void *options, struct error *reterr)
{
	const struct emit_options *o = options;
	/* An event has an id, by which the dispatcher knows it again. */
	struct client_request q = {.method = "POST", .path = "/v1/events", .repeatable = true};
	struct api_events_taken taken;
	struct client_answer answer;
	struct buf body = {0};
	int r;

	if (o->stream)
		return emit_lines(cli, options, reterr);
	r = read_event(cli, o, &body, reterr);
	q.body = buf_bytes(&body);
	if (r == 0)
		r = client_call(&cli->client, &q, &answer, reterr);
	buf_fini(&body);
	if (r == ERR_INVALID && cli->argc == 1 && reterr != NULL) {
		struct error e = *reterr;

		error_where(reterr, "%.100s%s%.100s", cli->argv[0], e.where[0] != '\0' ? ": " : "", e.where);
	}
	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	r = client_read(&answer, object_events_taken(), &taken, reterr);
	if (r == 0)
		r = tell_taken(cli, &taken);
	client_answer_fini(&answer);
	return r;
}

int verb_emit(int argc, char **argv)
{
	struct emit_options o = {.resources = json_array(), .streaming.give_up_us = 60 * USEC_PER_SEC};
	const struct options_extra extras[] = {
	    {0, "source", "SOURCE", "Who tells it, as com.example.shop.", cli_set_text, &o.source},
	    {0, "detail-type", "TYPE", "What has happened, as \"Order Placed\".", cli_set_text,
	     &o.detail_type},
	    {0, "detail", "JSON", "An object with all that is to be known about it.", cli_set_text,
	     &o.detail},
	    {0, "resource", "NAME", "What it is about; may be given more than once.", add_resource,
	     o.resources},
	    {0, "id", "ID", "The same id and source are the same event: the second one starts nothing.",
	     cli_set_text, &o.id},
	    {0, "stream", NULL,
	     "Each line of FILE is an event. They are sent as frames with a producer's key, and sent again "
	     "after a "
	     "reconnect; it ends when all of them are durable.",
	     cli_set_flag, &o.stream},
	    {0, "connect", "ENDPOINT",
	     "With --stream: where the dispatcher listens. Default: dispatcher.sock in the state directory "
	     "if it "
	     "is there, else tcp://127.0.0.1:7170.",
	     cli_set_text, &o.streaming.connect},
	    {0, "keys-dir", "DIR",
	     "With --stream: directory of producer.key and dispatcher.key.pub. Default: keys/ in the state "
	     "directory.",
	     cli_set_text, &o.streaming.keys_dir},
	    {0, "give-up", "DURATION",
	     "With --stream: end when the dispatcher has not answered for so long. Default: 60s.",
	     cli_set_duration, &o.streaming.give_up_us},
	};
	const struct options_spec spec = {
	    .program = "shardmill emit",
	    .synopsis = "[OPTION]... FILE|-",
	    .summary = "offer an event to the rules",
	    .details =
		"FILE holds an event of EventBridge's form, an S3 notification, or a CloudEvent, as JSON.\n"
		"Without FILE the event is made of --source, --detail-type and --detail.\n"
		"It exits with 1 when the event was taken but a rule that it matches could not make a job "
		"that\n"
		"runs of it: that job is there, and has failed with the reason. It also exits with 1 when "
		"some\n"
		"records of FILE are no events; the other records are taken.\n"
		"With --stream, bad lines are told by their numbers on stderr; the other lines are taken. It "
		"exits\n"
		"with 0 only when each line is durable, and with 1 when some were bad or started jobs that "
		"failed\n"
		"at once.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};
	int code = cli_run(&spec, argc, argv, emit, &o);

	json_decref(o.resources);
	return code;
}
