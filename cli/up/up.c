#include "cli/up/up.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/keys.h"
#include "base/library.h"
#include "base/scratch_root.h"
#include "base/statedir.h"
#include "cli/up/rules_library.h"

#define READY_POLL_US (20 * USEC_PER_MSEC)
#define VIEW_POLL_US USEC_PER_SEC
#define CALL_US USEC_PER_SEC
#define EXIT_REFUSED 2 /* a daemon's exit code when it cannot start as it was told to */

/* ---- before anything runs ---- */

static void path_in(char *ret, const char *folder, const char *name)
{
	snprintf(ret, UP_PATH_BYTES, "%.4000s/%s", folder, name);
}

/* Makes the state directory when there is none; one that a dispatcher holds is left alone. */
static int ensure_state(struct up *up, struct error *reterr)
{
	char identity[UP_PATH_BYTES];
	struct statedir sd;
	int rc;

	path_in(identity, up->plan.state_dir, "identity");
	up->new_state = access(identity, F_OK) != 0;
	rc = statedir_open(&sd, up->plan.state_dir, STATEDIR_CREATE, reterr);
	up->fresh_state = rc == 0 && sd.fresh;
	if (rc == 0)
		statedir_close(&sd);
	return rc == ERR_EXISTS ? 0 : rc;
}

/* Keys that a state which is not new has lost are the dispatcher's to judge (dispatcher/server/losses.h). */
static int ensure_keys(struct up *up, struct error *reterr)
{
	const char *keys = up->plan.keys_dir, *state = up->plan.state_dir;
	size_t length = strlen(state);
	bool is_own = strncmp(keys, state, length) == 0 && strcmp(keys + length, "/keys") == 0;
	int rc = fs_make_dirs(keys, 0700, reterr);

	if (rc == 0 && (up->fresh_state || !is_own))
		rc = keys_ensure(keys, reterr);
	return rc;
}

static int hold_lock(struct up *up, struct error *reterr)
{
	char path[UP_PATH_BYTES];
	int rc;

	path_in(path, up->plan.state_dir, "up.lock");
	rc = fs_lock_file(path, &up->lock_fd, NULL, reterr);
	if (rc == ERR_EXISTS)
		error_help(reterr, "`shardmill up` runs for this state directory already; "
				   "for a second mill choose another --state-dir");
	return rc;
}

/* Where nobody said: the library's rules, and a bucket that they watch. */
static int fill_defaults(struct up *up, struct error *reterr)
{
	int rc = 0;

	if (up->plan.rules_dir != NULL)
		rc = library_fill(up->plan.rules_dir, &up->library_rules, reterr);
	if (rc == 0 && up->plan.bucket_dir != NULL)
		rc = fs_make_dirs(up->plan.bucket_dir, 0755, reterr);
	return rc;
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

static int prepare(struct up *up, struct error *reterr)
{
	const struct up_plan *plan = &up->plan;
	char scratch[UP_PATH_BYTES];
	int rc = child_find_program("shardmill-dispatcher", "dispatcher", up->dispatcher_program,
				    UP_PATH_BYTES, reterr);

	if (rc == 0)
		rc = child_find_program("shardmill-scaler", "scaler", up->scaler_program, UP_PATH_BYTES,
					reterr);
	if (rc == 0) {
		rc = scratch_root(params_text(plan->params, PARAM_SCRATCH_DIR), scratch, sizeof scratch,
				  reterr);
		up->exit_code = rc < 0; /* no worker could start */
	}
	if (rc == 0)
		rc = ensure_state(up, reterr);
	if (rc == 0)
		rc = hold_lock(up, reterr);
	if (rc == 0)
		rc = fill_defaults(up, reterr);
	if (rc == 0)
		rc = fs_make_dirs(plan->logs_dir, 0755, reterr);
	if (rc == 0)
		rc = ensure_keys(up, reterr);
	if (rc == 0)
		rc = http_client_create(plan->api_socket, &up->http, reterr);
	path_in(up->dispatcher_lock, plan->state_dir, "lock");
	path_in(up->scaler_lock, plan->state_dir, "scaler.lock");
	path_in(up->dispatcher_log, plan->logs_dir, "dispatcher.log");
	path_in(up->scaler_log, plan->logs_dir, "scaler.log");
	up->dispatcher_log_offset = size_of(up->dispatcher_log);
	up->scaler_log_offset = size_of(up->scaler_log);
	up->view.log_offset = up->scaler_log_offset;
	up_export_worker_params(plan->params);
	library_extend_path();
	up_command_init(&up->dispatcher_command, plan, up->dispatcher_program, PARAM_SCOPE_DISPATCHER);
	up_command_init(&up->scaler_command, plan, up->scaler_program, PARAM_SCOPE_SCALER);
	return rc;
}

/* ---- its life ---- */

/* At the first start: it says no by itself, and not because another one holds its lock already. */
static bool has_refused(const struct up *up, const struct daemon *d)
{
	int fd, rc;

	if (up->phase != UP_STARTING || !d->end.known || !d->end.exited || d->end.code == 0)
		return false;
	rc = fs_lock_file(d->lock_path, &fd, NULL, NULL);
	if (rc == 0)
		close(fd);
	return rc != ERR_EXISTS;
}

/* Trying again would not help. */
static void give_up(struct up *up, struct daemon *d, off_t log_offset)
{
	up_say(up, "the %s cannot start; it wrote to %s:", d->name, d->log_path);
	up_say_log(up, d->log_path, log_offset);
	up->exit_code = EXIT_REFUSED;
	up_stop(up);
}

static void say_end(struct up *up, struct daemon *d)
{
	char how[96];

	child_end_text(&d->end, how, sizeof how);
	if (d->retry_us > 0)
		up_say(up, "the %s ended (%s; its log is %s); it is started again in %lld ms", d->name, how,
		       d->log_path, (long long)d->retry_us / 1000);
	else
		up_say(up, "the %s has stopped", d->name);
}

static void on_daemon(struct daemon *d, enum daemon_event event, void *arg)
{
	struct up *up = arg;
	char line[1024];

	switch (event) {
	case DAEMON_STARTED:
		if (d->ends > 0)
			up_say(up, "the %s runs again (process %d)", d->name, (int)d->child.pid);
		break;
	case DAEMON_ADOPTED:
		up_say(up, "the %s runs already (process %d), with the options it was started with", d->name,
		       (int)d->child.pid);
		up_say_idle_options(up, d);
		break;
	case DAEMON_FAILED:
		up_say(up, "the %s cannot be started: %s", d->name, error_text(&d->why, line, sizeof line));
		break;
	case DAEMON_ENDED:
		if (has_refused(up, d))
			give_up(up, d, d == &up->scaler ? up->scaler_log_offset : up->dispatcher_log_offset);
		else
			say_end(up, d);
		up_stop_goes_on(up);
		break;
	}
}

static bool answers(struct up *up)
{
	const struct http_call call = {.method = "GET", .path = "/v1/status", .timeout_us = CALL_US};
	struct http_answer answer;

	if (http_client_call(up->http, &call, &answer, NULL) < 0)
		return false;
	http_answer_fini(&answer);
	return true;
}

static void on_tick(struct loop *loop, void *arg)
{
	struct up *up = arg;

	if (up->phase == UP_STARTING && answers(up)) {
		up->phase = UP_RUNNING;
		up_say_welcome(up);
	}
	if (up->phase != UP_STARTING)
		up_view_refresh(up);
	loop_timer_set(loop, &up->tick,
		       loop_now_us(loop) + (up->phase == UP_STARTING ? READY_POLL_US : VIEW_POLL_US));
}

static void on_signal(struct loop *loop, int signo, void *arg)
{
	(void)loop;
	(void)signo;
	up_stop(arg);
}

/* What can be read again is: rules, keys, and logs that somebody moved. */
static void on_reload(struct loop *loop, int signo, void *arg)
{
	struct up *up = arg;

	(void)loop;
	child_signal(&up->dispatcher.child, signo);
	child_signal(&up->scaler.child, signo);
	up_say(up, "rules and keys are read again, and logs are opened again");
}

static struct daemon daemon_of(struct up *up, bool scaler)
{
	return (struct daemon){
	    .name = scaler ? "scaler" : "dispatcher",
	    .comm = scaler ? "shardmill-scaler" : "shardmill-dispatcher",
	    .program = scaler ? up->scaler_program : up->dispatcher_program,
	    .lock_path = scaler ? up->scaler_lock : up->dispatcher_lock,
	    .log_path = scaler ? up->scaler_log : up->dispatcher_log,
	    .argv = scaler ? up->scaler_command.argv : up->dispatcher_command.argv,
	    .on_event = on_daemon,
	    .arg = up,
	    .child = {.pidfd = -1},
	};
}

static int run(struct up *up, struct error *reterr)
{
	int rc = loop_create(&up->loop, reterr);

	if (rc == 0)
		rc = loop_add_signal(up->loop, SIGINT, on_signal, up, reterr);
	if (rc == 0)
		rc = loop_add_signal(up->loop, SIGTERM, on_signal, up, reterr);
	if (rc == 0)
		rc = loop_add_signal(up->loop, SIGHUP, on_reload, up, reterr);
	if (rc < 0)
		return rc;
	up->tick = (struct loop_timer){.fn = on_tick, .arg = up};
	daemon_start(&up->dispatcher, up->loop);
	daemon_start(&up->scaler, up->loop);
	loop_timer_set(up->loop, &up->tick, loop_now_us(up->loop));
	if (up->phase != UP_OVER)
		loop_run(up->loop);
	return 0;
}

int up_run(const struct params *params, int *ret_exit, struct error *reterr)
{
	struct up *up = check_calloc(1, sizeof *up);
	int rc;

	up->lock_fd = -1;
	signal(SIGPIPE, SIG_IGN); /* who read our lines may leave */
	up_view_init(up);
	rc = up_plan_init(&up->plan, params, reterr);
	if (rc == 0)
		rc = prepare(up, reterr);
	up->dispatcher = daemon_of(up, false);
	up->scaler = daemon_of(up, true);
	if (rc == 0)
		rc = run(up, reterr);
	up_view_fini(up);
	daemon_leave(&up->dispatcher);
	daemon_leave(&up->scaler);
	up_leavers_free(up);
	http_client_destroy(up->http);
	loop_destroy(up->loop);
	up_command_fini(&up->dispatcher_command);
	up_command_fini(&up->scaler_command);
	up_plan_fini(&up->plan);
	if (up->lock_fd >= 0)
		close(up->lock_fd);
	*ret_exit = up->exit_code;
	free(up);
	return rc;
}
