#include "dispatcher/offers.h"

#include <stdio.h>

#include "base/units.h"
#include "jobs/amounts_text.h"

void offer_of_pool(const struct pool_told *p, struct resources *ret,
		   struct named_amount items[NAMED_RESOURCES_MAX])
{
	*ret = (struct resources){.cpu_milli = p->cpu_milli,
				  .memory_bytes = p->memory_bytes,
				  .gpu_milli = p->gpu_milli,
				  .named.items = items};
	if (amounts_parse_named(p->named, &ret->named, NULL) < 0)
		ret->named.count = 0; /* it was looked at when it was told */
}

static uint64_t amount_of(const struct resources *r, struct bytes name)
{
	for (uint32_t i = 0; i < r->named.count; i++)
		if (bytes_equal(r->named.items[i].name, name))
			return r->named.items[i].amount;
	return 0;
}

static bool number_lacks(uint64_t need, uint64_t offer, const char *unit, struct offer_lack *ret)
{
	char text[UNITS_TEXT_MAX];

	if (need <= offer)
		return false;
	snprintf(ret->needed, sizeof(ret->needed), "%s %s",
		 units_format_cpus((uint32_t)need, text, sizeof(text)), unit);
	units_format_cpus((uint32_t)offer, ret->offered, sizeof(ret->offered));
	return true;
}

bool offer_lacks(const struct resources *need, const struct resources *offer, struct offer_lack *ret)
{
	char text[UNITS_TEXT_MAX], unit[NAME_BYTES_MAX + 8];

	if (offer->cpu_milli > 0 &&
	    number_lacks(need->cpu_milli, offer->cpu_milli, need->cpu_milli == 1000 ? "cpu" : "cpus", ret))
		return true;
	if (offer->memory_bytes > 0 && need->memory_bytes > offer->memory_bytes) {
		snprintf(ret->needed, sizeof(ret->needed), "%s of memory",
			 units_show_size(need->memory_bytes, text, sizeof(text)));
		units_show_size(offer->memory_bytes, ret->offered, sizeof(ret->offered));
		return true;
	}
	if (number_lacks(need->gpu_milli, offer->gpu_milli, need->gpu_milli == 1000 ? "gpu" : "gpus", ret))
		return true;
	for (uint32_t i = 0; i < need->named.count; i++) {
		const struct named_amount *n = &need->named.items[i];

		snprintf(unit, sizeof(unit), "of %.*s", (int)n->name.size, (const char *)n->name.data);
		if (number_lacks(n->amount, amount_of(offer, n->name), unit, ret))
			return true;
	}
	return false;
}

bool offer_suffices(const struct resources *need, const struct resources *offer)
{
	struct offer_lack lack;

	return !offer_lacks(need, offer, &lack);
}

void offer_write(const struct resources *r, struct buf *out)
{
	const char *between = "";
	char text[UNITS_TEXT_MAX];

	if (r->cpu_milli > 0) {
		buf_printf(out, "cpus=%s", units_format_cpus((uint32_t)r->cpu_milli, text, sizeof(text)));
		between = ",";
	}
	if (r->memory_bytes > 0) {
		buf_printf(out, "%smemory=%s", between, units_show_size(r->memory_bytes, text, sizeof(text)));
		between = ",";
	}
	if (r->gpu_milli > 0) {
		buf_printf(out, "%sgpus=%s", between, units_format_cpus(r->gpu_milli, text, sizeof(text)));
		between = ",";
	}
	if (r->named.count > 0)
		buf_printf(out, "%s", between);
	amounts_format_named(&r->named, out);
}

/* The most of each, of both; 0 of cpus or memory is any number. Room for what need names in items. */
static struct resources most_of(const struct resources *need, const struct resources *a,
				const struct resources *b, struct named_amount items[NAMED_RESOURCES_MAX])
{
	struct resources r = {.gpu_milli = a->gpu_milli > b->gpu_milli ? a->gpu_milli : b->gpu_milli,
			      .named = {items, 0}};

	if (a->cpu_milli > 0 && b->cpu_milli > 0)
		r.cpu_milli = a->cpu_milli > b->cpu_milli ? a->cpu_milli : b->cpu_milli;
	if (a->memory_bytes > 0 && b->memory_bytes > 0)
		r.memory_bytes = a->memory_bytes > b->memory_bytes ? a->memory_bytes : b->memory_bytes;
	for (uint32_t i = 0; i < need->named.count && i < NAMED_RESOURCES_MAX; i++) {
		struct bytes name = need->named.items[i].name;
		uint64_t of_a = amount_of(a, name), of_b = amount_of(b, name);

		items[r.named.count++] = (struct named_amount){name, of_a > of_b ? of_a : of_b};
	}
	return r;
}

static int refuse(const struct resources *need, const struct resources *most, struct error *reterr)
{
	struct buf text = {0};
	struct offer_lack lack;

	if (offer_lacks(need, most, &lack)) {
		error_set(reterr, ERR_LIMIT, "no worker or pool offers %s; the largest offer is %s",
			  lack.needed, lack.offered);
	} else {
		offer_write(need, &text);
		error_set(reterr, ERR_LIMIT, "no worker or pool offers %s at once", buf_text(&text));
		buf_fini(&text);
	}
	error_help(reterr,
		   "`shardmill workers` lists what is there; --allow-pending (allow_pending) waits for more");
	return ERR_LIMIT;
}

int offers_check_shared(const struct resources *need, const struct view_shared shared[], uint32_t count,
			struct error *reterr)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t amount = amount_of(need, shared[i].name);
		char needed[UNITS_TEXT_MAX], total[UNITS_TEXT_MAX];

		if (amount <= shared[i].total)
			continue;
		error_set(reterr, ERR_LIMIT, "a shard needs %s of %.*s; all workers together have %s",
			  units_format_cpus((uint32_t)amount, needed, sizeof(needed)),
			  (int)shared[i].name.size, (const char *)shared[i].name.data,
			  units_format_cpus((uint32_t)shared[i].total, total, sizeof(total)));
		error_help(reterr, "the dispatcher's --shared says how much; --allow-pending (allow_pending) "
				   "waits for more");
		return ERR_LIMIT;
	}
	return 0;
}

int offers_check(const struct resources *need, const struct view_offers *workers, const struct pools *pools,
		 struct error *reterr)
{
	struct named_amount items[2][NAMED_RESOURCES_MAX], of_pool[NAMED_RESOURCES_MAX];
	struct resources most = workers->largest;
	bool any = workers->workers > 0;

	if (workers->fits || workers->awaited)
		return 0;
	for (uint32_t i = 0; i < pools->count; i++) {
		struct resources offer;

		offer_of_pool(&pools->items[i], &offer, of_pool);
		if (offer_suffices(need, &offer))
			return 0;
		most = any ? most_of(need, &most, &offer, items[i % 2])
			   : most_of(need, &offer, &offer, items[i % 2]);
		any = true;
	}
	return any ? refuse(need, &most, reterr) : 0;
}
