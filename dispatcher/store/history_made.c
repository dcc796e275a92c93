/* Live jobs of one shard, in made blocks. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/store/history_blocks.h"
#include "jobs/kinds.h"

#define I64(x) ((int64_t)(x))

static bool is_gone(const struct made_block *m, uint64_t job)
{
	uint32_t bit = (uint32_t)(job - m->first);

	return (m->gone[bit / 8] >> bit % 8 & 1) != 0;
}

static void set_gone(struct made_block *m, uint32_t bit, bool gone)
{
	m->gone[bit / 8] = (uint8_t)((m->gone[bit / 8] & ~(1u << bit % 8)) | (unsigned)gone << bit % 8);
}

void made_leave(struct made_block *m, uint64_t job)
{
	set_gone(m, (uint32_t)(job - m->first), true);
	m->kept--;
	m->changed = true;
}

int64_t made_priority(const struct made_block *m, uint64_t job)
{
	return m->priorities != NULL ? m->priorities[job - m->first] : m->priority;
}

/* The block whose ids begin at the job or before. */
static struct made_block *block_before(struct history_blocks *b, uint64_t job)
{
	uint32_t low = 0, high = b->made_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (b->made[middle].first <= job)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &b->made[low - 1] : NULL;
}

struct made_block *made_find(struct history *h, uint64_t job)
{
	struct made_block *m = block_before(h->blocks, job);

	return m != NULL && job - m->first < m->span && !is_gone(m, job) ? m : NULL;
}

static void fini(struct made_block *m)
{
	free(m->gone);
	free(m->priorities);
}

void made_forget(struct history_blocks *b)
{
	for (uint32_t i = 0; i < b->made_count; i++)
		fini(&b->made[i]);
	b->made_count = 0;
	b->made_is_known = false;
	draft_clear(&b->made_draft);
}

/* ---- those that the database has ---- */

static void set_priority(struct made_block *m, uint64_t job, int64_t wide, bool first)
{
	int32_t priority = (int32_t)wide; /* its range */

	if (first)
		m->priority = priority;
	if (m->priorities == NULL && priority != m->priority) {
		m->priorities = check_calloc(MADE_SPAN_MAX, sizeof *m->priorities);
		for (uint32_t i = 0; i < MADE_SPAN_MAX; i++)
			m->priorities[i] = m->priority;
	}
	if (m->priorities != NULL)
		m->priorities[job - m->first] = priority;
}

static int read_priorities(struct history *h, struct made_block *m)
{
	uint32_t f = (uint32_t)history_block_field(HISTORY_MADE, PART_JOB, "priority");
	struct block_view *view;
	int code = history_views_get(h->blocks->views, m->block, HISTORY_MADE, true, &view);

	if (code != SQLITE_OK)
		return code;
	for (uint32_t i = 0; i < block_view_count(view); i++)
		set_priority(m, (uint64_t)block_view_ids(view)[i], block_view_number(view, f, i), i == 0);
	history_views_release(h->blocks->views, view);
	return SQLITE_OK;
}

int made_load(struct history *h, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	int rc, code = SQLITE_OK;

	if (b->made_is_known)
		return 0;
	made_forget(b);
	rc = sql_begin(&h->db, WRITE_BLOCK_SPAN_READ, reterr, "");
	b->span = rc == 1 ? sql_int(&h->db, WRITE_BLOCK_SPAN_READ, 0) : 0;
	sql_end(&h->db, WRITE_BLOCK_SPAN_READ);
	if (rc >= 0)
		rc = sql_begin(&h->db, WRITE_MADE_READ, reterr, "");
	for (; rc == 1; rc = sql_next(&h->db, WRITE_MADE_READ, reterr)) {
		struct bytes gone = sql_bytes(&h->db, WRITE_MADE_READ, 4);
		struct made_block m = {.block = sql_int(&h->db, WRITE_MADE_READ, 0),
				       .first = (uint64_t)sql_int(&h->db, WRITE_MADE_READ, 1),
				       .kept = (uint32_t)sql_int(&h->db, WRITE_MADE_READ, 3)};

		m.span = (uint32_t)(sql_int(&h->db, WRITE_MADE_READ, 2) - I64(m.first) + 1);
		m.gone = check_calloc(MADE_SPAN_MAX / 8, 1);
		memcpy(m.gone, gone.data, gone.size < MADE_SPAN_MAX / 8 ? gone.size : MADE_SPAN_MAX / 8);
		ARRAY_GROW(b->made, b->made_room, b->made_count);
		b->made[b->made_count++] = m;
	}
	sql_end(&h->db, WRITE_MADE_READ);
	for (uint32_t i = 0; rc == 0 && code == SQLITE_OK && i < b->made_count; i++)
		code = read_priorities(h, &b->made[i]);
	if (rc == 0)
		rc = blocks_error(h, code, reterr);
	b->made_is_known = rc == 0;
	return rc;
}

/* ---- new ones ---- */

/* The draft's, which is the last. */
static struct made_block *draft_block(struct history_blocks *b)
{
	struct made_block *m = b->made_count > 0 ? &b->made[b->made_count - 1] : NULL;

	return m != NULL && m->block == 0 ? m : NULL;
}

static struct made_block *begin_block(struct history_blocks *b, uint64_t first)
{
	struct made_block *m;

	ARRAY_GROW(b->made, b->made_room, b->made_count);
	m = &b->made[b->made_count++];
	*m = (struct made_block){.first = first, .gone = check_calloc(MADE_SPAN_MAX / 8, 1)};
	return m;
}

int history_forget_made(struct history *h, uint64_t first, uint64_t last, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	int rc = made_load(h, reterr);

	for (uint32_t i = 0; rc == 0 && i < b->made_count; i++) {
		struct made_block *m = &b->made[i];

		for (uint32_t bit = first > m->first
					? (uint32_t)(first - m->first < m->span ? first - m->first : m->span)
					: 0;
		     bit < m->span && m->first + bit <= last; bit++)
			if (!is_gone(m, m->first + bit))
				made_leave(m, m->first + bit);
	}
	return rc;
}

bool made_may_take(const struct history_blocks *b, uint64_t job)
{
	const struct made_block *last = b->made_count > 0 ? &b->made[b->made_count - 1] : NULL;

	return last == NULL || job >= last->first + last->span;
}

/* A small block of an earlier transaction becomes the draft again: jobs that wait for long and came one by
 * one would else have a block each. */
static int continue_block(struct history *h, struct made_block *m, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	struct block_view *view;
	int rc, code = history_views_get(b->views, m->block, HISTORY_MADE, true, &view);

	if (code != SQLITE_OK)
		return blocks_error(h, code, reterr);
	for (uint32_t i = 0; i < block_view_count(view); i++) {
		struct history_entry e = {0};

		block_view_row(view, i, &e);
		draft_add_entry(&b->made_draft, &e);
	}
	code = block_view_is_damaged(view) ? SQLITE_CORRUPT : SQLITE_OK;
	history_views_release(b->views, view);
	rc = blocks_error(h, code, reterr);
	if (rc == 0)
		rc = block_delete(h, m->block, reterr);
	m->block = 0;
	m->changed = false;
	return rc;
}

static bool may_continue(const struct history_blocks *b, uint64_t job)
{
	const struct made_block *last = b->made_count > 0 ? &b->made[b->made_count - 1] : NULL;

	return last != NULL && last->kept > 0 && last->span < BLOCK_ROWS_FULL &&
	       job - last->first < MADE_SPAN_MAX;
}

int made_put(struct history *h, const struct history_job *job, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	struct history_entry e = {.job = *job};
	struct made_block *m = draft_block(b);
	int rc = 0;

	if (m != NULL && (draft_is_full(&b->made_draft) || job->job - m->first >= MADE_SPAN_MAX)) {
		rc = made_write_draft(h, reterr);
		m = NULL;
	}
	if (rc < 0)
		return rc;
	if (m == NULL && may_continue(b, job->job)) {
		m = &b->made[b->made_count - 1];
		rc = continue_block(h, m, reterr);
	} else if (m == NULL) {
		m = begin_block(b, job->job);
	}
	if (rc < 0)
		return rc;
	for (; m->span < job->job - m->first; m->span++) /* jobs between them are elsewhere */
		set_gone(m, m->span, true);
	m->span++;
	m->kept++;
	set_priority(m, job->job, job->priority, m->span == 1);
	draft_add_entry(&b->made_draft, &e);
	return 0;
}

int made_write_draft(struct history *h, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	struct made_block *m = draft_block(b);
	int rc;

	if (m == NULL)
		return 0;
	if (m->kept == 0) { /* they have ended already */
		fini(m);
		b->made_count--;
		draft_clear(&b->made_draft);
		return 0;
	}
	rc = draft_write(h, &b->made_draft, m->kept, BYTES(m->gone, (m->span + 7) / 8), &m->block, reterr);
	m->changed = false;
	return rc;
}

int made_write(struct history *h, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	uint32_t kept = 0;
	int rc = made_write_draft(h, reterr);

	for (uint32_t i = 0; i < b->made_count; i++) {
		struct made_block *m = &b->made[i];

		if (rc == 0 && m->changed && m->kept == 0)
			rc = block_delete(h, m->block, reterr);
		else if (rc == 0 && m->changed)
			rc = sql_run(&h->db, WRITE_BLOCK_GONE, reterr, "ibi", I64(m->kept),
				     BYTES(m->gone, (m->span + 7) / 8), m->block);
		m->changed = false;
		if (rc == 0 && m->kept == 0)
			fini(m);
		else
			b->made[kept++] = *m;
	}
	b->made_count = kept;
	return rc;
}
