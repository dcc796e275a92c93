#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/up/plan.h"

TestSuite(up_plan, .timeout = 20);

static struct params params;

static void said(enum param_id id, const char *text)
{
	struct error e;

	cr_assert_eq(params_set(&params, id, bytes_of(text), PARAM_FROM_FLAG, "test", &e), 0, "%s", e.what);
}

static bool has(const struct up_command *c, const char *argument)
{
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->argv[i], argument) == 0)
			return true;
	return false;
}

/* Some argument begins so. */
static bool speaks_of(const struct up_command *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (strncmp(c->argv[i], name, strlen(name)) == 0)
			return true;
	return false;
}

Test(up_plan, nothing_said_is_enough)
{
	struct up_command c;
	struct up_plan plan;
	struct error e;

	setenv("XDG_STATE_HOME", "/x/state", 1);
	params_init(&params, PARAM_SCOPE_UP);
	cr_assert_eq(up_plan_init(&plan, &params, &e), 0, "%s", e.what);
	up_command_init(&c, &plan, "/bin/d", PARAM_SCOPE_DISPATCHER);
	cr_expect_str_eq(c.argv[0], "/bin/d");
	cr_expect_null(c.argv[c.count]);
	cr_expect_eq(c.count, 8, "found %zu: only where things are", c.count);
	cr_expect_str_eq(plan.rules_dir + strlen(plan.state_dir), "/rules");
	cr_expect_str_eq(plan.bucket_dir + strlen(plan.state_dir), "/bucket");
	cr_expect(speaks_of(&c, "--rules-dir") && speaks_of(&c, "--bucket"));
	cr_expect_not(speaks_of(&c, "--init"), "up makes the state directory itself");
	up_command_fini(&c);
	up_plan_fini(&plan);
	params_fini(&params);
}

Test(up_plan, each_daemon_gets_what_concerns_it)
{
	struct up_command dispatcher, scaler;
	struct up_plan plan;
	struct error e;

	params_init(&params, PARAM_SCOPE_UP);
	said(PARAM_STATE_DIR, "/s");
	said(PARAM_LISTEN, "tcp://*:7000");
	said(PARAM_BUCKET, "/b 1");
	said(PARAM_BUCKET, "/b2");
	said(PARAM_RULES_DIR, "/r");
	said(PARAM_POOL_MAX, "3");
	said(PARAM_CPUS_PER_WORKER, "0.5");
	said(PARAM_IDLE_BEFORE_SHRINK, "1500ms");
	said(PARAM_KILL_GRACE, "90s");
	said(PARAM_LOG_LEVEL, "debug");
	said(PARAM_HEARTBEAT, "1s");
	cr_assert_eq(up_plan_init(&plan, &params, &e), 0, "%s", e.what);
	up_command_init(&dispatcher, &plan, "d", PARAM_SCOPE_DISPATCHER);
	up_command_init(&scaler, &plan, "s", PARAM_SCOPE_SCALER);
	up_export_worker_params(&params);

	cr_expect(has(&dispatcher, "--state-dir=/s"));
	cr_expect(has(&dispatcher, "--api-socket=/s/api.sock"));
	cr_expect(has(&dispatcher, "--keys-dir=/s/keys"));
	cr_expect(has(&dispatcher, "--listen=tcp://*:7000"));
	cr_expect(has(&dispatcher, "--bucket=/b 1"));
	cr_expect(has(&dispatcher, "--bucket=/b2"));
	cr_expect(has(&dispatcher, "--rules-dir=/r"));
	cr_expect(has(&dispatcher, "--heartbeat=1s"));
	cr_expect_not(speaks_of(&dispatcher, "--pool-max"));
	cr_expect_not(speaks_of(&dispatcher, "--connect"));

	cr_expect(has(&scaler, "--state-dir=/s"));
	cr_expect(has(&scaler, "--connect=tcp://127.0.0.1:7000"));
	cr_expect(has(&scaler, "--output-dir=/s/output"));
	cr_expect(has(&scaler, "--pool-max=3"));
	cr_expect(has(&scaler, "--cpus-per-worker=0.5"));
	cr_expect(has(&scaler, "--idle-before-shrink=1s500ms"));
	cr_expect(has(&scaler, "--log-level=debug"));
	cr_expect_not(speaks_of(&scaler, "--listen"));
	cr_expect_not(speaks_of(&scaler, "--bucket"));

	/* Past the scaler, to the workers. */
	cr_expect_str_eq(getenv("SHARDMILL_KILL_GRACE"), "1m30s");
	cr_expect_str_eq(getenv("SHARDMILL_HEARTBEAT"), "1s");
	cr_expect_null(getenv("SHARDMILL_MAX_OUTPUT"));
	up_command_fini(&dispatcher);
	up_command_fini(&scaler);
	up_plan_fini(&plan);
	params_fini(&params);
}

Test(up_plan, paths_do_not_depend_on_the_working_directory)
{
	struct up_command c;
	struct up_plan plan;
	struct error e;

	cr_assert_eq(chdir("/usr"), 0);
	params_init(&params, PARAM_SCOPE_UP);
	said(PARAM_STATE_DIR, "state");
	said(PARAM_BUCKET, "in");
	cr_assert_eq(up_plan_init(&plan, &params, &e), 0, "%s", e.what);
	up_command_init(&c, &plan, "d", PARAM_SCOPE_DISPATCHER);
	cr_expect_str_eq(plan.state_dir, "/usr/state");
	cr_expect_str_eq(plan.records_dir, "/usr/state/providers/local");
	cr_expect(has(&c, "--bucket=/usr/in"));
	up_command_fini(&c);
	up_plan_fini(&plan);
	params_fini(&params);
}

/* Two mills on one machine must not meet at a port. */
Test(up_plan, workers_come_by_a_socket_in_the_state_directory)
{
	char state[200];
	struct up_plan plan;
	struct error e;

	params_init(&params, PARAM_SCOPE_UP);
	said(PARAM_STATE_DIR, "/s");
	cr_assert_eq(up_plan_init(&plan, &params, &e), 0);
	cr_expect_str_eq(plan.listen, "ipc:///s/dispatcher.sock");
	cr_expect_str_eq(plan.connect, plan.listen);
	up_plan_fini(&plan);
	params_fini(&params);

	/* Unless its path is too long for a socket: sun_path holds 108 bytes. */
	memset(state, 'x', sizeof state - 1);
	state[0] = '/';
	state[sizeof state - 1] = '\0';
	params_init(&params, PARAM_SCOPE_UP);
	said(PARAM_STATE_DIR, state);
	cr_assert_eq(up_plan_init(&plan, &params, &e), 0);
	cr_expect_str_eq(plan.listen, "tcp://127.0.0.1:7170");
	up_plan_fini(&plan);
	params_fini(&params);
}

Test(up_plan, the_way_to_where_the_dispatcher_listens)
{
	static const struct {
		const char *listen;
		const char *connect; /* NULL: refused */
	} cases[] = {
	    {"tcp://127.0.0.1:7170", "tcp://127.0.0.1:7170"},
	    {"tcp://*:7170", "tcp://127.0.0.1:7170"},
	    {"tcp://0.0.0.0:1", "tcp://127.0.0.1:1"},
	    {"tcp://[::]:65535", "tcp://127.0.0.1:65535"},
	    {"tcp://10.0.0.1:7170", "tcp://10.0.0.1:7170"},
	    {"ipc:///run/x", "ipc:///run/x"},
	    {"tcp://127.0.0.1:*", NULL},
	    {"tcp://127.0.0.1:0", NULL},
	    {"tcp://127.0.0.1", NULL},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *connect = NULL;
		struct error e;
		int rc = up_connect_address(cases[i].listen, &connect, &e);

		cr_expect_eq(rc, cases[i].connect != NULL ? 0 : ERR_INVALID, "%s", cases[i].listen);
		if (rc == 0)
			cr_expect_str_eq(connect, cases[i].connect);
		free(connect);
	}
}
