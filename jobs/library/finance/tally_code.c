/* The compact form of tallies; tally.h describes it. */
#include <string.h>

#include "base/check.h"
#include "jobs/library/finance/tally.h"

#define MAGIC "FVT1"
#define VARINT_MAX 10u
#define KEY_BYTES_MAX (9 * VARINT_MAX + 2 * (DATE_SIZE - 1))

static void put(struct buf *out, uint64_t value)
{
	uint8_t bytes[VARINT_MAX];
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[size++] = (uint8_t)(value | 0x80);
	bytes[size++] = (uint8_t)value;
	buf_append(out, bytes, size);
}

static void put_signed(struct buf *out, int64_t value)
{
	put(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_key(const struct tally_key *k, struct buf *out)
{
	struct buf key = {0};

	put(&key, k->fingerprint);
	put(&key, k->seed);
	put(&key, k->horizon_days);
	put(&key, k->decay_ppm);
	put(&key, k->asset_count);
	put(&key, k->draw_count);
	put_signed(&key, k->total_cents);
	put_signed(&key, k->gross_cents);
	put(&key, k->bin_cents);
	buf_append(&key, k->from, DATE_SIZE - 1);
	buf_append(&key, k->until, DATE_SIZE - 1);
	put(out, key.size);
	buf_append_bytes(out, buf_bytes(&key));
	buf_fini(&key);
}

/* Room for n varints, written straight: this is the loop that every shard pays for. */
static uint8_t *put_at(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static void put_cells(const struct tally *t, struct buf *out)
{
	uint32_t before = 0, filled = 0;
	uint8_t *from, *at;

	for (uint32_t i = 0; i < sizeof t->filled / sizeof t->filled[0]; i++)
		filled += (uint32_t)__builtin_popcountll(t->filled[i]);
	put(out, filled);
	from = at = buf_reserve(out, (size_t)filled * 3 * VARINT_MAX);
	for (uint32_t i = tally_next(t, 0); i < TALLY_CELLS; i = tally_next(t, i + 1)) {
		at = put_at(at, i - before);
		at = put_at(at, t->cells[i].count);
		at = put_at(at, t->cells[i].rest_cents);
		before = i;
	}
	out->size += (size_t)(at - from);
}

void tally_encode(const struct tally *t, struct buf *out)
{
	struct buf body = {0};
	uint64_t end = 0;

	CHECK(t->has_key);
	put_key(&t->key, &body);
	put(&body, t->scenario_count);
	if (t->scenario_count > 0) {
		put_signed(&body, t->worst_cents);
		put_signed(&body, t->best_cents);
	}
	put(&body, t->range_count);
	for (uint32_t i = 0; i < t->range_count; i++) {
		put(&body, t->ranges[i].first - end);
		put(&body, t->ranges[i].count);
		end = t->ranges[i].first + t->ranges[i].count;
	}
	put_cells(t, &body);
	buf_append(out, MAGIC, strlen(MAGIC));
	put(out, body.size);
	buf_append_bytes(out, buf_bytes(&body));
	buf_fini(&body);
}

/* Reading: bad says that a number was cut short or too long; what was read is then 0. */

struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

static inline uint64_t get(struct cursor *c)
{
	uint64_t value = 0;

	if (c->at < c->end && *c->at < 0x80)
		return *c->at++;
	for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
		uint8_t byte = *c->at++;

		value |= (uint64_t)(byte & 0x7F) << shift;
		if (byte < 0x80) {
			/* One way to write a number: no bits past the 64th, no empty last byte. */
			c->bad |= byte == 0 || (shift == 63 && byte > 1);
			return value;
		}
	}
	c->bad = true;
	return 0;
}

static int64_t get_signed(struct cursor *c)
{
	uint64_t value = get(c);

	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static uint32_t get_u32(struct cursor *c)
{
	uint64_t value = get(c);

	c->bad |= value > UINT32_MAX;
	return (uint32_t)value;
}

static struct cursor get_part(struct cursor *c)
{
	uint64_t size = get(c);
	struct cursor part;

	if (size > (uint64_t)(c->end - c->at)) {
		c->bad = true;
		size = 0;
	}
	part = (struct cursor){c->at, c->at + size, false};
	c->at += size;
	return part;
}

static void get_date(struct cursor *c, char date[DATE_SIZE])
{
	if (c->end - c->at < DATE_SIZE - 1) {
		c->bad = true;
		return;
	}
	memcpy(date, c->at, DATE_SIZE - 1);
	c->at += DATE_SIZE - 1;
	c->bad |= strspn(date, "0123456789-") != DATE_SIZE - 1;
}

static void get_key(struct cursor *c, struct tally_key *k)
{
	struct cursor part = get_part(c);

	k->fingerprint = get(&part);
	k->seed = get(&part);
	k->horizon_days = get_u32(&part);
	k->decay_ppm = get_u32(&part);
	k->asset_count = get_u32(&part);
	k->draw_count = get_u32(&part);
	k->total_cents = get_signed(&part);
	k->gross_cents = get_signed(&part);
	k->bin_cents = get(&part);
	get_date(&part, k->from);
	get_date(&part, k->until);
	c->bad |= part.bad || part.at != part.end;
}

static bool key_is_sound(const struct tally_key *k)
{
	return k->gross_cents > 0 && k->gross_cents <= CENTS_MAX && k->total_cents <= k->gross_cents &&
	       k->total_cents >= -k->gross_cents - 1 && k->bin_cents > 0 &&
	       k->bin_cents <= (uint64_t)CENTS_MAX && k->horizon_days > 0 &&
	       k->horizon_days <= HORIZON_DAYS_MAX && k->decay_ppm > 0 && k->decay_ppm <= DECAY_PPM_MAX;
}

static int get_ranges(struct tally *t, struct cursor *c, uint64_t scenarios, struct error *reterr)
{
	uint64_t count = get(c), end = 0, sum = 0;
	int rc = 0;

	for (uint64_t i = 0; i < count && rc == 0 && !c->bad; i++) {
		struct scenario_range r = {.first = end + get(c)};

		r.count = get(c);
		if (r.first < end || r.first > SCENARIOS_MAX || r.count == 0 ||
		    r.count > SCENARIOS_MAX - r.first)
			c->bad = true;
		else
			rc = tally_add_range(t, r, reterr);
		end = r.first + r.count;
		sum += r.count;
	}
	c->bad |= sum != scenarios;
	return rc;
}

static void get_cells(struct tally *t, struct cursor *c, uint64_t scenarios)
{
	uint64_t count = get(c), cell = 0, sum = 0;

	for (uint64_t i = 0; i < count && !c->bad; i++) {
		uint64_t gap = get(c), many = get(c), rest = get(c);
		struct tally_cell *into;

		cell += gap;
		if (gap >= TALLY_CELLS || cell >= TALLY_CELLS || (i > 0 && gap == 0) || many == 0 ||
		    many > scenarios - sum) {
			c->bad = true;
			return;
		}
		sum += many;
		into = tally_fill(t, (uint32_t)cell);
		into->count += many;
		t->overflow |= __builtin_add_overflow(into->rest_cents, rest, &into->rest_cents);
	}
	c->bad |= sum != scenarios;
}

static int decode_body(struct tally *t, struct cursor *c, struct error *reterr)
{
	struct tally_key key = {0};
	int64_t worst, best;
	uint64_t scenarios;
	int rc;

	get_key(c, &key);
	if (c->bad || !key_is_sound(&key))
		return error_set(reterr, ERR_CORRUPT, "the key of a tally is damaged");
	rc = tally_expect(t, &key, reterr);
	if (rc < 0)
		return rc;
	scenarios = get(c);
	worst = scenarios > 0 ? get_signed(c) : 0;
	best = scenarios > 0 ? get_signed(c) : 0;
	rc = get_ranges(t, c, scenarios, reterr);
	if (rc < 0)
		return rc;
	get_cells(t, c, scenarios);
	if (c->bad || c->at != c->end || worst > best)
		return error_set(reterr, ERR_CORRUPT, "a tally is damaged");
	if (t->overflow)
		return error_set(reterr, ERR_LIMIT, "a sum of profits does not fit into 64 bits");
	if (scenarios > 0 && (t->scenario_count == 0 || worst < t->worst_cents))
		t->worst_cents = worst;
	if (scenarios > 0 && (t->scenario_count == 0 || best > t->best_cents))
		t->best_cents = best;
	t->scenario_count += scenarios;
	return 0;
}

int tally_decode_into(struct tally *t, struct bytes in, size_t *ret_used, struct error *reterr)
{
	struct cursor c = {in.data, in.data + in.size, false}, body;
	int rc;

	if (in.size < strlen(MAGIC) || memcmp(in.data, MAGIC, strlen(MAGIC)) != 0) {
		error_set(reterr, ERR_CORRUPT, "expected a tally, which begins with %s", MAGIC);
		error_help(reterr, "give what finance-var --tally or the shards of its job wrote");
		return ERR_CORRUPT;
	}
	c.at += strlen(MAGIC);
	body = get_part(&c);
	if (c.bad)
		return error_set(reterr, ERR_CORRUPT, "a tally is cut short");
	rc = decode_body(t, &body, reterr);
	if (rc == 0)
		*ret_used = (size_t)(c.at - in.data);
	return rc;
}

size_t tally_size(struct bytes in)
{
	struct cursor c = {in.data, in.data + in.size, false};
	uint64_t size;

	if (memcmp(in.data, MAGIC, in.size < strlen(MAGIC) ? in.size : strlen(MAGIC)) != 0)
		return in.size;
	if (in.size < strlen(MAGIC))
		return 0;
	c.at += strlen(MAGIC);
	size = get(&c);
	return c.bad || size > (uint64_t)(c.end - c.at) ? 0 : (size_t)(c.at - in.data) + size;
}

int tally_check(const struct tally *t, struct error *reterr)
{
	uint64_t width = t->key.bin_cents;

	if (t->scenario_count > 0 && (t->cells[tally_cell_of(t, t->worst_cents)].count == 0 ||
				      t->cells[tally_cell_of(t, t->best_cents)].count == 0))
		return error_set(reterr, ERR_CORRUPT, "the worst or best profit is not in the histogram");
	for (uint32_t i = 0; i < TALLY_CELLS; i++) {
		const struct tally_cell *c = &t->cells[i];
		bool bounded = i > 0 && i < TALLY_CELLS - 1;

		if (bounded && (c->count > 0 ? c->rest_cents / c->count >= width : c->rest_cents > 0))
			return error_set(reterr, ERR_CORRUPT, "bin %u: a sum that its count cannot have", i);
	}
	return 0;
}
