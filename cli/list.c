#include "cli/list.h"

static int show(struct cli *cli, void *options, struct error *reterr)
{
	const struct list *list = options;
	struct client_answer answer;
	struct buf out = {0};
	struct table t;
	json_t *item;
	size_t i;
	int r = cli_expect_arguments(cli, 0, 0, "expected no argument", reterr);

	if (r == 0)
		r = client_get(&cli->client, list->path, &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
		client_answer_fini(&answer);
		return 0;
	}
	table_init(&t, list->columns, list->column_count);
	json_array_foreach(json_object_get(answer.json, list->member), i, item) list->add_row(&t, item);
	if (table_row_count(&t) > 0)
		table_write(&t, &cli->terminal, &out);
	else if (cli->terminal.is_terminal)
		buf_printf(&out, "%s\n", list->empty);
	table_fini(&t);
	cli_print(&out);
	client_answer_fini(&answer);
	return 0;
}

int list_all(const struct list *list, const struct options_spec *spec, int argc, char **argv)
{
	return cli_run(spec, argc, argv, show, (void *)(uintptr_t)list);
}
