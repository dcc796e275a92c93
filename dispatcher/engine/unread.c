/* A plan's items, or history, cannot be read for the moment: a disk has trouble, no descriptor or memory is
 * left. That is the dispatcher's trouble, not the job's: the lease stays with its worker, who has not heard
 * of it yet, and is sent when it can be read. Only when that stays so, or when what is read is damaged, the
 * job has failed. Other leases go their way meanwhile. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/engine/engine_private.h"
#include "jobs/kinds.h"

#define FIRST_WAIT_US (250 * USEC_PER_MSEC)
#define TRIES_MAX 7 /* 32 s in all */

struct unread_lease {
	struct unread_lease *prev, *next;
	uint64_t peer, session;
	struct lease lease;
	struct arena arena; /* of the lease's texts */
	uint32_t tries;
	usec_t due_us;	      /* USEC_NEVER: */
	uint64_t history_lsn; /* it waits for this */
};

static void lease_destroy(struct unread_lease *u)
{
	arena_fini(&u->arena);
	free(u);
}

static bool is_due(const struct engine *e, const struct unread_lease *u, usec_t now_us)
{
	return u->due_us == USEC_NEVER ? e->history_lsn >= u->history_lsn : now_us >= u->due_us;
}

usec_t unread_deadline(const struct engine *e)
{
	usec_t due_us = USEC_NEVER;
	const struct unread_lease *u;

	DL_FOREACH (e->unread, u)
		if (u->due_us == USEC_NEVER && e->history_lsn >= u->history_lsn)
			return 0;
		else if (u->due_us < due_us)
			due_us = u->due_us;
	return due_us;
}

/* Each leaves the list before it is sent: should it fail again, it comes back with one more try. */
void unread_tick(struct engine *e)
{
	usec_t now_us = engine_now_us(e);
	struct unread_lease *due = NULL, *u, *next;

	DL_FOREACH_SAFE(e->unread, u, next)
	{
		if (!is_due(e, u, now_us))
			continue;
		DL_DELETE(e->unread, u);
		DL_APPEND(due, u);
	}
	while ((u = due) != NULL) {
		struct leases leases = {.session = u->session, .leases = {&u->lease, 1}};

		DL_DELETE(due, u);
		leases_send(e, u->peer, &leases, u->tries);
		lease_destroy(u);
	}
}

static bool is_final(enum error_code code)
{
	return code == ERR_CORRUPT || code == ERR_LIMIT || code == ERR_INVALID || code == ERR_VERSION;
}

static bool is_known(const struct engine *e, uint64_t job)
{
	const struct unread_lease *u;

	DL_FOREACH (e->unread, u)
		if (u->lease.job == job && u->due_us != USEC_NEVER)
			return true;
	return false;
}

static struct unread_lease *keep(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l,
				 uint32_t tries)
{
	struct unread_lease *u = check_calloc(1, sizeof(*u));

	arena_init(&u->arena, 0);
	u->peer = peer;
	u->session = session;
	CHECK(codec_copy(codec_lease(), l, &u->lease, &u->arena));
	u->tries = tries;
	u->due_us = USEC_NEVER;
	DL_APPEND(e->unread, u);
	return u;
}

void unread_keep_until(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l,
		       uint32_t tries, uint64_t history_lsn)
{
	keep(e, peer, session, l, tries)->history_lsn = history_lsn;
}

static void say(struct engine *e, bool again, uint64_t job, const char *why)
{
	char line[SAY_BYTES];

	snprintf(line, sizeof(line), "the plan of the job cannot be read: %s: %s",
		 again ? "it is tried again" : "the job has failed", why);
	engine_say(e, true, job, line);
}

void unread_keep(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l, uint32_t tries,
		 const struct error *why)
{
	char line[SAY_BYTES - 100];

	error_text(why, line, sizeof(line));
	if (is_final(why->code) || tries >= TRIES_MAX) {
		say(e, false, l->job, line);
		engine_later(e, INPUT_PLAN_FAILED,
			     &(struct input_plan_failed){.job = l->job,
							 .phase = l->phase,
							 .kind = FAILURE_PLAN,
							 .final = true,
							 .why = bytes_of(line)});
		return;
	}
	if (tries == 0 && !is_known(e, l->job))
		say(e, true, l->job, line);
	keep(e, peer, session, l, tries + 1)->due_us = engine_now_us(e) + (FIRST_WAIT_US << tries);
}

void unread_fini(struct engine *e)
{
	while (e->unread != NULL) {
		struct unread_lease *u = e->unread;

		DL_DELETE(e->unread, u);
		lease_destroy(u);
	}
}
