#include "tests/sim/plants.h"

#include <stdio.h>
#include <string.h>

#include "base/plant.h"
#include "tests/sim/fair.h"
#include "tests/sim/sim.h"

#ifdef PLANT_CHOSEN

enum plant plant_chosen = PLANT_none;

#define PLANT_ROW_NAME(name) #name,
static const char *const names[] = {"none", PLANTS(PLANT_ROW_NAME)};
#undef PLANT_ROW_NAME

int plants_choose(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (strcmp(names[i], name) == 0) {
			plant_chosen = (enum plant)i;
			return 0;
		}
	return -1;
}

static bool find(uint64_t last_seed)
{
	static struct coverage ignored;
	struct sim_result r;

	for (uint64_t seed = 1; seed <= last_seed; seed++) {
		if (seed % FAIR_EVERY == 0 && !fair_run(seed, r.failure)) {
			printf("%-32s %6llu  %s\n", names[plant_chosen], (unsigned long long)seed, r.failure);
			return true;
		}
		if (seed % FAIR_LARGE_EVERY == FAIR_EVERY / 2 && !fair_large(seed, r.failure)) {
			printf("%-32s %6llu  %s\n", names[plant_chosen], (unsigned long long)seed, r.failure);
			return true;
		}
		sim_run(seed, false, &ignored, &r);
		if (!r.failed)
			continue;
		printf("%-32s %6llu  %s\n", names[plant_chosen], (unsigned long long)seed, r.failure);
		return true;
	}
	printf("%-32s  NOT FOUND by seeds 1-%llu\n", names[plant_chosen], (unsigned long long)last_seed);
	return false;
}

/* A core whose CHECK failed cannot be taken apart: what it holds is no leak of interest here. */
__attribute__((weak)) void __lsan_disable(void);

int plants_find_all(uint64_t last_seed)
{
	size_t found = 0, count = ARRAY_LENGTH(names) - 1;

	if (__lsan_disable != NULL)
		__lsan_disable();
	printf("%-32s %6s  %s\n", "planted bug", "seed", "what the simulator said");
	for (size_t i = 1; i <= count; i++) {
		plant_chosen = (enum plant)i;
		found += find(last_seed);
		fflush(stdout);
	}
	printf("mill: %zu passed, %zu failed\n", found, count - found);
	printf("sim: %zu of %zu planted bugs are found by the standard seeds\n", found, count);
	return found != count;
}

#else

int plants_choose(const char *name)
{
	return strcmp(name, "none") == 0 ? 0 : -1;
}

int plants_find_all(uint64_t last_seed)
{
	printf("sim: this build has no planted bugs to find in %llu seeds\n", (unsigned long long)last_seed);
	return 1;
}

#endif
