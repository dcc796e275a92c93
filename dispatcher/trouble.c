#include "dispatcher/trouble.h"

#include "base/clock.h"
#include "base/constants.h"
#include "base/log.h"
#include "dispatcher/readers.h"
#include "dispatcher/services.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/journal.h"

bool trouble_of_journal(const struct services *s, struct error *reterr)
{
	struct error e = {0};

	if (journal_has_room(s->journal, &e) != ERR_LIMIT)
		return false;
	if (reterr != NULL)
		*reterr = e;
	return true;
}

bool trouble_of_history(const struct services *s, struct error *reterr)
{
	return history_is_failing(s->history, reterr) || readers_are_failing(s->readers, reterr);
}

static void add_words(struct buf *out, const char *what, const struct error *e)
{
	buf_printf(out, "%s%s: %s%s%s", out->size > 0 ? "; " : "", what, e->where,
		   e->where[0] != '\0' ? ": " : "", e->what);
}

void trouble_words(const struct services *s, struct buf *out)
{
	struct error e = {0};

	if (trouble_of_journal(s, &e))
		add_words(out, "the journal has no room on its disk", &e);
	if (trouble_of_history(s, &e))
		add_words(out, "history cannot be written", &e);
}

static bool tell(bool before, bool now, const struct error *e, const char *begins, const char *ends)
{
	char line[ERROR_LINE_MAX];

	if (now && !before)
		log_error(begins, log_error_field(e, line, sizeof(line)));
	else if (before && !now)
		log_info(ends);
	return now;
}

static void on_look(struct loop *loop, void *arg)
{
	struct trouble *t = arg;
	struct services *s = t->services;
	struct error e = {0};
	bool now = trouble_of_journal(s, &e);

	if (now != t->journal)
		t->room(s, !now);

	t->journal = tell(t->journal, now, &e,
			  "the journal has no room on its disk: nothing more is taken on, what runs goes on",
			  "the journal has room again");
	now = trouble_of_history(s, &e);
	t->history =
	    tell(t->history, now, &e,
		 "history cannot be written: it follows when it can, the journal keeps all until then",
		 "history is written again");
	loop_timer_set(loop, &t->timer, loop_now_us(loop) + TROUBLE_LOOK_US);
}

void trouble_open(struct trouble *t, struct services *s, void (*room)(struct services *s, bool there_is))
{
	t->services = s;
	t->room = room;
	t->timer = (struct loop_timer){.fn = on_look, .arg = t};
	loop_timer_set(s->loop, &t->timer, clock_mono_us());
}

void trouble_close(struct trouble *t)
{
	if (t->services != NULL)
		loop_timer_unset(t->services->loop, &t->timer);
}
