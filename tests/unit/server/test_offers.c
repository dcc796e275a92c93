/* What nobody offers is refused, with what is there; not where nobody is known, nor too early. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/offers.h"

static struct named_amount two_licenses[] = {{BYTES_LIT("license"), 2000}},
			   three_licenses[] = {{BYTES_LIT("license"), 3000}};

static struct pool_told pool_of(uint64_t cpu_milli, uint64_t memory_bytes, uint32_t gpu_milli,
				const char *named)
{
	struct pool_told p = {.cpu_milli = cpu_milli, .memory_bytes = memory_bytes, .gpu_milli = gpu_milli};

	snprintf(p.name, sizeof(p.name), "p");
	snprintf(p.named, sizeof(p.named), "%s", named);
	return p;
}

/* said: NULL is accepted. */
static void expect(const struct resources *need, const struct view_offers *workers, struct pool_told items[],
		   uint32_t count, const char *said)
{
	const struct pools pools = {.items = items, .count = count};
	struct error e = {0};
	int rc = offers_check(need, workers, &pools, &e);

	cr_expect_eq(rc, said != NULL ? ERR_LIMIT : 0, "%s", e.what);
	if (said != NULL)
		cr_expect_str_eq(e.what, said, "%s", e.what);
	if (rc < 0)
		cr_expect(strstr(e.help, "allow_pending") != NULL);
}

Test(offers, of_workers)
{
	static const struct {
		struct resources need, largest;
		const char *said;
	} cases[] = {
	    {{.cpu_milli = 4000},
	     {.cpu_milli = 2000},
	     "no worker or pool offers 4 cpus; the largest offer is 2"},
	    {{.cpu_milli = 1000, .memory_bytes = 16 * GIB},
	     {.cpu_milli = 2000, .memory_bytes = 8 * GIB},
	     "no worker or pool offers 16GiB of memory; the largest offer is 8GiB"},
	    {{.cpu_milli = 1000, .gpu_milli = 2000},
	     {.cpu_milli = 2000, .gpu_milli = 1000},
	     "no worker or pool offers 2 gpus; the largest offer is 1"},
	    {{.cpu_milli = 1000, .gpu_milli = 1000},
	     {.cpu_milli = 2000},
	     "no worker or pool offers 1 gpu; the largest offer is 0"},
	    {{.cpu_milli = 1000, .named = {three_licenses, 1}},
	     {.cpu_milli = 2000, .named = {two_licenses, 1}},
	     "no worker or pool offers 3 of license; the largest offer is 2"},
	    {{.cpu_milli = 1000, .gpu_milli = 500, .named = {two_licenses, 1}},
	     {.cpu_milli = 2000, .memory_bytes = 8 * GIB, .gpu_milli = 1000, .named = {two_licenses, 1}},
	     "no worker or pool offers cpus=1,gpus=0.5,license=2 at once"},
	};
	struct view_offers w;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		w = (struct view_offers){.workers = 2, .largest = cases[i].largest};
		expect(&cases[i].need, &w, NULL, 0, cases[i].said);
		w.fits = true;
		expect(&cases[i].need, &w, NULL, 0, NULL);
		w.fits = false;
		w.awaited = true;
		expect(&cases[i].need, &w, NULL, 0, NULL);
		w = (struct view_offers){0};
		expect(&cases[i].need, &w, NULL, 0, NULL); /* nobody is known */
	}
}

Test(offers, of_what_all_share)
{
	const struct view_shared shared[] = {{.name = BYTES_LIT("license"), .total = 2500}};
	const struct resources two = {.named = {two_licenses, 1}}, three = {.named = {three_licenses, 1}};
	struct error e = {0};

	cr_expect_eq(offers_check_shared(&two, shared, 1, &e), 0);
	cr_expect_eq(offers_check_shared(&three, shared, 0, &e), 0);
	cr_expect_eq(offers_check_shared(&three, shared, 1, &e), ERR_LIMIT);
	cr_expect_str_eq(e.what, "a shard needs 3 of license; all workers together have 2.5");
}

Test(offers, of_pools)
{
	const struct resources gpu = {.cpu_milli = 1000, .gpu_milli = 1000},
			       license = {.cpu_milli = 1000, .named = {three_licenses, 1}},
			       large = {.cpu_milli = 1000, .memory_bytes = 64 * GIB};
	const struct view_offers none = {0}, small = {.workers = 1, .largest = {.cpu_milli = 1000}};
	struct pool_told pools[] = {pool_of(8000, 32 * GIB, 0, "license=2"), pool_of(2000, 0, 4000, ""),
				    pool_of(1000, GIB, 0, "license=1")};

	expect(&gpu, &none, pools, 1, "no worker or pool offers 1 gpu; the largest offer is 0");
	expect(&gpu, &small, pools, 2, NULL);
	expect(&license, &small, pools, 3, "no worker or pool offers 3 of license; the largest offer is 2");
	expect(&large, &none, pools, 1,
	       "no worker or pool offers 64GiB of memory; the largest offer is 32GiB");
	expect(&large, &none, pools, 2, NULL); /* the second does not say how much memory its workers have */
	expect(&(struct resources){.cpu_milli = 8000, .gpu_milli = 4000}, &small, pools, 3,
	       "no worker or pool offers cpus=8,gpus=4 at once");
	pools[1].cpu_milli = 0; /* nor how many cpus */
	expect(&(struct resources){.cpu_milli = 64000}, &small, pools, 2, NULL);
}
