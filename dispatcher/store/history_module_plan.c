#include "dispatcher/store/history_module_plan.h"

#include <pthread.h>
#include <sqlite3ext.h>
#include <string.h>

#include "base/check.h"

SQLITE_EXTENSION_INIT3

static struct layout layouts[PART_COUNT] = {[PART_JOB] = {.name = "jobs", .job_column = "id"},
					    [PART_RANGE] = {.name = "ranges", .job_column = "job"},
					    [PART_EFFORT] = {.name = "efforts", .job_column = "job"},
					    [PART_FAILURE] = {.name = "failures", .job_column = "job"}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_layout(enum history_part part)
{
	const struct sql_table *t = history_part_tables[part];
	struct layout *l = &layouts[part];

	buf_printf(&l->declare, "CREATE TABLE x(");
	buf_printf(&l->rows, "SELECT ");
	for (size_t i = 0; i < t->column_count; i++) {
		const struct sql_column *c = &t->columns[i];

		if (c->type == NULL)
			continue;
		CHECK(l->count < COLUMNS_MAX);
		buf_printf(&l->declare, "%s%s %s", l->count > 0 ? ", " : "", c->name, c->type);
		buf_printf(&l->rows, "%s%s", l->count > 0 ? ", " : "", c->name);
		l->ended[l->count] = history_block_field(HISTORY_ENDED, part, c->name);
		l->made[l->count] = history_block_field(HISTORY_MADE, part, c->name);
		l->columns[l->count++] = c;
	}
	l->is_there = part == PART_JOB ? -1 : history_block_field(HISTORY_ENDED, part, "count");
	buf_printf(&l->declare, "%s)", part == PART_JOB ? ", states HIDDEN" : "");
	buf_printf(&l->rows, " FROM %s WHERE %s BETWEEN ?1 AND ?2", t->name, l->job_column);
	if (part == PART_JOB)
		buf_printf(&l->rows, " AND ?3 >> state & 1");
	(void)buf_text(&l->declare);
	(void)buf_text(&l->rows);
}

static void make_layouts(void)
{
	for (int part = 0; part < PART_COUNT; part++)
		make_layout((enum history_part)part);
}

const struct layout *history_layouts(void)
{
	pthread_once(&once, make_layouts);
	return layouts;
}

static bool is_column(const struct table *t, const struct sqlite3_index_constraint *c, const char *name)
{
	return c->iColumn > 0 && c->iColumn < (int)t->layout->count &&
	       strcmp(t->layout->columns[c->iColumn]->name, name) == 0;
}

static int use_of(const struct table *t, const struct sqlite3_index_constraint *c)
{
	int job = 0; /* the first column, in all of them */

	if (t->part == PART_JOB && c->op == SQLITE_INDEX_CONSTRAINT_EQ) {
		if (c->iColumn == (int)t->layout->count)
			return USE_STATES;
		if (is_column(t, c, "state"))
			return USE_STATE;
		if (is_column(t, c, "name"))
			return USE_NAME;
	}
	if (t->part != PART_JOB && c->op == SQLITE_INDEX_CONSTRAINT_EQ && is_column(t, c, "worker"))
		return USE_WORKER;
	if (t->part != PART_JOB && c->op == SQLITE_INDEX_CONSTRAINT_EQ && is_column(t, c, "segment"))
		return USE_SEGMENT;
	if (t->part == PART_JOB && is_column(t, c, "ended_us"))
		return c->op == SQLITE_INDEX_CONSTRAINT_GE || c->op == SQLITE_INDEX_CONSTRAINT_GT ? USE_FROM
		       : c->op == SQLITE_INDEX_CONSTRAINT_LE || c->op == SQLITE_INDEX_CONSTRAINT_LT
			   ? USE_UNTIL
			   : -1;
	if (c->iColumn != job)
		return -1;
	switch (c->op) {
	case SQLITE_INDEX_CONSTRAINT_EQ:
		return USE_EQ;
	case SQLITE_INDEX_CONSTRAINT_GE:
		return USE_GE;
	case SQLITE_INDEX_CONSTRAINT_GT:
		return USE_GT;
	case SQLITE_INDEX_CONSTRAINT_LE:
		return USE_LE;
	case SQLITE_INDEX_CONSTRAINT_LT:
		return USE_LT;
	default:
		return -1;
	}
}

bool history_is_exact(sqlite3_index_info *info, int constraint)
{
	const char *collation = sqlite3_vtab_collation(info, constraint);

	return collation != NULL && strcmp(collation, "BINARY") == 0;
}

int history_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	const struct table *t = (const struct table *)table;
	int found[USE_COUNT], argument = 1;

	memset(found, -1, sizeof found);
	for (int i = 0; i < info->nConstraint; i++) {
		int use = use_of(t, &info->aConstraint[i]);

		if (use == USE_NAME && !history_is_exact(info, i))
			continue;
		if (use == USE_STATES && !info->aConstraint[i].usable)
			return SQLITE_CONSTRAINT;
		if (use >= 0 && info->aConstraint[i].usable && found[use] < 0)
			found[use] = i;
	}
	info->idxNum = 0;
	for (int use = 0; use < USE_COUNT; use++) {
		if (found[use] < 0)
			continue;
		info->idxNum |= 1 << use;
		info->aConstraintUsage[found[use]].argvIndex = argument++;
		info->aConstraintUsage[found[use]].omit = use == USE_STATES;
	}
	info->estimatedRows = found[USE_EQ] >= 0				    ? 1
			      : (info->idxNum & (1 << USE_STATE | 1 << USE_STATES)) ? 100000
										    : 1000000;
	if ((info->idxNum & (1 << USE_GE | 1 << USE_GT)) && (info->idxNum & (1 << USE_LE | 1 << USE_LT)))
		info->estimatedRows = 1000;
	if (found[USE_NAME] >= 0 || (found[USE_WORKER] >= 0 && found[USE_SEGMENT] >= 0) ||
	    (found[USE_FROM] >= 0 && info->estimatedRows > 1000))
		info->estimatedRows = info->estimatedRows / 2 + 1;
	info->estimatedCost = 30.0 * (double)info->estimatedRows;
	return SQLITE_OK;
}
