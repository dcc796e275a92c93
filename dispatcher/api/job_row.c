#include "dispatcher/api/job_row.h"

#include "jobs/kinds.h"

static void set(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

json_t *json_of_row(const struct history_job *row)
{
	json_t *job = json_object(), *phase = json_object();

	set(job, "id", row->job);
	json_object_set_new(job, "name", json_of_bytes(row->name));
	json_object_set_new(job, "definition", json_of_hex(row->definition));
	json_object_set_new(job, "state", json_string(job_state_name(row->state)));
	json_object_set_new(job, "word", json_string(job_state_name(row->state)));
	json_object_set_new(job, "why", json_of_bytes(row->why));
	json_object_set_new(job, "paused", json_boolean(row->paused));
	json_object_set_new(job, "priority", json_integer(row->priority));
	json_object_set_new(job, "queue", json_null());
	set(job, "phase", row->phase);
	json_object_set_new(phase, "name", json_string("shards"));
	set(phase, "shards", row->shards);
	json_object_set_new(phase, "sealed", json_true());
	set(phase, "pending", 0);
	set(phase, "leased", 0);
	set(phase, "delayed", 0);
	set(phase, "done", row->done);
	set(phase, "dead", row->dead);
	set(phase, "dropped", row->dropped);
	json_object_set_new(job, "phases", json_pack("[o]", phase));
	set(job, "retries", row->retries);
	json_object_set_new(job, "run_seconds", json_real((double)row->run_us / 1e6));
	json_object_set_new(job, "shard_seconds", json_null());
	set(job, "output_bytes", row->output_bytes);
	json_object_set_new(job, "accepted", json_of_time(row->accepted_wall_us));
	json_object_set_new(job, "started", json_of_time(row->started_wall_us));
	json_object_set_new(job, "ended", json_of_time(row->ended_wall_us));
	return job;
}

json_t *job_row_json(struct server *s, uint64_t job, struct error *reterr)
{
	struct history_job row;
	struct arena arena;
	json_t *value = NULL;
	int r;

	arena_init(&arena, 0);
	r = history_job(s->reader, job, &arena, &row, reterr);
	if (r == 0)
		value = json_of_row(&row);
	else if (r == ERR_NOT_FOUND) {
		error_set(reterr, ERR_NOT_FOUND, "there is no job %llu", (unsigned long long)job);
		error_help(reterr, "GET /v1/jobs lists them");
	}
	arena_fini(&arena);
	return value;
}
