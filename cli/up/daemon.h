/* A daemon that `up` keeps running: found when it runs already, else started; started again, later and
 * later, when it ends. It goes on when `up` is gone.
 *
 * Which process it is stands in its lock file (base/fs.h): that it holds the lock is what makes it the
 * daemon of its state directory, whoever started it. */
#pragma once

#include "base/child.h"
#include "base/loop.h"

struct daemon;

enum daemon_event {
	DAEMON_STARTED,
	DAEMON_ADOPTED, /* it ran already */
	DAEMON_ENDED,	/* as it was told to, or it will be started again: see retry_us */
	DAEMON_FAILED,	/* it could not be started: what says why; it will be tried again */
};

struct daemon {
	/* set by the owner */
	const char *name;    /* "dispatcher" */
	const char *program; /* path of it */
	const char *comm;    /* its name as the kernel knows it: its first 15 bytes tell it from others */
	const char *lock_path;
	const char *log_path;
	char *const *argv;
	void (*on_event)(struct daemon *d, enum daemon_event event, void *arg);
	void *arg;
	/* to be read */
	struct child child;   /* pidfd < 0: does not run */
	struct child_end end; /* how it last ended */
	struct error why;     /* of DAEMON_FAILED */
	usec_t retry_us;      /* until it is started again; 0 = it is not */
	uint32_t ends;	      /* times it ended by itself */
	/* its own */
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer timer;
	usec_t begun_us, wait_us;
	bool wanted;
};

/* Finds or starts it. Events come from within, and later from the loop. */
void daemon_start(struct daemon *d, struct loop *loop);
/* It is not wanted any more: signo is sent; DAEMON_ENDED tells when it is over, unless it does not run. */
void daemon_stop(struct daemon *d, int signo);
bool daemon_runs(const struct daemon *d);
/* Forgets it; it goes on. */
void daemon_leave(struct daemon *d);
