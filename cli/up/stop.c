/* The end, in order: the scaler, so that it starts no more workers; the workers, by draining: what they
 * run is finished; the dispatcher, which has then all their reports. A second signal makes workers end
 * what they run, a third one kills all that is left. */
#include "jobs/ids.h"
#include "cli/up/up.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

/* A worker that is to leave. */
struct leaver {
	struct up *up;
	struct child child;
	struct loop_watch watch;
	char record[UP_PATH_BYTES];
	char worker[UUID_TEXT_BYTES]; /* its id; "" when nobody noted it */
	struct leaver *next;
};

static void leaver_remove(struct leaver *l)
{
	struct leaver **at = &l->up->leavers;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	loop_remove(l->up->loop, &l->watch);
	child_close(&l->child);
	free(l);
}

void up_leavers_free(struct up *up)
{
	while (up->leavers != NULL)
		leaver_remove(up->leavers);
}

static size_t leaver_count(const struct up *up)
{
	size_t count = 0;

	for (const struct leaver *l = up->leavers; l != NULL; l = l->next)
		count++;
	return count;
}

/* Its leases go back at once: nobody has to wait for a timeout after the next start. */
static void tell_gone(const struct leaver *l)
{
	char path[96];
	const struct http_call call = {.method = "POST", .path = path, .timeout_us = USEC_PER_SEC};
	struct http_answer answer;

	if (l->worker[0] == '\0')
		return;
	snprintf(path, sizeof path, "/v1/workers/%s/gone", l->worker);
	if (http_client_call(l->up->http, &call, &answer, NULL) == 0)
		http_answer_fini(&answer);
}

static void on_worker_end(struct loop *loop, uint32_t events, void *arg)
{
	struct leaver *l = arg;
	struct up *up = l->up;
	struct child_end end;

	(void)loop;
	(void)events;
	if (!child_reap(&l->child, &end))
		return;
	tell_gone(l);
	unlink(l->record);
	leaver_remove(l);
	if (up->leavers != NULL)
		up_say(up, "a worker has left, %zu to go", leaver_count(up));
	else
		up_say(up, "all workers have left");
	up_stop_goes_on(up);
}

static void add_leaver(struct up *up, const char *name)
{
	struct leaver *l = check_calloc(1, sizeof *l);
	struct buf note = {0};
	const char *id;

	l->up = up;
	l->child.pidfd = -1;
	l->watch.fn = on_worker_end;
	l->watch.arg = l;
	snprintf(l->record, sizeof l->record, "%.3800s/%.255s", up->plan.records_dir, name);
	if (child_adopt(l->record, &l->child, &note, NULL) == 0 &&
	    loop_add(up->loop, &l->watch, l->child.pidfd, EPOLLIN, NULL) == 0) {
		id = strstr(buf_text(&note), "worker: ");
		if (id != NULL)
			snprintf(l->worker, sizeof l->worker, "%.32s", id + strlen("worker: "));
		l->next = up->leavers;
		up->leavers = l;
	} else {
		child_close(&l->child); /* it ended before; the next scaler tells of it */
		free(l);
	}
	buf_fini(&note);
}

static void find_leavers(struct up *up)
{
	DIR *dir = opendir(up->plan.records_dir);

	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;)
		if (strchr(d->d_name, '.') == NULL)
			add_leaver(up, d->d_name);
	if (dir != NULL)
		closedir(dir);
}

static void signal_leavers(struct up *up, int signo)
{
	for (struct leaver *l = up->leavers; l != NULL; l = l->next)
		child_signal(&l->child, signo);
}

/* ---- the order ---- */

static void leave_workers(struct up *up)
{
	up->phase = UP_LEAVING_WORKERS;
	find_leavers(up);
	if (up->leavers == NULL)
		return;
	up_say(up, "draining %zu worker%s: what they run is finished (Ctrl-C again ends it at once)",
	       leaver_count(up), up->leavers->next != NULL ? "s" : "");
	signal_leavers(up, SIGTERM);
	if (up->signals > 1)
		signal_leavers(up, SIGTERM);
}

void up_stop_goes_on(struct up *up)
{
	if (up->phase == UP_LEAVING_SCALER && !daemon_runs(&up->scaler))
		leave_workers(up);
	if (up->phase == UP_LEAVING_WORKERS && up->leavers == NULL) {
		up->phase = UP_LEAVING_DISPATCHER;
		daemon_stop(&up->dispatcher, SIGTERM);
	}
	if (up->phase == UP_LEAVING_DISPATCHER && !daemon_runs(&up->dispatcher)) {
		up->phase = UP_OVER;
		loop_stop(up->loop);
	}
}

void up_stop(struct up *up)
{
	up->signals++;
	if (up->signals == 1) {
		up->phase = UP_LEAVING_SCALER;
		daemon_stop(&up->scaler, SIGTERM);
	} else if (up->signals == 2) {
		up_say(up, "ending what the workers run (Ctrl-C again kills all that is left)");
		signal_leavers(up, SIGTERM);
	} else {
		child_signal(&up->scaler.child, SIGKILL);
		signal_leavers(up, SIGKILL);
		daemon_stop(&up->dispatcher, SIGKILL);
	}
	up_stop_goes_on(up);
}
