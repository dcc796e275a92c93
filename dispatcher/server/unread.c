/* A plan's items, or history, cannot be read for the moment: a disk has trouble, no descriptor or memory is
 * left. That is the dispatcher's trouble, not the job's: the lease stays with its worker, who has not heard
 * of it yet, and is sent when it can be read. Only when that stays so, or when what is read is damaged, the
 * job has failed. Other leases go their way meanwhile. */
#include <stdlib.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/server/server.h"
#include "jobs/kinds.h"

#define FIRST_WAIT_US (250 * USEC_PER_MSEC)
#define TRIES_MAX 7 /* 32 s in all */
#define BUSY_WAIT_US (50 * USEC_PER_MSEC)

struct unread_lease {
	struct unread_lease *prev, *next;
	uint64_t peer, session;
	struct lease lease;
	struct arena arena; /* of the lease's texts */
	uint32_t tries;
	usec_t due_us;
};

static void unread_remove(struct server *s, struct unread_lease *u)
{
	DL_DELETE(s->unread.first, u);
	arena_fini(&u->arena);
	free(u);
}

static void set_timer(struct server *s)
{
	usec_t due_us = USEC_NEVER;
	struct unread_lease *u;

	DL_FOREACH (s->unread.first, u)
		if (u->due_us < due_us)
			due_us = u->due_us;
	loop_timer_set(s->loop, &s->unread.timer, due_us);
}

/* It leaves the list before it is sent: should it fail again, it comes back with one more try. */
static void send_again(struct server *s, struct unread_lease *u)
{
	struct leases leases = {.session = u->session, .leases = {&u->lease, 1}};
	uint64_t wait_lsn;

	DL_DELETE(s->unread.first, u);
	if (leases_send_again(s, u->peer, &leases, u->tries, &wait_lsn) == ERR_BUSY) {
		u->due_us = clock_mono_us() + BUSY_WAIT_US; /* history is behind */
		DL_APPEND(s->unread.first, u);
		return;
	}
	arena_fini(&u->arena);
	free(u);
}

static void on_timer(struct loop *loop, void *arg)
{
	struct server *s = arg;
	usec_t now_us = clock_mono_us();
	struct unread_lease *u, *next, *last;

	(void)loop;
	last = s->unread.first != NULL ? s->unread.first->prev : NULL; /* what comes back stands behind it */
	DL_FOREACH_SAFE(s->unread.first, u, next)
	{
		bool is_last = u == last;

		if (u->due_us <= now_us)
			send_again(s, u);
		if (is_last)
			break;
	}
	set_timer(s);
}

static bool is_final(enum error_code code)
{
	return code == ERR_CORRUPT || code == ERR_LIMIT || code == ERR_INVALID || code == ERR_VERSION;
}

static bool is_known(const struct server *s, uint64_t job)
{
	const struct unread_lease *u;

	DL_FOREACH (s->unread.first, u)
		if (u->lease.job == job)
			return true;
	return false;
}

void unread_keep(struct server *s, uint64_t peer, uint64_t session, const struct lease *l, uint32_t tries,
		 const struct error *e)
{
	struct unread_lease *u;
	char line[ERROR_LINE_MAX];

	if (is_final(e->code) || tries >= TRIES_MAX) {
		log_error("the plan of a job cannot be read: the job has failed", log_u64("job", l->job),
			  log_error_field(e, line, sizeof(line)));
		server_later(s, INPUT_PLAN_FAILED,
			     &(struct input_plan_failed){.job = l->job,
							 .phase = l->phase,
							 .kind = FAILURE_PLAN,
							 .final = true,
							 .why = bytes_of(error_text(e, line, sizeof(line)))});
		return;
	}
	if (tries == 0 && !is_known(s, l->job))
		log_warn("the plan of a job cannot be read: it is tried again", log_u64("job", l->job),
			 log_error_field(e, line, sizeof(line)));
	u = check_calloc(1, sizeof(*u));
	arena_init(&u->arena, 0);
	u->peer = peer;
	u->session = session;
	CHECK(codec_copy(codec_lease(), l, &u->lease, &u->arena));
	u->tries = tries + 1;
	u->due_us = clock_mono_us() + (FIRST_WAIT_US << tries);
	DL_APPEND(s->unread.first, u);
	set_timer(s);
}

void unread_init(struct server *s)
{
	s->unread.timer = (struct loop_timer){.fn = on_timer, .arg = s};
}

void unread_fini(struct server *s)
{
	if (s->loop != NULL)
		loop_timer_unset(s->loop, &s->unread.timer);
	while (s->unread.first != NULL)
		unread_remove(s, s->unread.first);
}
