/* How fast a job's shards are granted: a lease that needs no slice leaves in the step that grants it. */
#include "tests/sim/oracle.h"

void oracle_rated(struct oracle *o, struct oracle_job *j, const struct lease *l)
{
	uint32_t most = o->scenario->jobs[j->sim_job].rate_count, inside = l->count;

	if (most == 0 || l->slice.size > 0 || j->by_shards) /* those wait for the disk as well */
		return;
	for (uint32_t i = 0; i < j->rate_count; i++)
		if (o->world->now_us - j->rate_us[i] >= USEC_PER_SEC)
			j->rate_us[i--] = j->rate_us[--j->rate_count];
	inside += j->rate_count;
	if (inside > most)
		world_fail(o->world, "%u shards of job %llu are granted in a second, at most %u may be",
			   inside, (unsigned long long)j->id, most);
	for (uint32_t i = 0; i < l->count; i++)
		j->rate_us[j->rate_count++] = o->world->now_us;
	if (inside == most)
		coverage_hit(o->coverage, ROW_RATE_FULL, o->world->now_us);
}
