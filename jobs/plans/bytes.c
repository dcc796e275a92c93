/* shard: {bytes: SIZE, align: line, of: URL}: shard n has the records that begin in [n * step, (n + 1) *
 * step) of one object. */
#include "base/check.h"
#include "base/limits.h"
#include "base/units.h"
#include "jobs/plan.h"
#include "jobs/plan_kind.h"

int plan_bytes_count(uint64_t size_bytes, uint64_t step_bytes, uint32_t *count_ret, struct error *reterr)
{
	uint64_t count;

	if (step_bytes == 0)
		return error_set(reterr, ERR_INVALID, "a shard of 0 bytes cuts nothing");
	count = size_bytes / step_bytes + (size_bytes % step_bytes != 0);
	if (count > SHARDS_MAX) {
		error_set(reterr, ERR_LIMIT,
			  "%llu bytes in shards of %llu make %llu shards; at most %llu are allowed",
			  (unsigned long long)size_bytes, (unsigned long long)step_bytes,
			  (unsigned long long)count, SHARDS_MAX);
		error_help(reterr, "use shards of at least %llu bytes",
			   (unsigned long long)(size_bytes / SHARDS_MAX + 1));
		return ERR_LIMIT;
	}
	*count_ret = count == 0 ? 1 : (uint32_t)count;
	return 0;
}

void plan_bytes_range(const struct plan *p, uint32_t shard, uint64_t *first_ret, uint64_t *end_ret)
{
	CHECK(shard < p->shard_count);
	*first_ret = shard * p->step_bytes;
	*end_ret = shard + 1 == p->shard_count ? p->size_bytes : *first_ret + p->step_bytes;
}

static void defaults(struct shard_section *s)
{
	s->align = ALIGN_LINE;
	s->of = BYTES_LIT(EVENT_OBJECT);
}

static void cut(const struct shard_section *s, struct plan *ret)
{
	ret->step_bytes = s->step_bytes;
	ret->align = s->align;
}

static int size(struct plan *p, struct error *reterr)
{
	return plan_bytes_count(p->size_bytes, p->step_bytes, &p->shard_count, reterr);
}

static int validate(const struct plan *p, struct error *reterr)
{
	uint32_t count;
	int rc = plan_bytes_count(p->size_bytes, p->step_bytes, &count, reterr);

	if (rc < 0)
		return rc;
	if (count != p->shard_count)
		return error_set(reterr, ERR_INVALID, "%u shards are named, but size and step make %u",
				 p->shard_count, count);
	if (p->align < ALIGN_NONE || p->align > ALIGN_FASTQ)
		return error_set(reterr, ERR_INVALID, "expected align %s", align_kind_names());
	if (p->url.size == 0 || p->url.size > URL_BYTES_MAX)
		return error_set(reterr, ERR_INVALID, "expected a url of 1 to %d bytes, found %zu",
				 URL_BYTES_MAX, p->url.size);
	return 0;
}

static void add_size(struct buf *out, uint64_t bytes)
{
	char text[UNITS_TEXT_MAX];

	buf_printf(out, "%s", units_show_size(bytes, text, sizeof text));
}

static void sentence(const struct plan *p, bool at_least, struct buf *out)
{
	uint64_t first, end;

	(void)at_least;
	if (p->size_bytes == 0) {
		buf_printf(out, "one shard, as the object is empty");
		return;
	}
	if (p->shard_count == 1) {
		buf_printf(out, "one shard, as the object has ");
		add_size(out, p->size_bytes);
		buf_printf(out, " and a shard takes ");
		add_size(out, p->step_bytes);
		return;
	}
	plan_bytes_range(p, p->shard_count - 1, &first, &end);
	buf_printf(out, "%u shards of ", p->shard_count);
	add_size(out, p->step_bytes);
	if (end - first != p->step_bytes) {
		buf_printf(out, ", the last one of ");
		add_size(out, end - first);
	}
	if (p->align == ALIGN_NONE)
		buf_printf(out, ", cut at exactly these bytes");
	else
		buf_printf(out, "; each begins at the first record (%s) that begins in its bytes",
			   align_kind_name(p->align));
}

static void describe(const struct plan *p, struct plan_facts *ret)
{
	fact_text(ret, "url", p->url);
	fact_size(ret, "size_bytes", p->size_bytes);
	fact_size(ret, "step_bytes", p->step_bytes);
	fact_text(ret, "align", bytes_of(align_kind_name(p->align)));
}

static void preview(const struct plan_shard *s, struct plan_facts *ret)
{
	uint64_t first, end;

	plan_bytes_range(s->plan, s->shard, &first, &end);
	fact_size(ret, "begin", first);
	fact_size(ret, "end", end);
}

static void expand(const struct plan_shard *s, struct plan_facts *ret)
{
	uint64_t first, end;

	plan_bytes_range(s->plan, s->shard, &first, &end);
	fact_size(ret, "shard.first_byte", first);
	fact_size(ret, "shard.end_byte", end);
	fact_size(ret, "shard.byte_count", end - first);
	fact_text(ret, "shard.url", s->plan->url);
}

static void environment(const struct plan_shard *s, struct plan_facts *ret)
{
	uint64_t first = s->first, end = s->end;

	if (!s->aligned)
		plan_bytes_range(s->plan, s->shard, &first, &end);
	fact_text(ret, "SHARDMILL_INPUT_URL", s->plan->url);
	fact_size(ret, "SHARDMILL_INPUT_FIRST", first);
	fact_size(ret, "SHARDMILL_INPUT_END", end);
}

static void runner(const struct plan *p, struct plan_facts *ret)
{
	fact_text(ret, "url", p->url);
	fact_size(ret, "size", p->size_bytes);
	fact_size(ret, "step", p->step_bytes);
	fact_text(ret, "align", bytes_of(align_kind_name(p->align)));
}

const struct plan_row plan_row_bytes = {
    .kind = PLAN_BYTES,
    .input = PLAN_INPUT_PART,
    .planner = PLANNER_SIZE,
    .planned = true,
    .column = "BYTES",
    .keys = {{.name = "bytes", .form = SHARD_SIZE},
	     {.name = "align", .form = SHARD_ALIGN},
	     {.name = "of", .form = SHARD_URL}},
    .defaults = defaults,
    .cut = cut,
    .size = size,
    .validate = validate,
    .sentence = sentence,
    .describe = describe,
    .preview = preview,
    .names = {"shard.first_byte", "shard.end_byte", "shard.byte_count", "shard.url"},
    .expand = expand,
    .environment = environment,
    .runner = runner,
};
