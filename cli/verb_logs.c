#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/logs.h"
#include "cli/selector.h"

/* "7" or "3-7"; arg is the options. */
static int set_shards(void *arg, const char *value, struct error *reterr)
{
	struct logs_options *o = arg;
	uint64_t first = 0, last = 0;
	char found[80];

	if (!units_take_range(value, INT64_MAX, &first, &last) || last < first)
		return error_set(reterr, ERR_INVALID,
				 "expected a shard's number, or a range as 3-7, found %s",
				 text_quote(found, sizeof(found), bytes_of(value)));
	o->first = first;
	o->last = last;
	return 0;
}

static int show(struct cli *cli, void *options, struct error *reterr)
{
	struct logs_options o = *(const struct logs_options *)options;
	uint64_t job;
	int r = cli_expect_arguments(cli, 1, 1, "expected one job", reterr);

	if (!o.out && !o.err)
		o.out = o.err = true;
	if (r == 0)
		r = select_job(cli, cli->argv[0], &job, reterr);
	return r == 0 ? logs_show(cli, job, &o, reterr) : r;
}

int verb_logs(int argc, char **argv)
{
	struct logs_options o = {.last = UINT64_MAX};
	const struct options_extra extras[] = {
	    {'f', "follow", NULL, "Go on until the job has ended.", cli_set_flag, &o.follow},
	    {0, "shard", "N|N-M",
	     "Only of this shard, or of these. A shard of an array has the array's number.", set_shards, &o},
	    {0, "stdout", NULL, "Only what was written to stdout.", cli_set_flag, &o.out},
	    {0, "stderr", NULL, "Only what was written to stderr.", cli_set_flag, &o.err},
	};
	const struct options_spec spec = {
	    .program = "shardmill logs",
	    .synopsis = "[OPTION]... JOB",
	    .summary = "show what a job's shards write, also while they run",
	    .details =
		"Each line stands behind its shard's number, unless there is one shard only; what was "
		"written to "
		"stderr goes to stderr. Shards that have ended come first, of a dead one what its last "
		"attempt "
		"wrote; then those that run, as far as they have come. With --follow their lines come as "
		"they "
		"write them.\n\n"
		"When a shard is run again, a line on stderr says that its lines above do not count. What "
		"resident runners write, and shards beyond the first 256 that run, are shown when they end; "
		"and "
		"many programs hold lines back when they do not write to a terminal (python3 -u, stdbuf "
		"-oL). "
		"`shardmill output` gives the bytes that count, as they are.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, show, &o);
}
