/* fastq-qc: quality control of FASTQ, in reports that can be merged.
 *
 * Exit code: 0 fine; 1 wrong usage; 2 the data is bad (another attempt will not help); 3 the system
 * refused to read or write (another attempt may help). Nothing is printed on stdout unless all of
 * the input was good. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs/library/genomics/report.h"

enum { EXIT_USAGE = 1, EXIT_DATA = 2, EXIT_SYSTEM = 3 };

struct options {
	bool json;
	bool merge;
	char **files;
	int file_count;
};

static const struct argp_option option_table[] = {
    {"json", 'j', NULL, 0, "Write the report as one line of JSON, which --merge reads", 0},
    {"merge", 'm', NULL, 0, "Read JSON reports, one a line, instead of FASTQ; write their sum", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'j':
		o->json = true;
		return 0;
	case 'm':
		o->merge = true;
		return 0;
	case ARGP_KEY_ARGS:
		o->files = state->argv + state->next;
		o->file_count = state->argc - state->next;
		return 0;
	default:
		(void)arg;
		return ARGP_ERR_UNKNOWN;
	}
}

const char *argp_program_version = "fastq-qc " SHARDMILL_VERSION;

static const struct argp argp = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "[FILE...]",
    .doc = "Quality control of FASTQ files: quality and bases by position, G+C, lengths, adapters, "
	   "duplicates.\vWithout FILE, or for -, standard input is read; several files give one "
	   "report. Reports of the parts of a file, merged in any order, are byte for byte the "
	   "report of the whole. Exit code: 0 fine, 1 usage, 2 bad data, 3 cannot read or write.",
};

static int count_reads(int fd, const char *name, const struct adapter_search *search, struct stats *stats,
		       struct error *reterr)
{
	struct fastq_record record;
	struct reader reader;
	int code;

	reader_init(&reader, fd, name);
	while ((code = reader_next(&reader, &record, reterr)) > 0) {
		code = stats_add(stats, search, &record, reterr);
		if (code < 0) {
			reader_where(&reader, reterr);
			break;
		}
	}
	reader_fini(&reader);
	return code;
}

static int take_input(const struct options *o, const char *file, const struct adapter_search *search,
		      struct stats *stats, struct error *reterr)
{
	bool is_stdin = strcmp(file, "-") == 0;
	const char *name = is_stdin ? "standard input" : file;
	int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	int code;

	if (fd < 0) {
		code = error_set(reterr, ERR_IO, "cannot open: %s", strerror(errno));
		error_where(reterr, "%s", name);
		return code;
	}
	if (o->merge)
		code = report_merge_stream(fd, name, stats, reterr);
	else
		code = count_reads(fd, name, search, stats, reterr);
	if (!is_stdin)
		close(fd);
	return code;
}

static int write_all(const struct buf *b, struct error *reterr)
{
	size_t done = 0;

	while (done < b->size) {
		ssize_t put = write(STDOUT_FILENO, b->data + done, b->size - done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			error_set(reterr, ERR_IO, "cannot write: %s", strerror(errno));
			error_where(reterr, "standard output");
			return ERR_IO;
		}
		done += (size_t)put;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static char *standard_input[] = {"-"};
	static struct adapter_search search;
	struct options o = {.files = standard_input, .file_count = 1};
	struct stats *stats = stats_create();
	struct error error;
	struct buf out = {0};
	int code = 0;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	adapter_search_init(&search);
	for (int i = 0; i < o.file_count && code == 0; i++)
		code = take_input(&o, o.files[i], &search, stats, &error);
	if (code == 0) {
		if (o.json)
			report_json(stats, &out);
		else
			report_text(stats, &out);
		code = write_all(&out, &error);
	}
	if (code < 0) {
		char text[1024];

		fprintf(stderr, "fastq-qc: %s\n", error_text(&error, text, sizeof text));
	}
	buf_fini(&out);
	stats_destroy(stats);
	if (code == 0)
		return 0;
	return code == ERR_IO ? EXIT_SYSTEM : EXIT_DATA;
}
