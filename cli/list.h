/* A verb that asks for a list, and shows it as a table. */
#pragma once

#include "cli/cli.h"
#include "cli/table.h"

struct list {
	const char *path;			 /* "/v1/rules" */
	const struct object_type *(*type)(void); /* the answer */
	size_t offset;				 /* of the list in its struct */
	const char *empty;			 /* said on a terminal when nothing is in it */
	const struct table_column *columns;
	size_t column_count;
	void (*add_row)(struct table *t, const json_t *item);
};

/* The verb, whole. */
int list_all(const struct list *list, const struct options_spec *spec, int argc, char **argv);
