#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/human.h"

/* ---- begin and end ---- */

static int cli_close(struct cli *cli, int r, const struct error *e)
{
	int code = r;

	if (r < 0) {
		CHECK(e->code != ERR_OK);
		code = cli_tell_error(cli, e);
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "%s: cannot write the output: %s\n", cli->program, strerror(errno));
		if (code == CLI_EXIT_FINE)
			code = CLI_EXIT_TROUBLE;
	}
	client_close(&cli->client);
	params_fini(&cli->params);
	return code;
}

/* False: leave with *ret_exit. */
static bool cli_open(struct cli *cli, const struct options_spec *spec, int argc, char **argv, int *ret_exit)
{
	struct error e = {0};
	int first = 0;

	*cli = (struct cli){.program = spec->program};
	if (!options_start(spec, &cli->params, argc, argv, &first, ret_exit)) {
		params_fini(&cli->params);
		return false;
	}
	cli->terminal = terminal_of(stdout);
	cli->json = params_choice(&cli->params, PARAM_OUTPUT) == 1;
	cli->argc = argc - first;
	cli->argv = argv + first;
	cli->csv = params_choice(&cli->params, PARAM_OUTPUT) == 2;
	if (cli->csv && !spec->has_csv) {
		error_set(&e, ERR_INVALID, "%s does not write CSV", cli->program);
		error_help(&e, "`shardmill shards` does; every verb has --output=json");
		error_where(&e, "--output=csv");
	} else if (client_open(&cli->client, &cli->params, &e) == 0) {
		return true;
	}
	*ret_exit = cli_close(cli, e.code, &e);
	return false;
}

static int exit_of(enum error_code code)
{
	switch (code) {
	case ERR_OK:
		return CLI_EXIT_FINE;
	case ERR_INVALID:
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
	case ERR_LIMIT:
		return CLI_EXIT_USAGE;
	case ERR_CLOSED:
		return CLI_EXIT_UNREACHABLE;
	case ERR_TIMEOUT:
		return CLI_EXIT_TIMEOUT;
	case ERR_BUSY:
	case ERR_IO:
	case ERR_CORRUPT:
	case ERR_VERSION:
	case ERR_DENIED:
	case ERR_EXHAUSTED:
		break;
	}
	return CLI_EXIT_TROUBLE;
}

int cli_tell_error(const struct cli *cli, const struct error *e)
{
	struct terminal t = terminal_of(stderr);
	struct buf out = {0}, text = {0};

	fflush(stdout);
	buf_printf(&out, "%s: ", cli->program);
	if (e->where[0] != '\0') {
		/* "?state=" of the API is --state here */
		bool query = e->where[0] == '?';

		buf_printf(&out, "%s", query ? "--" : "");
		human_text(&out, BYTES(e->where + query, strcspn(e->where + query, query ? "=" : "")), false);
		buf_printf(&out, ": ");
	}
	human_text(&text, bytes_of(e->what), true);
	terminal_style(&t, &out, STYLE_BAD, buf_bytes(&text));
	buf_printf(&out, "\n");
	if (e->help[0] != '\0') {
		buf_printf(&out, "  ");
		human_text(&out, bytes_of(e->help), true);
		buf_printf(&out, "\n");
	}
	fwrite(out.data, 1, out.size, stderr);
	buf_fini(&out);
	buf_fini(&text);
	return exit_of(e->code);
}

static struct {
	void (*fn)(void *arg, const struct options_spec *spec);
	void *arg;
} describing;

void cli_describe_with(void (*fn)(void *arg, const struct options_spec *spec), void *arg)
{
	describing.fn = fn;
	describing.arg = arg;
}

bool cli_describes(const struct options_spec *spec)
{
	if (describing.fn == NULL)
		return false;
	describing.fn(describing.arg, spec);
	return true;
}

int cli_run(const struct options_spec *spec, int argc, char **argv, cli_work *work, void *options)
{
	struct options_spec own = *spec;
	struct error e = {0};
	struct cli cli;
	int code;

	own.scopes = PARAM_SCOPE_CLI;
	if (cli_describes(&own))
		return CLI_EXIT_FINE;
	if (!cli_open(&cli, &own, argc, argv, &code))
		return code;
	return cli_close(&cli, work(&cli, options, &e), &e);
}

int cli_expect_arguments(const struct cli *cli, int min, int max, const char *what, struct error *reterr)
{
	char found[80];

	if (cli->argc >= min && cli->argc <= max)
		return 0;
	if (cli->argc == 0)
		error_set(reterr, ERR_INVALID, "%s, found none", what);
	else if (max == 0)
		error_set(reterr, ERR_INVALID, "%s, found %s", what,
			  text_quote(found, sizeof(found), bytes_of(cli->argv[0])));
	else
		error_set(reterr, ERR_INVALID, "%s, found %d arguments", what, cli->argc);
	return error_help(reterr, "`%s --help` tells more", cli->program);
}

/* ---- jobs ---- */

const char *cli_job_path(uint64_t job, const char *suffix, char *buf, size_t size)
{
	snprintf(buf, size, "/v1/jobs/%" PRIu64 "%s", job, suffix);
	return buf;
}

/* ---- in and out ---- */

void cli_print(struct buf *out)
{
	if (out->size > 0)
		fwrite(out->data, 1, out->size, stdout);
	buf_fini(out);
}

void cli_print_json_value(const struct cli *cli, json_t *value)
{
	char *text = json_dumps(value, cli->terminal.is_terminal ? JSON_INDENT(2) : JSON_COMPACT);

	CHECK(text != NULL);
	puts(text);
	free(text);
}

void cli_print_json(const struct cli *cli, const struct client_answer *answer)
{
	if (cli->terminal.is_terminal) {
		cli_print_json_value(cli, answer->json);
		return;
	}
	fwrite(answer->body.data, 1, answer->body.size, stdout);
	if (answer->body.size > 0 && answer->body.data[answer->body.size - 1] != '\n')
		putchar('\n');
}

static int read_stream(int fd, const char *name, size_t max_bytes, struct buf *ret, struct error *reterr)
{
	ssize_t got;

	do {
		got = read(fd, buf_reserve(ret, 65536), 65536);
		if (got > 0)
			ret->size += (size_t)got;
	} while ((got > 0 && ret->size <= max_bytes) || (got < 0 && errno == EINTR));
	if (got < 0)
		error_set(reterr, ERR_IO, "cannot read: %s", strerror(errno));
	else if (ret->size > max_bytes)
		error_set(reterr, ERR_LIMIT, "expected at most %zu bytes, found more", max_bytes);
	else
		return 0;
	return error_where(reterr, "%.200s", name);
}

int cli_read_input(const char *path, size_t max_bytes, struct buf *ret, struct error *reterr)
{
	struct stat st;
	int fd, r;

	if (strcmp(path, "-") == 0)
		return read_stream(STDIN_FILENO, "stdin", max_bytes, ret, reterr);
	/* what <(…) of a shell gives; a file is read in whole or not at all */
	if (stat(path, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			error_set(reterr, ERR_IO, "cannot open: %s", strerror(errno));
			return error_where(reterr, "%.200s", path);
		}
		r = read_stream(fd, path, max_bytes, ret, reterr);
		close(fd);
		return r;
	}
	return fs_read_file(path, max_bytes, ret, reterr);
}

/* ---- options ---- */

int cli_set_text(void *arg, const char *value, struct error *reterr)
{
	if (value[0] == '\0')
		return error_set(reterr, ERR_INVALID, "expected a value, found an empty text");
	*(const char **)arg = value;
	return 0;
}

int cli_set_flag(void *arg, const char *value, struct error *reterr)
{
	(void)value;
	(void)reterr;
	*(bool *)arg = true;
	return 0;
}

int cli_set_duration(void *arg, const char *value, struct error *reterr)
{
	return units_parse_duration(bytes_of(value), arg, reterr);
}

int cli_set_number(void *arg, const char *value, struct error *reterr)
{
	return units_parse_number(value, 0, UINT64_MAX, arg, reterr);
}

/* ---- answers ---- */

bool cli_shards_phase(const struct api_job *job, struct api_phase *ret)
{
	json_t *phase;
	size_t i;

	json_array_foreach(job->phases, i, phase)
	{
		object_read(object_phase(), phase, ret);
		if (bytes_equal(ret->name, BYTES_LIT("shards")))
			return true;
	}
	*ret = (struct api_phase){.shards = 0};
	return false;
}
