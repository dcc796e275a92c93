#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/options.h"
#include "cli/numbers.h"
#include "cli/selector.h"

struct output_options {
	const char *shard; /* NULL: all */
	const char *phase; /* NULL: the shards, or what gathered them */
	bool stderr_stream;
	const char *file; /* NULL: stdout */
};

/* Where the bytes go. A file gets its name when it is whole. */
struct sink {
	FILE *stream;
	struct buf temporary; /* path; empty: written in place */
};

static int write_piece(void *arg, struct bytes piece)
{
	struct sink *sink = arg;

	return fwrite(piece.data, 1, piece.size, sink->stream) == piece.size ? 0 : -1;
}

static int refuse_file(const char *path, struct error *reterr)
{
	error_set(reterr, ERR_IO, "cannot write: %s", strerror(errno));
	return error_where(reterr, "%.200s", path);
}

static int sink_open(struct sink *sink, const char *file, struct error *reterr)
{
	struct stat st;

	*sink = (struct sink){.stream = stdout};
	if (file == NULL || strcmp(file, "-") == 0)
		return 0;
	if (stat(file, &st) != 0 || S_ISREG(st.st_mode))
		buf_printf(&sink->temporary, "%s.part-%d", file, (int)getpid());
	sink->stream = fopen(sink->temporary.size > 0 ? buf_text(&sink->temporary) : file, "we");
	if (sink->stream != NULL)
		return 0;
	return refuse_file(file, reterr);
}

static int sink_close(struct sink *sink, const char *file, int r, struct error *reterr)
{
	if (sink->stream == NULL || sink->stream == stdout)
		return r;
	if (fclose(sink->stream) != 0 && r == 0)
		r = refuse_file(file, reterr);
	if (sink->temporary.size == 0)
		return r;
	if (r == 0 && rename(buf_text(&sink->temporary), file) != 0)
		r = refuse_file(file, reterr);
	if (r != 0)
		(void)unlink(buf_text(&sink->temporary));
	return r;
}

static void add_query(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(path, "%c%s=", strchr(buf_text(path), '?') == NULL ? '?' : '&', name);
	client_escape(path, value);
}

/* A shard of an array is asked for by the array's number; what is no number the dispatcher refuses. name: the
 * shard as the API calls it. */
static int find_shard(struct cli *cli, uint64_t job, const char *asked, char name[static 24],
		      bool *ret_differs, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct numbers numbers;
	struct api_job facts;
	uint64_t shard;
	int r;

	if (cli_set_number(&shard, asked, NULL) != 0) {
		snprintf(name, 24, "%.23s", asked);
		return 0;
	}
	r = client_get_object(&cli->client, cli_job_path(job, "", path, sizeof(path)), object_job(), &facts,
			      &answer, reterr);
	if (r != 0)
		return r;
	numbers_init(&numbers, facts.array);
	*ret_differs = numbers_differ(&numbers);
	r = numbers_find(&numbers, shard, &shard, reterr);
	if (r != 0)
		options_where("shard", asked, reterr);
	snprintf(name, 24, "%" PRIu64, shard);
	numbers_fini(&numbers);
	client_answer_fini(&answer);
	return r;
}

static int get_output(struct cli *cli, void *options, struct error *reterr)
{
	const struct output_options *o = options;
	struct client_request q = {.method = "GET", .take = write_piece};
	char job_path[CLI_PATH_BYTES_MAX];
	struct client_answer answer = {0};
	struct buf path = {0};
	bool of_array = o->shard != NULL && (o->phase == NULL || strcmp(o->phase, "0") == 0), differs = false;
	char shard[24] = "";
	struct sink sink;
	uint64_t job;
	int r = cli_expect_arguments(cli, 1, 1, "expected one job", reterr);

	if (r == 0)
		r = select_job(cli, cli->argv[0], &job, reterr);
	if (r == 0 && of_array)
		r = find_shard(cli, job, o->shard, shard, &differs, reterr);
	if (r != 0)
		return r;
	buf_printf(&path, "%s", cli_job_path(job, "/output", job_path, sizeof(job_path)));
	add_query(&path, "shard", of_array ? shard : o->shard);
	add_query(&path, "phase", o->phase);
	add_query(&path, "stream", o->stderr_stream ? "err" : NULL);
	q.path = buf_text(&path);
	q.take_arg = &sink;
	r = sink_open(&sink, o->file, reterr);
	if (r == 0)
		r = client_call(&cli->client, &q, &answer, reterr);
	if (r != 0 && differs)
		error_where(reterr, "number %s of the array, its shard %s", o->shard, shard);
	r = sink_close(&sink, o->file, r, reterr);
	client_answer_fini(&answer);
	buf_fini(&sink.temporary);
	buf_fini(&path);
	return r;
}

int verb_output(int argc, char **argv)
{
	struct output_options o = {0};
	const struct options_extra extras[] = {
	    {0, "shard", "N",
	     "Only of this shard; of a dead one what its last attempt wrote. A shard of an array has the "
	     "array's "
	     "number.",
	     cli_set_text, &o.shard},
	    {0, "phase", "N", "Of this phase: 0 is the shards, 1 the (first) gather.", cli_set_text,
	     &o.phase},
	    {0, "stderr", NULL, "What was written to stderr.", cli_set_flag, &o.stderr_stream},
	    {'o', "file", "FILE", "Write to FILE, which gets its name when it is whole.", cli_set_text,
	     &o.file},
	};
	const struct options_spec spec = {
	    .program = "shardmill output",
	    .synopsis = "[OPTION]... JOB",
	    .summary = "write what a job has written",
	    .details =
		"The gathered result, where the job gathers; else each shard's output, in the order of "
		"the shards.\nThe bytes are not changed.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, get_output, &o);
}
