#include "worker/agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/s3/settings.h"
#include "base/scratch_root.h"
#include "jobs/ids.h"
#include "worker/agent_impl.h"
#include "worker/run/offspring.h"

/* Slots are looked at once in so long while they keep raising their flag: short shards are taken in
 * handfuls, and the agent leaves the cores to them. A slot that has released a cell needs another lease
 * before the one in work ends: it is looked at sooner. */
#define FETCH_INTERVAL_US USEC_PER_MSEC
#define FETCH_INTERVAL_RELEASED_US 50
#define RUNNER_IDLE_US (60 * USEC_PER_SEC)
#define FRAMES_PER_TURN 256

extern char **environ;

static void step_kind(struct agent *a, enum worker_input_kind kind)
{
	struct worker_input in = {.kind = kind};

	agent_step(a, &in);
}

/* 0: it may take as long as it takes. */
static void limit_drain(struct agent *a)
{
	usec_t timeout = params_duration_us(a->params, PARAM_DRAIN_TIMEOUT);

	if (timeout > 0 && a->drain_timer.place == 0)
		loop_timer_set(a->loop, &a->drain_timer, clock_mono_us() + timeout);
}

static void take_frame(struct agent *a, struct bytes body)
{
	struct worker_input in = {.kind = WORKER_FRAME};
	struct error e = {0};
	uint64_t withheld;
	uint32_t type;
	void *value;

	arena_reset(&a->frame_arena);
	if (codec_union_decode(&message_union, &body, &type, &value, &a->frame_arena, &e) < 0) {
		if (log_quota_take(&a->senseless, clock_mono_us(), &withheld))
			log_warn("a frame of the dispatcher makes no sense and is dropped",
				 log_text("error", e.what), log_u64("withheld", withheld));
		return;
	}
	if (type == MESSAGE_LOOK)
		agent_answer_look(a, value);
	if (type == MESSAGE_TAIL)
		agent_answer_tail(a, value);
	in.frame = (struct worker_frame){.type = (enum message_type)type, .body = value};
	if (type == MESSAGE_DRAIN)
		limit_drain(a);
	agent_step(a, &in);
}

/* Returns true when more may be waiting. */
static bool drain_frames(struct agent *a)
{
	struct endpoint_frame f;

	for (int i = 0; i < FRAMES_PER_TURN; i++) {
		if (endpoint_receive(a->endpoint, &f) == 0)
			return false;
		take_frame(a, f.body);
	}
	return true;
}

static void drain_events(struct agent *a)
{
	enum endpoint_event event;

	while ((event = endpoint_next_event(a->endpoint)) != ENDPOINT_QUIET) {
		if (event == ENDPOINT_REFUSED && !a->refusal_told) {
			a->refusal_told = true;
			log_error("the dispatcher does not accept this worker's key, or is not the one whose "
				  "key we have",
				  log_text("address", endpoint_address(a->endpoint)));
		}
		if (event == ENDPOINT_CONNECTED)
			a->refusal_told = false;
		step_kind(a, event == ENDPOINT_CONNECTED ? WORKER_CONNECTED : WORKER_DISCONNECTED);
	}
}

/* libzmq's descriptors are edges: both are looked at before each sleep. */
static void on_prepare(struct loop *loop, void *arg)
{
	struct agent *a = arg;
	bool more;

	drain_events(a);
	more = drain_frames(a);
	loop_timer_set(loop, &a->tick, more ? clock_mono_us() : worker_core_deadline(a->core));
}

static void on_readable(struct loop *loop, uint32_t events, void *arg)
{
	(void)loop;
	(void)events;
	(void)arg; /* on_prepare does it */
}

static void on_tick(struct loop *loop, void *arg)
{
	struct agent *a = arg;

	(void)loop;
	if (!drain_frames(a))
		step_kind(a, WORKER_TICK);
}

static void on_slots(struct loop *loop, uint32_t events, void *arg)
{
	struct agent *a = arg;
	uint64_t count;
	ssize_t got = read(a->notify_fd, &count, sizeof count);
	bool released = got == (ssize_t)sizeof count && count >= SLOT_NOTIFY_RELEASED;
	usec_t due = a->slots_fetched_us + (released ? FETCH_INTERVAL_RELEASED_US : FETCH_INTERVAL_US);

	(void)events;
	if (clock_mono_us() >= due)
		agent_fetch_slots(a);
	else if (due < a->slots_due_us)
		loop_timer_set(loop, &a->slot_timer, a->slots_due_us = due);
}

static void on_slot_timer(struct loop *loop, void *arg)
{
	(void)loop;
	agent_fetch_slots(arg);
}

/* Without it no attempt can be started. Another worker can be. */
static void on_nursery(struct loop *loop, uint32_t events, void *arg)
{
	struct agent *a = arg;

	(void)events;
	log_error("the process that starts attempts was ended by somebody: this worker gives its work back "
		  "and leaves",
		  log_i64("pid", a->nursery.pid));
	loop_remove(loop, &a->nursery_watch);
	step_kind(a, WORKER_ABORT);
}

static void on_synced(struct loop *loop, uint32_t events, void *arg)
{
	struct agent *a = arg;
	struct worker_input in = {0};
	struct error failed;
	uint64_t count, done;
	ssize_t got = read(a->syncer.fd, &count, sizeof count);

	(void)loop;
	(void)events;
	(void)got;
	pthread_mutex_lock(&a->syncer.lock);
	done = a->syncer.done;
	failed = a->syncer.failed;
	in.sync_failed.code = a->syncer.failed_errno;
	pthread_mutex_unlock(&a->syncer.lock);
	if (failed.code == ERR_OK) {
		in.kind = WORKER_SYNCED;
		in.synced = done;
	} else {
		in.kind = WORKER_SYNC_FAILED;
		in.sync_failed.generation = done;
		in.sync_failed.why = bytes_of(failed.what);
		log_error("outputs could not be synced", log_text("error", failed.what));
	}
	agent_step(a, &in);
}

static void on_drain_timeout(struct loop *loop, void *arg)
{
	(void)loop;
	log_info("drain_timeout is over: what runs is ended");
	step_kind(arg, WORKER_ABORT);
}

static void on_signal(struct loop *loop, int signo, void *arg)
{
	static int count;

	(void)loop;
	log_info(count == 0 ? "draining: what runs is finished, the rest given back"
			    : "aborting: what runs is ended",
		 log_i64("signal", signo));
	if (count == 0)
		limit_drain(arg);
	step_kind(arg, count++ == 0 ? WORKER_DRAIN : WORKER_ABORT);
}

/* Starting */

static int create_core(struct agent *a, struct error *reterr)
{
	static char host[256];
	struct worker_config config;
	uint64_t seed;

	if (gethostname(host, sizeof host - 1) < 0 ||
	    getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
		return error_set(reterr, ERR_IO, "the system tells no host name or random number");
	worker_config_init(&config, a->params);
	config.worker = a->home.worker;
	config.host = bytes_of(host);
	config.pid = (uint32_t)getpid();
	config.pool = bytes_of(params_text(a->params, PARAM_POOL));
	config.provider_id = bytes_of(params_text(a->params, PARAM_PROVIDER_ID));
	config.numa_node = a->topology.numa_node;
	config.capacity = a->capacity;
	config.gone = (struct uuid_list){a->home.gone, a->home.gone_count};
	config.seed = seed;
	a->core = worker_core_create(&config);
	return 0;
}

static int open_connection(struct agent *a, struct error *reterr)
{
	const char *dir = params_text(a->params, PARAM_KEYS_DIR);
	struct key_pair own, server;
	char path[4200];
	int rc;

	snprintf(path, sizeof path, "%s/worker.key", dir);
	rc = key_pair_load(path, true, &own, reterr);
	if (rc == 0) {
		snprintf(path, sizeof path, "%s/dispatcher.key.pub", dir);
		rc = key_pair_load(path, false, &server, reterr);
	}
	if (rc < 0)
		return rc;
	a->context = zmq_ctx_new();
	rc = endpoint_connect(a->context, params_text(a->params, PARAM_CONNECT), &own, server.public_text,
			      &a->endpoint, reterr);
	explicit_bzero(&own, sizeof own);
	return rc;
}

/* Before there is any other thread: what is started inherits where it runs. */
static int bind_machine(struct agent *a, struct error *reterr)
{
	const char *cores = params_text(a->params, PARAM_CORES);
	struct error e;
	int rc = topology_open(cores[0] != '\0' ? cores : NULL, (int)params_choice(a->params, PARAM_PIN),
			       &a->topology, reterr);

	if (rc < 0)
		return rc;
	a->cores_used = check_calloc(a->topology.core_count, sizeof *a->cores_used);
	if (topology_bind_worker(&a->topology, &e) < 0)
		log_warn("the worker itself runs unpinned", log_text("error", e.what));
	return 0;
}

static int open_groups(struct agent *a, struct error *reterr)
{
	groups_find(&a->groups, params_text(a->params, PARAM_CGROUP), &a->memory, &a->home.worker);
	return a->groups.root.fd < 0 ? 0 : nursery_groups(&a->nursery, a->groups.root.path, reterr);
}

static int open_machine(struct agent *a, struct error *reterr)
{
	char scratch[4000];
	int rc = bind_machine(a, reterr);

	if (rc == 0)
		rc = agent_open_offer(a, reterr);
	if (rc == 0)
		rc = scratch_root(params_text(a->params, PARAM_SCRATCH_DIR), scratch, sizeof scratch, reterr);
	if (rc == 0)
		rc = home_open(&a->home, scratch, reterr);
	if (rc == 0) /* as long as an attempt's process may run, nobody else may take over the directory */
		rc = home_share(&a->home, &a->nursery, reterr);
	if (rc == 0)
		rc = memory_bounds_open(&a->memory, (uint8_t)params_choice(a->params, PARAM_MEMORY_BOUND),
					params_text(a->params, PARAM_CGROUP), &a->home.worker, reterr);
	if (rc == 0)
		rc = open_groups(a, reterr);
	if (rc == 0)
		rc = output_dir_open(&a->output, params_text(a->params, PARAM_OUTPUT_DIR), &a->home.worker,
				     OUTPUT_ROLL_BYTES, reterr);
	a->output.roll_age_us = params_duration_us(a->params, PARAM_SEGMENT_AGE);
	if (rc == 0)
		rc = s3_client_of_params(a->params, USEC_NEVER, &a->s3, reterr);
	a->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->shared = (struct slot_shared){
	    .worker = a->home.worker,
	    .topology = &a->topology,
	    .memory = &a->memory,
	    .nursery = &a->nursery,
	    .output = &a->output,
	    .output_root = params_text(a->params, PARAM_OUTPUT_DIR),
	    .home = &a->home,
	    .environ = environ,
	    .gpus = &a->gpus,
	    .output_bytes_max = params_size_bytes(a->params, PARAM_MAX_OUTPUT),
	    .kill_grace_us = params_duration_us(a->params, PARAM_KILL_GRACE),
	    .runner_idle_us = RUNNER_IDLE_US,
	    .notify_fd = a->notify_fd,
	    .s3 = a->s3,
	    .read_ahead_bytes = (size_t)params_size_bytes(a->params, PARAM_S3_READ_AHEAD),
	    .prefetch = params_bool(a->params, PARAM_S3_PREFETCH),
	};
	if (rc == 0)
		rc = syncer_start(&a->syncer, &a->output, reterr);
	return rc;
}

static int watch(struct agent *a, struct loop_watch *w, int fd, loop_watch_fn *fn, struct error *reterr)
{
	w->fn = fn;
	w->arg = a;
	return loop_add(a->loop, w, fd, EPOLLIN, reterr);
}

static int open_loop(struct agent *a, struct error *reterr)
{
	int rc = loop_create(&a->loop, reterr);

	a->tick = (struct loop_timer){.fn = on_tick, .arg = a};
	a->slot_timer = (struct loop_timer){.fn = on_slot_timer, .arg = a};
	a->prepare = (struct loop_task){.fn = on_prepare, .arg = a};
	if (rc == 0)
		rc = loop_add_signal(a->loop, SIGTERM, on_signal, a, reterr);
	if (rc == 0)
		rc = loop_add_signal(a->loop, SIGINT, on_signal, a, reterr);
	if (rc == 0)
		rc = open_machine(a, reterr);
	if (rc == 0)
		rc = open_connection(a, reterr);
	if (rc == 0)
		rc = create_core(a, reterr);
	if (rc == 0)
		rc = watch(a, &a->frame_watch, endpoint_fd(a->endpoint), on_readable, reterr);
	if (rc == 0)
		rc = watch(a, &a->event_watch, endpoint_event_fd(a->endpoint), on_readable, reterr);
	if (rc == 0)
		rc = watch(a, &a->slot_watch, a->notify_fd, on_slots, reterr);
	if (rc == 0)
		rc = watch(a, &a->sync_watch, a->syncer.fd, on_synced, reterr);
	if (rc == 0)
		rc = watch(a, &a->nursery_watch, a->nursery.fd, on_nursery, reterr);
	a->drain_timer = (struct loop_timer){.fn = on_drain_timeout, .arg = a};
	if (rc == 0)
		loop_add_prepare(a->loop, &a->prepare);
	return rc;
}

static void close_all(struct agent *a)
{
	agent_close_slots(a);
	nursery_close(&a->nursery);
	offspring_kill(NULL, 0); /* what a nursery that was killed has left us */
	syncer_stop(&a->syncer);
	endpoint_destroy(a->endpoint, 1000);
	if (a->context != NULL)
		zmq_ctx_term(a->context);
	worker_core_destroy(a->core);
	worker_effects_fini(&a->effects);
	arena_fini(&a->frame_arena);
	buf_fini(&a->frame);
	output_dir_close(&a->output);
	groups_close(&a->groups);
	memory_bounds_close(&a->memory);
	s3_client_destroy(a->s3);
	home_close(&a->home);
	topology_close(&a->topology);
	free(a->cores_used);
	if (a->notify_fd >= 0)
		close(a->notify_fd);
	loop_destroy(a->loop);
	free(a);
}

/* A slot takes a thousandth of a core at least, but whoever asks for less than a core each has many. */
static void tell_start(const struct agent *a)
{
	uint64_t slots = descriptors_slots(&a->descriptors), cpus = a->capacity.cpu_milli / 1000;
	char id[UUID_TEXT_BYTES], bound[4200];

	uuid_text(&a->home.worker, id);
	log_info("worker started", log_text("worker", id),
		 log_text("dispatcher", endpoint_address(a->endpoint)),
		 log_u64("cores", a->topology.core_count), log_u64("numa_node", a->topology.numa_node),
		 log_u64("gpus", a->gpus.count), log_flag("pinned", a->topology.pin),
		 log_text("memory_bound", memory_bounds_text(&a->memory, bound, sizeof bound)),
		 log_text("ended_by", a->groups.root.fd < 0 ? "reapers" : a->groups.root.path),
		 log_u64("slots_max", slots < SLOTS_PER_WORKER_MAX ? slots : SLOTS_PER_WORKER_MAX));
	if (slots < cpus)
		log_warn("the limit of open files does not suffice for a slot on each cpu; raise it with "
			 "`ulimit -Hn` or, in a systemd unit, LimitNOFILE=",
			 log_u64("open_files", a->descriptors.limit), log_u64("slots", slots),
			 log_u64("cpus", cpus));
}

int agent_run(const struct params *params, int *exit_ret, struct error *reterr)
{
	struct agent *a = check_calloc(1, sizeof *a);
	int rc;

	a->params = params;
	a->slots_due_us = USEC_NEVER;
	a->notify_fd = a->output.fd = a->home.fd = a->home.lock_fd = a->nursery.fd = a->groups.root.fd = -1;
	arena_init(&a->frame_arena, 16 * FRAME_BYTES_MAX);
	worker_effects_init(&a->effects);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC); /* what our starter left open */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	rc = nursery_open(&a->nursery, reterr);
	a->descriptors = descriptors_raise();
	if (rc == 0)
		rc = open_loop(a, reterr);
	if (rc == 0) {
		tell_start(a);
		loop_run(a->loop);
		*exit_ret = a->exit_code;
	}
	close_all(a);
	return rc;
}
