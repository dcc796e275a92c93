/* resources: what one attempt needs, and where it may run. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"
#include "jobs/definition_read.h"

#define GPUS_MAX 1024

static bool read_cpus(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_spec *run = target;

	return read_milli(r, n, &run->shape.cpu_milli);
}

static bool read_memory(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_spec *run = target;

	return read_size(r, n, &run->shape.memory_bytes);
}

static bool read_gpus(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_spec *run = target;
	uint32_t milli;
	int64_t gpus;

	if (n->kind != NODE_SCALAR || n->text.size == 0 || memchr(n->text.data, '.', n->text.size) == NULL) {
		if (!read_integer(r, n, 0, GPUS_MAX, &gpus))
			return false;
		run->shape.gpu_milli = (uint32_t)gpus * 1000;
		return true;
	}
	if (units_parse_cpus(n->text, &milli, NULL) < 0 || milli == 0 || milli > GPUS_MAX * 1000)
		return read_refuse(r, n, NULL, "a number from 0 to 1024 such as 1 or 0.5, in thousandths");
	run->shape.gpu_milli = milli;
	return true;
}

/* Sorted by name, as shapes are compared. */
static void insert_amount(struct named_amount_list *list, struct bytes name, uint64_t amount)
{
	uint32_t at = list->count++;

	while (at > 0 && strcmp((const char *)list->items[at - 1].name.data, (const char *)name.data) > 0) {
		list->items[at] = list->items[at - 1];
		at--;
	}
	list->items[at] = (struct named_amount){name, amount};
}

static bool read_named(struct definition_reader *r, const struct node *n, void *target)
{
	struct resources *shape = &((struct run_spec *)target)->shape;
	bool fine = true;

	if (n->kind != NODE_MAP)
		return read_refuse(r, n, NULL, "a map of names and amounts");
	if (n->child_count > NAMED_RESOURCES_MAX) {
		(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL,
				   "%u named resources; at most %d are taken", n->child_count,
				   NAMED_RESOURCES_MAX);
		return false;
	}
	shape->named.items = read_alloc(r, n->child_count, sizeof *shape->named.items);
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		uint64_t amount;
		char quoted[80];

		if (!is_name(child->key)) {
			(void)problems_add(r->problems, child->key_at, ERR_INVALID, NULL,
					   "expected a name, found %s",
					   text_quote(quoted, sizeof quoted, child->key));
			fine = false;
		} else if (!read_milli(r, child, &amount)) {
			fine = false;
		} else {
			insert_amount(&shape->named, child->key, amount);
		}
	}
	return fine;
}

static bool read_pin(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_spec *run = target;

	return read_kind(r, n, pin_kind_of, pin_kind_names(), &run->pin);
}

bool read_resources(struct definition_reader *r, const struct node *n, struct run_spec *ret)
{
	static const struct definition_key keys[] = {
	    {"cpus", false, read_cpus},	  {"memory", false, read_memory}, {"gpus", false, read_gpus},
	    {"named", false, read_named}, {"pin", false, read_pin},
	};

	return read_map(r, n, "`resources`", keys, ARRAY_LENGTH(keys), ret);
}
