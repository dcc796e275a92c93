#include "tests/fuzz/shard_set_play.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* A set and what it must be. Numbers are those of the universe: base + 0..size-1. */
struct twin {
	struct shard_set set;
	uint8_t *has;
	uint32_t count;
};

struct play {
	struct bytes script;
	size_t at;
	uint32_t base;
	uint32_t size;
	struct twin twin[2];
	struct shard_set_played *played;
};

static uint32_t read_number(struct play *p, uint32_t bound)
{
	uint32_t x = 0;

	for (int i = 0; i < (bound > 256 ? 3 : 1); i++)
		x = x << 8 | (p->at < p->script.size ? p->script.data[p->at++] : 0);
	return x % bound;
}

/* Where one of CRoaring's containers ends, as a number of the universe; its middle if none does. */
static uint32_t border_number(struct play *p)
{
	uint32_t number = 65536 - p->base % 65536 + 65536 * (p->size > 65536 ? read_number(p, 3) : 0);

	return number < p->size ? number : p->size / 2;
}

/* Of the universe's numbers: mostly few, sometimes up to all; some begin or end at a border. */
static struct range read_range(struct play *p)
{
	uint32_t kind = read_number(p, 8);
	uint32_t first = read_number(p, p->size);
	uint32_t bound = kind < 6 ? 16 : p->size;
	uint32_t count = kind < 3 ? 1 : read_number(p, bound);

	if (kind >= 4 && kind <= 6) {
		first = border_number(p);
		if (kind > 4)
			first = first < count ? 0 : first - count;
	}
	if (count > p->size - first)
		count = p->size - first;
	return (struct range){first, count};
}

static uint32_t model_fill(struct play *p, struct twin *t, struct range r, uint8_t value)
{
	uint32_t changed = 0;

	CHECK(range_end(r) <= p->size);
	for (uint32_t i = r.first; i < range_end(r); i++) {
		changed += t->has[i] != value;
		t->has[i] = value;
	}
	t->count += value ? changed : -changed;
	return changed;
}

static uint32_t model_next(const struct play *p, const struct twin *t, uint32_t at, uint8_t value)
{
	while (at < p->size && t->has[at] != value)
		at++;
	return at;
}

/* Every number, as runs. */
static void twin_compare(const struct play *p, const struct twin *t)
{
	uint32_t first = model_next(p, t, 0, 1), run_count = 0;
	uint64_t at = 0;
	struct range run;

	for (; shard_set_next_range(&t->set, at, &run); at = range_end(run)) {
		uint32_t end = model_next(p, t, first, 0);

		CHECK(first < p->size);
		CHECK(run.first == p->base + first && run.count == end - first);
		first = model_next(p, t, end, 1);
		run_count++;
	}
	CHECK(first == p->size);
	CHECK(run_count == shard_set_run_count(&t->set));
}

static void op_change(struct play *p, struct twin *t, bool add)
{
	struct range r = read_range(p);
	uint32_t expected = model_fill(p, t, r, add);
	uint32_t changed = add ? shard_set_add(&t->set, p->base + r.first, r.count)
			       : shard_set_remove(&t->set, p->base + r.first, r.count);

	CHECK(changed == expected);
}

/* Every other number: what drives a set into a bitmap, or out of it. */
static void op_comb(struct play *p, struct twin *t)
{
	bool add = read_number(p, 3) > 0;
	uint32_t first = read_number(p, p->size);
	uint32_t step = 2 + read_number(p, 4);

	for (uint32_t i = 0; i < 700 && first < p->size; i++, first += step) {
		uint32_t expected = model_fill(p, t, (struct range){first, 1}, add);

		CHECK((add ? shard_set_add(&t->set, p->base + first, 1)
			   : shard_set_remove(&t->set, p->base + first, 1)) == expected);
	}
}

static void op_take(struct play *p, struct twin *t)
{
	uint32_t max = read_number(p, 40);
	struct range taken = shard_set_take_first(&t->set, max);
	uint32_t first = model_next(p, t, 0, 1);
	uint32_t count = model_next(p, t, first, 0) - first;

	if (first == p->size || max == 0) {
		CHECK(taken.count == 0);
		return;
	}
	count = count < max ? count : max;
	CHECK(taken.first == p->base + first && taken.count == count);
	model_fill(p, t, (struct range){first, count}, 0);
}

static void op_query(struct play *p, struct twin *t)
{
	struct range r = read_range(p), real = {p->base + r.first, r.count}, run;
	uint32_t inside = 0, next = model_next(p, t, r.first, 1);
	uint32_t absent = model_next(p, t, r.first, 0);

	for (uint32_t i = r.first; i < range_end(r); i++)
		inside += t->has[i];
	CHECK(shard_set_contains(&t->set, real.first) == (t->has[r.first] != 0));
	CHECK(shard_set_intersect_count(&t->set, real) == inside);
	CHECK(shard_set_contains_any(&t->set, real) == (inside > 0));
	CHECK(shard_set_contains_all(&t->set, real) == (inside == r.count));
	if (absent > range_end(r))
		absent = (uint32_t)range_end(r);
	CHECK(shard_set_next_absent(&t->set, real.first, range_end(real)) == p->base + absent);
	if (shard_set_next_range(&t->set, real.first, &run))
		CHECK(run.first == p->base + next);
	else
		CHECK(next == p->size);
}

static void op_combine(struct play *p, struct twin *t)
{
	struct twin *other = &p->twin[read_number(p, 2)];
	bool unite = read_number(p, 2);
	uint32_t expected = 0;

	for (uint32_t i = 0; i < p->size; i++) {
		if (other->has[i] && t->has[i] != unite)
			expected += model_fill(p, t, (struct range){i, 1}, unite);
	}
	CHECK((unite ? shard_set_unite(&t->set, &other->set) : shard_set_subtract(&t->set, &other->set)) ==
	      expected);
}

static void op_copy(struct play *p, struct twin *t)
{
	struct twin *other = &p->twin[read_number(p, 2)];

	CHECK(shard_set_equal(&t->set, &other->set) == (memcmp(t->has, other->has, p->size) == 0));
	shard_set_copy(&t->set, &other->set);
	if (t != other)
		memcpy(t->has, other->has, p->size);
	t->count = other->count;
	CHECK(shard_set_equal(&t->set, &other->set));
}

/* Slices of one set, a window each, make the other one equal to it; a second time changes nothing.
 */
static void op_slices(struct play *p, struct twin *t)
{
	struct twin *other = &p->twin[t == &p->twin[0]];
	size_t max = 1 + read_number(p, 50);
	struct range *out = check_calloc(max, sizeof(*out));
	uint64_t cursor = 0, from = 0;
	size_t n;

	do {
		struct range window;

		n = shard_set_ranges(&t->set, &cursor, out, max);
		window = range_between(from, cursor);
		CHECK(shard_set_replace(&other->set, window, out, n, NULL) == 0);
		if (n > 0 && window.count > 1) { /* not in its window: refused, and left alone */
			window.first = out[0].first + 1;
			window.count = (uint32_t)(cursor - window.first);
			CHECK(shard_set_replace(&other->set, window, out, n, NULL) == ERR_INVALID);
		}
		from = cursor;
	} while (n == max);
	memcpy(other->has, t->has, p->size);
	other->count = t->count;
	free(out);
}

static void op_replace(struct play *p, struct twin *t)
{
	struct range window = read_range(p), kept[8];
	uint32_t at = window.first, n = 0;

	model_fill(p, t, window, 0);
	while (n < ARRAY_LENGTH(kept) && at < range_end(window)) {
		uint32_t room = (uint32_t)(range_end(window) - at);
		uint32_t skip = read_number(p, room), count = read_number(p, room - skip + 1);

		model_fill(p, t, (struct range){at + skip, count}, 1);
		kept[n++] = (struct range){p->base + at + skip, count};
		at += skip + count;
	}
	window.first += p->base;
	for (int twice = 0; twice < 2; twice++)
		CHECK(shard_set_replace(&t->set, window, kept, n, NULL) == 0);
}

static void play_op(struct play *p)
{
	struct twin *t = &p->twin[read_number(p, 4) == 0];
	uint32_t op = read_number(p, 256);

	if (op < 90)
		op_change(p, t, true);
	else if (op < 160)
		op_change(p, t, false);
	else if (op < 190)
		op_take(p, t);
	else if (op < 215)
		op_query(p, t);
	else if (op < 235)
		op_comb(p, t);
	else if (op < 240)
		op_combine(p, t);
	else if (op < 243)
		op_copy(p, t);
	else if (op < 247)
		op_slices(p, t);
	else if (op < 254)
		op_replace(p, t);
	else {
		shard_set_clear(&t->set);
		model_fill(p, t, (struct range){0, p->size}, 0);
	}
}

static void play_check(struct play *p, const enum shard_set_form before[2])
{
	for (int i = 0; i < 2; i++) {
		struct twin *t = &p->twin[i];
		enum shard_set_form form = shard_set_form(&t->set);
		uint32_t first;

		shard_set_check(&t->set);
		CHECK(shard_set_count(&t->set) == t->count);
		CHECK(shard_set_is_empty(&t->set) == (t->count == 0));
		CHECK(shard_set_peek_first(&t->set, &first) == (t->count > 0));
		if (t->count > 0)
			CHECK(first == p->base + model_next(p, t, 0, 1));
		CHECK((shard_set_bytes(&t->set) > 0) == (form > SHARD_SET_INTERVAL));
		if (p->size <= 300 || p->played->op_count % (p->size / 500) == 0)
			twin_compare(p, t);
		p->played->form_count[form]++;
		p->played->to_bitmap_count += form == SHARD_SET_BITMAP && before[i] != SHARD_SET_BITMAP;
		p->played->from_bitmap_count += form != SHARD_SET_BITMAP && before[i] == SHARD_SET_BITMAP;
	}
}

void shard_set_play(struct bytes script, struct shard_set_played *played)
{
	static const uint32_t sizes[] = {40, 300, 4000, 140000};
	struct play p = {.script = script, .played = played};

	p.size = sizes[read_number(&p, ARRAY_LENGTH(sizes))];
	switch (read_number(&p, 3)) {
	case 0:
		p.base = 0;
		break;
	case 1: /* up to the last number there is */
		p.base = (uint32_t)(SHARDS_MAX - p.size);
		break;
	default: /* across the border of two of CRoaring's containers */
		p.base = (1u << 20) - p.size / 3;
	}
	for (int i = 0; i < 2; i++) {
		shard_set_init(&p.twin[i].set);
		p.twin[i].has = check_calloc(p.size, 1);
	}
	while (p.at < p.script.size) {
		enum shard_set_form before[2] = {shard_set_form(&p.twin[0].set),
						 shard_set_form(&p.twin[1].set)};

		play_op(&p);
		played->op_count++;
		play_check(&p, before);
	}
	for (int i = 0; i < 2; i++) {
		twin_compare(&p, &p.twin[i]);
		shard_set_fini(&p.twin[i].set);
		free(p.twin[i].has);
	}
}
