#include "dispatcher/store/history_block.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static struct block_fields made, ended, events;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct part {
	char letter;
	const struct sql_table *table;
	size_t offset;
	uint32_t use;
} parts[PART_COUNT] = {
    [PART_JOB] = {'j', &history_jobs_table, offsetof(struct history_entry, job), JOB_GET},
    [PART_RANGE] = {'r', &history_ranges_table, offsetof(struct history_entry, range), RANGE_PUT},
    [PART_EFFORT] = {'e', &history_efforts_table, offsetof(struct history_entry, effort), EFFORT_PUT},
    [PART_FAILURE] = {'f', &history_failures_table, offsetof(struct history_entry, dead), FAILURE_PUT},
};

static int find(const struct block_fields *f, char letter, const char *column)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (f->items[i].name[0] == letter && strcmp(f->items[i].name + 2, column) == 0)
			return (int)i;
	return -1;
}

/* The job, the phase (0) and the first shard (0) of these stand in the job. */
static bool is_known(enum history_part part, const char *name)
{
	return part != PART_JOB &&
	       (strcmp(name, "job") == 0 || strcmp(name, "phase") == 0 || strcmp(name, "first") == 0);
}

static void add_part(struct block_fields *f, enum history_part part, uint32_t use)
{
	const struct part *p = &parts[part];

	for (size_t i = 0; i < p->table->column_count; i++) {
		const struct sql_column *c = &p->table->columns[i];
		struct block_field *field = &f->items[f->count];

		if (c->type == NULL || (c->uses & use) == 0 || is_known(part, c->name))
			continue;
		CHECK(f->count < BLOCK_FIELDS_MAX);
		CHECK((size_t)snprintf(field->name, sizeof field->name, "%c.%s", p->letter, c->name) <
		      sizeof field->name);
		field->kind = c->kind;
		field->offset = p->offset + c->offset;
		field->minus = -1;
		f->count++;
	}
}

/* One column differs little from the other. */
static void relate(struct block_fields *f, char letter, const char *name, const char *to)
{
	int field = find(f, letter, name), minus = find(f, 'j', to);

	if (field > 0 && minus >= 0 && minus < field)
		f->items[field].minus = minus;
}

#define RELATE_TOTAL(name, add, json, form, doc) relate(&ended, 'e', #name, #name);

#define EVENT(name_, kind_, member)                                                                          \
	{                                                                                                    \
		.name = name_, .kind = kind_, .offset = offsetof(struct history_event_row, member),          \
		.minus = -1                                                                                  \
	}

static void make(void)
{
	static const struct block_field event_fields[] = {
	    [EVENT_FIRST_JOB] = EVENT("job", SQL_U64, first_job),
	    [EVENT_JOBS] = EVENT("jobs", SQL_U32, jobs),
	    [EVENT_ID] = EVENT("event", SQL_ID, event_hi),
	    [EVENT_WALL_US] = EVENT("wall_us", SQL_I64, wall_us),
	    [EVENT_JSON] = EVENT("json", SQL_TEXT, json),
	    [EVENT_BY_KIND] = EVENT("by_kind", SQL_U8, by.kind),
	    [EVENT_BY_NAME] = EVENT("by_name", SQL_TEXT, by.name),
	    [EVENT_BY_NUMBER] = EVENT("by_number", SQL_U64, by.number),
	};

	add_part(&made, PART_JOB, JOB_NEW);
	add_part(&ended, PART_JOB, JOB_GET);
	add_part(&ended, PART_RANGE, RANGE_PUT);
	add_part(&ended, PART_EFFORT, EFFORT_PUT);
	add_part(&ended, PART_FAILURE, FAILURE_PUT);
	relate(&ended, 'j', "started_us", "accepted_us");
	relate(&ended, 'j', "ended_us", "started_us");
	relate(&ended, 'r', "wall_us", "ended_us");
	relate(&ended, 'f', "wall_us", "ended_us");
	relate(&ended, 'e', "start_us", "started_us");
	TOTALS_ALL(RELATE_TOTAL)
	memcpy(events.items, event_fields, sizeof event_fields);
	events.count = ARRAY_LENGTH(event_fields);
	CHECK(strcmp(made.items[0].name, "j.id") == 0 && strcmp(ended.items[0].name, "j.id") == 0);
}

const struct block_fields *history_block_fields(enum history_block_kind kind)
{
	pthread_once(&once, make);
	return kind == HISTORY_MADE ? &made : kind == HISTORY_ENDED ? &ended : &events;
}

const struct sql_table *const history_part_tables[PART_COUNT] = {
    [PART_JOB] = &history_jobs_table,
    [PART_RANGE] = &history_ranges_table,
    [PART_EFFORT] = &history_efforts_table,
    [PART_FAILURE] = &history_failures_table,
};

int history_block_field(enum history_block_kind kind, enum history_part part, const char *column)
{
	return find(history_block_fields(kind), parts[part].letter, column);
}

void history_entry_complete(struct history_entry *e)
{
	e->range.job = e->effort.job = e->dead.job = e->job.job;
	e->range.phase = e->effort.phase = e->dead.phase = 0;
	e->range.shards.first = e->effort.effort.first = e->dead.shards.first = 0;
}

/* ---- filters ---- */

#define BITS_A_KEY 10
#define PLACES 7

static uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdull;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 33;
}

uint64_t filter_hash(enum filter_key kind, struct bytes key)
{
	uint64_t h = mix(kind * 0x9e3779b97f4a7c15ull + key.size), w;
	size_t i = 0;

	for (; i + 8 <= key.size; i += 8) {
		memcpy(&w, key.data + i, sizeof w);
		h = mix(h ^ w);
	}
	w = 0;
	if (i < key.size)
		memcpy(&w, key.data + i, key.size - i);
	return mix(h ^ w);
}

static uint64_t place_of(uint64_t hash, uint32_t i, uint64_t bits)
{
	uint64_t step = (hash >> 32 | hash << 32) | 1;

	return (uint64_t)(((unsigned __int128)(hash + i * step) * bits) >> 64);
}

void filter_make(const uint64_t *hashes, size_t count, struct buf *out)
{
	size_t size = (count * BITS_A_KEY + 7) / 8 + 1, begin = out->size;
	uint8_t *filter;

	buf_append_zeros(out, size);
	filter = out->data + begin;
	for (size_t k = 0; k < count; k++)
		for (uint32_t i = 0; i < PLACES; i++) {
			uint64_t place = place_of(hashes[k], i, 8 * size);

			filter[place / 8] |= (uint8_t)(1u << place % 8);
		}
}

bool filter_may_have(struct bytes filter, uint64_t hash)
{
	for (uint32_t i = 0; i < PLACES && filter.size > 0; i++) {
		uint64_t place = place_of(hash, i, 8 * filter.size);

		if ((filter.data[place / 8] & 1u << place % 8) == 0)
			return false;
	}
	return true;
}
