/* finance-var: value at risk and expected shortfall of a portfolio by Monte Carlo over real price history.
 *
 * Exit code: 0 fine; 1 wrong usage; 2 the data is bad (another attempt will not help); 3 the system
 * refused to read or write (another attempt may help). Nothing is printed on stdout unless all of the
 * input was good. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "jobs/library/finance/runner.h"

#define THREADS_MAX 256u

struct options {
	const char *prices, *positions;
	struct model_parameters parameters;
	struct scenario_range scenarios;
	uint32_t threads;
	bool json, compact, merge, runner;
	char **files;
	int file_count;
};

static const struct argp_option option_table[] = {
    {"prices", 'p', "FILE", 0,
     "Price history: date,ASSET,ASSET,... (default: prices.csv beside the positions)", 0},
    {"positions", 'q', "FILE", 0, "What is held: asset,quantity. A path or file:///path", 0},
    {"scenarios", 'n', "N", 0, "Number of scenarios (default 1000000)", 0},
    {"first", 'f', "N", 0, "Number of the first scenario (default 0)", 0},
    {"horizon", 'h', "DAYS", 0, "How long positions are held (default 10)", 0},
    {"decay", 'd', "X", 0, "Of volatility from day to day; 1: do not filter (default 0.94)", 0},
    {"seed", 's', "N", 0, "Of the generator (default 1)", 0},
    {"threads", 't', "N", 0, "Threads (default 1)", 0},
    {"json", 'j', NULL, 0, "Write the report as one line of JSON, which --merge reads, too", 1},
    {"tally", 'c', NULL, 0, "Write the bare tally in its compact form, for --merge", 1},
    {"merge", 'm', NULL, 0, "Read tallies and JSON reports instead; write the report of their sum", 1},
    {"runner", 'r', NULL, 0, "Serve a shardmill worker; --scenarios are those of the whole job", 1},
    {0},
};

static uint64_t whole_number(const char *text, uint64_t least, uint64_t most, const char *option,
			     struct argp_state *state)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < least || value > most)
		argp_error(state, "--%s: expected a whole number of %llu to %llu, found %s", option,
			   (unsigned long long)least, (unsigned long long)most, text);
	return value;
}

/* "0.94" as millionths. */
static uint32_t decay_ppm(const char *text, struct argp_state *state)
{
	char *end;
	double value = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end != '\0' || !(value >= 1e-6 && value <= 1))
		argp_error(state, "--decay: expected a number above 0 and up to 1, found %s", text);
	return (uint32_t)(value * DECAY_PPM_MAX + 0.5);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->prices = arg;
		return 0;
	case 'q':
		o->positions = arg;
		return 0;
	case 'n':
		o->scenarios.count = whole_number(arg, 1, SCENARIOS_MAX, "scenarios", state);
		return 0;
	case 'f':
		o->scenarios.first = whole_number(arg, 0, SCENARIOS_MAX - 1, "first", state);
		return 0;
	case 'h':
		o->parameters.horizon_days =
		    (uint32_t)whole_number(arg, 1, HORIZON_DAYS_MAX, "horizon", state);
		return 0;
	case 'd':
		o->parameters.decay_ppm = decay_ppm(arg, state);
		return 0;
	case 's':
		o->parameters.seed = whole_number(arg, 0, UINT64_MAX, "seed", state);
		return 0;
	case 't':
		o->threads = (uint32_t)whole_number(arg, 1, THREADS_MAX, "threads", state);
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'c':
		o->compact = true;
		return 0;
	case 'm':
		o->merge = true;
		return 0;
	case 'r':
		o->runner = true;
		return 0;
	case ARGP_KEY_ARGS:
		o->files = state->argv + state->next;
		o->file_count = state->argc - state->next;
		return 0;
	case ARGP_KEY_END:
		if (!o->merge && o->positions == NULL)
			argp_error(state, "expected --positions or --merge");
		if (!o->merge && o->file_count > 0 && o->files[0] != NULL && strcmp(o->files[0], "-") != 0)
			argp_error(state, "only --merge reads files without an option: %s", o->files[0]);
		if (o->scenarios.count > SCENARIOS_MAX - o->scenarios.first)
			argp_error(state, "scenarios are numbered up to %llu", SCENARIOS_MAX - 1);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *argp_program_version = "finance-var " SHARDMILL_VERSION;

static const struct argp argp = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "[FILE...]",
    .doc = "Value at risk and expected shortfall of a portfolio: scenarios drawn from its assets' price "
	   "history.\vWith --merge, FILEs (without any, or for -, standard input) hold tallies or JSON "
	   "reports of parts of the scenarios. Merged in any order they are byte for byte the report of "
	   "the whole. Exit code: 0 fine, 1 usage, 2 bad data, 3 cannot read or write.",
};

struct part {
	pthread_t thread;
	struct model *model;
	struct tally *tally;
	struct scenario_range scenarios;
	struct error error;
	int rc;
};

static void *run_part(void *arg)
{
	struct part *p = arg;
	struct tally_key key;

	tally_key_of(p->model, &key);
	tally_begin(p->tally, &key);
	p->rc = tally_run(p->tally, p->model, p->scenarios, &p->error);
	return NULL;
}

/* Each thread its stretch of the scenarios: the loop that a job of shards is measured against. */
static int run_threads(const struct options *o, struct model *m, struct tally *t, struct error *reterr)
{
	struct part *parts = check_calloc(o->threads, sizeof *parts);
	uint64_t done = 0;
	int rc = 0;

	for (uint32_t i = 0; i < o->threads; i++) {
		struct part *p = &parts[i];

		p->model = model_share(m);
		p->tally = tally_create();
		p->scenarios.first = o->scenarios.first + done;
		p->scenarios.count = (o->scenarios.count - done) / (o->threads - i);
		done += p->scenarios.count;
		CHECK(pthread_create(&p->thread, NULL, run_part, p) == 0);
	}
	for (uint32_t i = 0; i < o->threads; i++) {
		struct part *p = &parts[i];

		CHECK(pthread_join(p->thread, NULL) == 0);
		if (rc == 0 && p->rc < 0) {
			rc = p->rc;
			*reterr = p->error;
		}
		if (rc == 0)
			rc = tally_merge(t, p->tally, reterr);
		tally_destroy(p->tally);
		model_destroy(p->model);
	}
	free(parts);
	return rc;
}

static int merge_files(const struct options *o, struct tally *t, struct error *reterr)
{
	int rc = 0;

	for (int i = 0; i < o->file_count && rc == 0; i++) {
		bool is_stdin = strcmp(o->files[i], "-") == 0;
		int fd = is_stdin ? STDIN_FILENO : open(o->files[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			rc = error_set(reterr, ERR_IO, "cannot open: %s", strerror(errno));
			error_where(reterr, "%s", o->files[i]);
			return rc;
		}
		rc = inputs_merge(fd, is_stdin ? "standard input" : o->files[i], t, reterr);
		if (!is_stdin)
			close(fd);
	}
	if (rc == 0 && !t->has_key) {
		rc = error_set(reterr, ERR_INVALID, "expected tallies, found none");
		error_help(reterr, "give --merge what the shards of a job wrote");
	}
	return rc == 0 ? tally_check(t, reterr) : rc;
}

static int make_tally(const struct options *o, struct tally *t, struct error *reterr)
{
	struct model *m = NULL;
	int rc;

	if (o->merge)
		return merge_files(o, t, reterr);
	rc = inputs_model(o->prices, o->positions, &o->parameters, &m, reterr);
	if (rc == 0)
		rc = run_threads(o, m, t, reterr);
	model_destroy(m);
	return rc;
}

static int exit_code(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case ERR_IO:
	case ERR_BUSY:
	case ERR_TIMEOUT:
	case ERR_CLOSED:
		return EXIT_CODE_SYSTEM;
	default:
		return EXIT_CODE_DATA;
	}
}

static int report(const struct options *o, struct error *reterr)
{
	struct tally *t = tally_create();
	struct buf out = {0};
	int rc = make_tally(o, t, reterr);

	if (rc == 0) {
		if (o->compact)
			tally_encode(t, &out);
		else if (o->json)
			report_json(t, &out);
		else
			report_text(t, &out);
		rc = inputs_write(STDOUT_FILENO, buf_bytes(&out), reterr);
	}
	buf_fini(&out);
	tally_destroy(t);
	return rc;
}

static int serve(const struct options *o, struct error *reterr)
{
	struct model *m = NULL;
	struct error failure;
	int made = inputs_model(o->prices, o->positions, &o->parameters, &m, &failure);
	int rc = runner_serve(m, o->scenarios.count, &failure, exit_code(made), reterr);

	model_destroy(m);
	return rc;
}

int main(int argc, char **argv)
{
	static char *standard_input[] = {"-"};
	struct options o = {.parameters = {.seed = 1, .horizon_days = 10, .decay_ppm = 940000},
			    .scenarios = {0, 1000000},
			    .threads = 1,
			    .files = standard_input,
			    .file_count = 1};
	struct error error;
	int rc;

	argp_err_exit_status = EXIT_CODE_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	rc = o.runner ? serve(&o, &error) : report(&o, &error);
	if (rc < 0) {
		char text[1024];

		fprintf(stderr, "finance-var: %s\n", error_text(&error, text, sizeof text));
	}
	return exit_code(rc);
}
