#include "cli/list.h"

#include <stdlib.h>

#include "base/check.h"

static void show_rows(const struct cli *cli, const struct list *list, json_t *items)
{
	struct buf out = {0};
	struct table t;
	json_t *item;
	size_t i;

	table_init(&t, list->columns, list->column_count);
	json_array_foreach(items, i, item) list->add_row(&t, item);
	if (table_row_count(&t) > 0)
		table_write(&t, &cli->terminal, &out);
	else if (cli->terminal.is_terminal)
		buf_printf(&out, "%s\n", list->empty);
	table_fini(&t);
	cli_print(&out);
}

static int show(struct cli *cli, void *options, struct error *reterr)
{
	const struct list *list = options;
	struct client_answer answer;
	int r = cli_expect_arguments(cli, 0, 0, "expected no argument", reterr);

	if (r == 0)
		r = client_get(&cli->client, list->path, &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
	} else {
		char *said = check_calloc(1, list->type()->size);

		r = client_read(&answer, list->type(), said, reterr);
		if (r == 0)
			show_rows(cli, list, *(json_t **)(void *)(said + list->offset));
		free(said);
	}
	client_answer_fini(&answer);
	return r;
}

int list_all(const struct list *list, const struct options_spec *spec, int argc, char **argv)
{
	return cli_run(spec, argc, argv, show, (void *)(uintptr_t)list);
}
