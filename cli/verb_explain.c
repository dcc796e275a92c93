#include <ctype.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/human.h"
#include "cli/selector.h"

/* One paragraph: each sentence with a capital letter and a full stop. What a program said in several lines
 * stands in lines of its own. */
static void add_paragraph(struct buf *out, const json_t *sentences)
{
	bool begun = false;
	json_t *sentence;
	size_t i;

	json_array_foreach(sentences, i, sentence)
	{
		struct bytes said = bytes_of(json_string_value(sentence));
		bool lines = memchr(said.data, '\n', said.size) != NULL;
		struct buf text = {0};

		human_lines(&text, said, 4);
		if (text.size > 0)
			text.data[0] = (uint8_t)toupper(text.data[0]);
		buf_printf(out, "%s%s%s", begun ? " " : "", buf_text(&text), lines ? "\n" : ".");
		begun = !lines;
		buf_fini(&text);
	}
	if (begun)
		buf_printf(out, "\n");
}

static int explain_job(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX];
	struct api_explanation explanation;
	struct client_answer answer;
	struct buf out = {0};
	int r = client_get(&cli->client, cli_job_path(job, "/explain", path, sizeof(path)), &answer, reterr);

	(void)options;
	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
	} else {
		r = client_read(&answer, object_explanation(), &explanation, reterr);
		if (r == 0 && nth > 0)
			buf_printf(&out, "\n");
		if (r == 0)
			add_paragraph(&out, explanation.sentences);
		cli_print(&out);
	}
	client_answer_fini(&answer);
	return r;
}

static int explain_all(struct cli *cli, void *options, struct error *reterr)
{
	static const struct each_job each = {.expected = "expected jobs to explain", .work = explain_job};

	return each_job(cli, &each, options, reterr);
}

int verb_explain(int argc, char **argv)
{
	const struct options_spec spec = {
	    .program = "shardmill explain",
	    .synopsis = "[OPTION]... JOB...",
	    .summary = "say why a job does not run, or is not done",
	    .details = SELECTOR_HELP,
	};

	return cli_run(&spec, argc, argv, explain_all, NULL);
}
