#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/job_table.h"

#include <string.h>

#include "base/array.h"
#include "dispatcher/core/durable/shards.h"

static bool row_is_there(const struct job_row *row)
{
	return row->state != 0 || (row->flags & JOB_NOTED) != 0;
}

/* The place of the first block whose number is not below `number`. */
static size_t lower_bound(const struct job_table *t, uint64_t number)
{
	size_t low = 0, high = t->block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->blocks[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct job_block *find_block(const struct job_table *t, uint64_t number)
{
	size_t at;

	if (t->block_count == 0 || number > t->blocks[t->block_count - 1]->number)
		return NULL;
	/* Where it stands if no block is missing behind it. */
	uint64_t behind = t->blocks[t->block_count - 1]->number - number;

	if (behind < t->block_count && t->blocks[t->block_count - 1 - behind]->number == number)
		return t->blocks[t->block_count - 1 - behind];
	at = lower_bound(t, number);
	return t->blocks[at]->number == number ? t->blocks[at] : NULL;
}

struct job_row *job_table_get(const struct job_table *t, uint64_t job)
{
	struct job_block *b = find_block(t, job / JOB_BLOCK_ROWS);

	if (b == NULL || !row_is_there(&b->rows[job % JOB_BLOCK_ROWS]))
		return NULL;
	return &b->rows[job % JOB_BLOCK_ROWS];
}

static struct job_block *add_block(struct job_table *t, uint64_t number)
{
	size_t at = lower_bound(t, number);
	struct job_block *b = check_calloc(1, sizeof *b);

	ARRAY_GROW(t->blocks, t->block_capacity, t->block_count);
	memmove(&t->blocks[at + 1], &t->blocks[at], (t->block_count - at) * sizeof(struct job_block *));
	t->blocks[at] = b;
	t->block_count++;
	b->number = number;
	return b;
}

struct job_row *job_table_add(struct job_table *t, uint64_t job)
{
	struct job_block *b = find_block(t, job / JOB_BLOCK_ROWS);

	if (b == NULL)
		b = add_block(t, job / JOB_BLOCK_ROWS);
	CHECK(!row_is_there(&b->rows[job % JOB_BLOCK_ROWS]));
	b->rows[job % JOB_BLOCK_ROWS] = (struct job_row){0};
	b->used++;
	t->count++;
	return &b->rows[job % JOB_BLOCK_ROWS];
}

static void row_fini(struct job_row *row)
{
	run_destroy(row->run);
	free(row->body);
	*row = (struct job_row){0};
}

void job_table_remove(struct job_table *t, uint64_t job)
{
	struct job_block *b = find_block(t, job / JOB_BLOCK_ROWS);
	size_t at;

	CHECK(b != NULL && row_is_there(&b->rows[job % JOB_BLOCK_ROWS]));
	row_fini(&b->rows[job % JOB_BLOCK_ROWS]);
	b->used--;
	t->count--;
	if (b->used > 0)
		return;
	at = lower_bound(t, b->number);
	memmove(&t->blocks[at], &t->blocks[at + 1], (t->block_count - at - 1) * sizeof(struct job_block *));
	t->block_count--;
	free(b);
}

void job_table_fini(struct job_table *t)
{
	for (size_t i = 0; i < t->block_count; i++) {
		for (size_t k = 0; k < JOB_BLOCK_ROWS; k++)
			row_fini(&t->blocks[i]->rows[k]);
		free(t->blocks[i]);
	}
	free(t->blocks);
	*t = (struct job_table){0};
}

uint64_t job_table_next(const struct job_table *t, uint64_t after)
{
	uint64_t job = after + 1;

	for (size_t i = lower_bound(t, job / JOB_BLOCK_ROWS); i < t->block_count; i++) {
		uint64_t base = t->blocks[i]->number * JOB_BLOCK_ROWS;
		uint64_t first = job > base ? job - base : 0;

		for (uint64_t k = first; k < JOB_BLOCK_ROWS; k++)
			if (row_is_there(&t->blocks[i]->rows[k]))
				return base + k;
	}
	return 0;
}

uint64_t job_table_previous(const struct job_table *t, uint64_t before)
{
	uint64_t last = before == 0 ? UINT64_MAX : before - 1;
	size_t i = lower_bound(t, last / JOB_BLOCK_ROWS);

	if (i < t->block_count && t->blocks[i]->number == last / JOB_BLOCK_ROWS)
		i++;
	for (; i > 0; i--) {
		uint64_t base = t->blocks[i - 1]->number * JOB_BLOCK_ROWS;
		uint64_t end = last - base < JOB_BLOCK_ROWS ? last - base + 1 : JOB_BLOCK_ROWS;

		for (uint64_t k = end; k > 0; k--)
			if (row_is_there(&t->blocks[i - 1]->rows[k - 1]))
				return base + k - 1;
	}
	return 0;
}

void job_row_set_body(struct job_row *row, const struct codec *codec, const void *value)
{
	struct buf b = {0};

	codec_encode(codec, value, &b);
	CHECK(b.size <= UINT32_MAX);
	free(row->body);
	row->body = check_realloc(NULL, 1, b.size); /* just its size: there are many */
	row->body_size = (uint32_t)b.size;
	memcpy(row->body, b.data, b.size);
	buf_fini(&b);
}

void job_row_body(const struct job_row *row, const struct codec *codec, void *value, struct arena *arena)
{
	int rc = codec_decode(codec, BYTES(row->body, row->body_size), value, arena, NULL);

	CHECK(rc == 0);
}

void blob_set(struct blob *b, struct bytes value)
{
	uint8_t *data = value.size > 0 ? check_realloc(NULL, 1, value.size) : NULL;

	CHECK(value.size <= UINT32_MAX);
	if (value.size > 0)
		memcpy(data, value.data, value.size);
	free(b->data);
	*b = (struct blob){data, (uint32_t)value.size};
}

void blob_fini(struct blob *b)
{
	free(b->data);
	*b = (struct blob){0};
}

void blob_set_principal(struct blob *b, const struct principal *p)
{
	struct buf text = {0};

	if (p->kind == 0) {
		blob_fini(b);
		return;
	}
	codec_encode(codec_principal(), p, &text);
	blob_set(b, buf_bytes(&text));
	buf_fini(&text);
}

struct principal blob_principal(const struct blob *b, struct arena *arena)
{
	struct principal p = {0};

	if (b->size > 0)
		CHECK(codec_decode(codec_principal(), arena_copy(arena, blob_bytes(b)), &p, arena, NULL) ==
		      0);
	return p;
}
