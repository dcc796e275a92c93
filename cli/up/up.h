/* `shardmill up`: everything on one machine, started, watched, and stopped in order.
 *
 * The map: plan.c what is started, with which options · library.c the rules that ship · daemon.c one daemon
 * that is kept running · up.c the start and the life · stop.c the end: scaler, then workers by draining, then
 * dispatcher · view.c what a person sees meanwhile. */
#pragma once

#include "base/http_client.h"
#include "cli/up/daemon.h"
#include "cli/up/plan.h"

#define UP_PATH_BYTES 4096

enum up_phase {
	UP_STARTING, /* until the API answers */
	UP_RUNNING,
	UP_LEAVING_SCALER,
	UP_LEAVING_WORKERS,
	UP_LEAVING_DISPATCHER,
	UP_OVER,
};

struct up_view {
	bool terminal;	  /* stdout is one */
	bool line;	  /* the status line stands there */
	off_t log_offset; /* of the scaler's log, shown so far */
	uint64_t done;	  /* shards, at the last look */
	usec_t looked_us;
};

struct leaver;

struct up {
	struct up_plan plan;
	struct loop *loop;
	int lock_fd;
	bool new_state;	      /* the state directory was made by us */
	bool fresh_state;     /* no dispatcher has begun it yet */
	size_t library_rules; /* copied into its rules just now */
	char dispatcher_program[UP_PATH_BYTES], scaler_program[UP_PATH_BYTES];
	char dispatcher_lock[UP_PATH_BYTES], scaler_lock[UP_PATH_BYTES];
	char dispatcher_log[UP_PATH_BYTES], scaler_log[UP_PATH_BYTES];
	off_t dispatcher_log_offset, scaler_log_offset; /* where what we started began to write */
	struct up_command dispatcher_command, scaler_command;
	struct daemon dispatcher, scaler;
	struct http_client *http;
	struct loop_timer tick;
	enum up_phase phase;
	unsigned signals;	/* SIGINT and SIGTERM so far */
	struct leaver *leavers; /* workers that are to end before the dispatcher does */
	struct up_view view;
	int exit_code;
};

/* Runs until it was stopped; *ret_exit is the process's exit code. */
int up_run(const struct params *params, int *ret_exit, struct error *reterr) MUST_CHECK;

/* ---- stop.c ---- */

/* One more SIGINT or SIGTERM. */
void up_stop(struct up *up);
/* A daemon has ended, or a worker: what is next? */
void up_stop_goes_on(struct up *up);
void up_leavers_free(struct up *up);

/* ---- view.c ---- */

void up_view_init(struct up *up);
/* A line of its own, on stdout. */
void up_say(struct up *up, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Where everything is and how it is used. */
void up_say_welcome(struct up *up);
/* Which of our options have no effect, as d was adopted and has not been started with them. */
void up_say_idle_options(struct up *up, const struct daemon *d);
/* The last lines that a daemon wrote since offset. */
void up_say_log(struct up *up, const char *path, off_t offset);
/* Once a second: the scaler's new decisions, and the status line. Terminals only. */
void up_view_refresh(struct up *up);
void up_view_fini(struct up *up);
