#include "dispatcher/store/history_views.h"

#include <sqlite3ext.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "base/limits.h"

SQLITE_EXTENSION_INIT3

#define KEPT_VIEWS 512
#define KEPT_BYTES_MAX ((size_t)(32 * MIB))

struct kept {
	int64_t block; /* 0: free */
	struct block_view *view;
	uint64_t used; /* grows */
	uint32_t holders;
};

struct history_views {
	sqlite3 *db;
	struct kept kept[KEPT_VIEWS];
	uint32_t last;
	uint64_t uses;
	size_t cost; /* about: of columns that were looked at since, only what was known then */
	struct {
		const char *text;
		sqlite3_stmt *stmt;
		bool busy;
	} statements[HISTORY_STATEMENTS_MAX];
};

struct history_views *history_views_create(sqlite3 *db)
{
	struct history_views *v = check_calloc(1, sizeof *v);

	v->db = db;
	return v;
}

static void drop(struct kept *k)
{
	block_view_destroy(k->view);
	*k = (struct kept){0};
}

void history_views_forget(struct history_views *v)
{
	for (size_t i = 0; i < KEPT_VIEWS; i++) {
		CHECK(v->kept[i].holders == 0);
		drop(&v->kept[i]);
	}
}

void history_views_rest(struct history_views *v)
{
	for (size_t i = 0; v != NULL && i < HISTORY_STATEMENTS_MAX; i++) {
		if (v->statements[i].busy)
			continue;
		sqlite3_finalize(v->statements[i].stmt);
		v->statements[i].stmt = NULL;
		v->statements[i].text = NULL;
	}
}

void history_views_destroy(struct history_views *v)
{
	if (v == NULL)
		return;
	history_views_forget(v);
	history_views_rest(v);
	free(v);
}

/* ---- statements ---- */

int history_views_ask(struct history_views *v, const char *text, sqlite3_stmt **ret)
{
	size_t room = HISTORY_STATEMENTS_MAX;
	int code;

	for (size_t i = 0; i < HISTORY_STATEMENTS_MAX; i++) {
		if (v->statements[i].busy)
			continue;
		if (v->statements[i].text == text) {
			v->statements[i].busy = true;
			*ret = v->statements[i].stmt;
			return SQLITE_OK;
		}
		if (room == HISTORY_STATEMENTS_MAX || v->statements[i].stmt == NULL)
			room = i;
	}
	code = sqlite3_prepare_v3(v->db, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
	if (code != SQLITE_OK || room == HISTORY_STATEMENTS_MAX)
		return code;
	sqlite3_finalize(v->statements[room].stmt);
	v->statements[room].text = text;
	v->statements[room].stmt = *ret;
	v->statements[room].busy = true;
	return SQLITE_OK;
}

void history_views_done(struct history_views *v, sqlite3_stmt *stmt)
{
	if (stmt == NULL)
		return;
	for (size_t i = 0; i < HISTORY_STATEMENTS_MAX; i++) {
		if (v->statements[i].stmt != stmt || !v->statements[i].busy)
			continue;
		sqlite3_reset(stmt);
		sqlite3_clear_bindings(stmt);
		v->statements[i].busy = false;
		return;
	}
	sqlite3_finalize(stmt); /* there was no place for it */
}

/* ---- blocks ---- */

static struct kept *find(struct history_views *v, int64_t block)
{
	if (v->kept[v->last].block == block)
		return &v->kept[v->last];
	for (uint32_t i = 0; i < KEPT_VIEWS; i++)
		if (v->kept[i].block == block) {
			v->last = i;
			return &v->kept[i];
		}
	return NULL;
}

/* A free place, of those that were not used for longest; NULL: all are held. */
static struct kept *make_room(struct history_views *v)
{
	struct kept *oldest;
	size_t cost;

	do {
		oldest = NULL;
		cost = 0;
		for (uint32_t i = 0; i < KEPT_VIEWS; i++) {
			struct kept *k = &v->kept[i];

			cost += k->view != NULL ? block_view_cost(k->view) : 0;
			if (k->holders == 0 && (oldest == NULL || k->used < oldest->used))
				oldest = k; /* a free one was never used */
		}
		if (oldest != NULL && oldest->block != 0 && cost > KEPT_BYTES_MAX)
			drop(oldest);
	} while (oldest != NULL && cost > KEPT_BYTES_MAX && oldest->used > 0);
	if (oldest != NULL)
		drop(oldest);
	return oldest;
}

static const char of_ids[] = "SELECT ids FROM block_bodies WHERE block = ?";
static const char of_body[] = "SELECT body FROM block_bodies WHERE block = ?";

/* Steps onto the blob. */
static int read_blob(struct history_views *v, const char *text, int64_t block, sqlite3_stmt **stmt,
		     struct bytes *ret)
{
	int code = history_views_ask(v, text, stmt);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(*stmt, 1, block);
	code = sqlite3_step(*stmt);
	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? SQLITE_NOTFOUND : code;
	ret->data = sqlite3_column_blob(*stmt, 0);
	ret->size = (size_t)sqlite3_column_bytes(*stmt, 0);
	return SQLITE_OK;
}

static int add_body(struct history_views *v, int64_t block, struct block_view *view)
{
	sqlite3_stmt *stmt = NULL;
	struct bytes body;
	int code = read_blob(v, of_body, block, &stmt, &body);

	if (code == SQLITE_OK && block_view_add_body(view, body, NULL) < 0)
		code = SQLITE_CORRUPT_VTAB;
	history_views_done(v, stmt);
	return code;
}

static int add_view(struct history_views *v, int64_t block, enum history_block_kind kind, struct kept **ret)
{
	sqlite3_stmt *stmt = NULL;
	struct block_view *view = NULL;
	struct kept *k = make_room(v);
	struct bytes ids;
	int code = k == NULL ? SQLITE_NOMEM : read_blob(v, of_ids, block, &stmt, &ids);

	if (code == SQLITE_OK && block_view_create(&view, history_block_fields(kind), ids, NULL) < 0)
		code = SQLITE_CORRUPT_VTAB;
	history_views_done(v, stmt);
	if (code != SQLITE_OK)
		return code;
	*k = (struct kept){.block = block, .view = view};
	*ret = k;
	return SQLITE_OK;
}

int history_views_get(struct history_views *v, int64_t block, enum history_block_kind kind, bool with_body,
		      struct block_view **ret)
{
	struct kept *k = find(v, block);
	int code = k != NULL ? SQLITE_OK : add_view(v, block, kind, &k);

	if (code == SQLITE_OK && with_body && !block_view_has_body(k->view))
		code = add_body(v, block, k->view);
	if (code != SQLITE_OK)
		return code;
	k->used = ++v->uses;
	k->holders++;
	*ret = k->view;
	return SQLITE_OK;
}

void history_views_release(struct history_views *v, const struct block_view *view)
{
	for (uint32_t i = 0; view != NULL && i < KEPT_VIEWS; i++)
		if (v->kept[i].view == view) {
			v->kept[i].holders--;
			return;
		}
}

/* ---- what is hidden ---- */

static const char forgotten_of[] =
    "SELECT first, last FROM forgotten WHERE first >= (SELECT ifnull(max(first), 0)"
    " FROM forgotten WHERE first <= ?1) AND first <= ?2";
static const char left_of[] = "SELECT job FROM block_left WHERE job BETWEEN ? AND ? ORDER BY job";

static int read_forgotten(struct history_views *v, struct job_interval jobs, struct history_hidden *h)
{
	sqlite3_stmt *stmt;
	int code = history_views_ask(v, forgotten_of, &stmt);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(stmt, 1, jobs.first);
	sqlite3_bind_int64(stmt, 2, jobs.last);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct job_interval f = {sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};

		if (f.last < jobs.first)
			continue;
		ARRAY_GROW(h->forgotten, h->forgotten_room, h->forgotten_count);
		h->forgotten[h->forgotten_count++] = f;
	}
	history_views_done(v, stmt);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_left(struct history_views *v, struct job_interval jobs, struct history_hidden *h)
{
	sqlite3_stmt *stmt;
	int code = history_views_ask(v, left_of, &stmt);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(stmt, 1, jobs.first);
	sqlite3_bind_int64(stmt, 2, jobs.last);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		ARRAY_GROW(h->left, h->left_room, h->left_count);
		h->left[h->left_count++] = sqlite3_column_int64(stmt, 0);
	}
	history_views_done(v, stmt);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

int history_hidden_read(struct history_views *v, struct job_interval jobs, struct history_hidden *ret)
{
	int code;

	ret->forgotten_count = ret->left_count = 0;
	code = read_forgotten(v, jobs, ret);
	return code != SQLITE_OK ? code : read_left(v, jobs, ret);
}

bool history_is_forgotten(const struct history_hidden *h, int64_t first, int64_t last)
{
	uint32_t low = 0, high = h->forgotten_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (h->forgotten[middle].last < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low < h->forgotten_count && h->forgotten[low].first <= first && h->forgotten[low].last >= last;
}

bool history_is_hidden(const struct history_hidden *h, int64_t job)
{
	uint32_t low = 0, high = h->left_count;

	if (h->forgotten_count > 0 && history_is_forgotten(h, job, job))
		return true;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (h->left[middle] < job)
			low = middle + 1;
		else
			high = middle;
	}
	return low < h->left_count && h->left[low] == job;
}

void history_hidden_fini(struct history_hidden *h)
{
	free(h->forgotten);
	free(h->left);
	*h = (struct history_hidden){0};
}
