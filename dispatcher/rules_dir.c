#include "dispatcher/rules_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/readers.h"
#include "dispatcher/rule_copies.h"

/* Editors write in several steps: look when it is quiet. */
#define QUIET_US (100 * USEC_PER_MSEC)
/* The directory may be another one now. */
#define LOOK_EVERY_US USEC_PER_SEC
/* It does not answer: that is told. */
#define SLOW_US (10 * USEC_PER_SEC)

struct rules_dir {
	struct loop *loop;
	struct rules_dir_ops ops;
	char *path;
	char *copies;	  /* of the last good versions */
	bool gone;	  /* told */
	struct stat seen; /* of what is watched */
	int notify_fd;
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_timer look_timer;

	struct readers *readers; /* one thread, that the directory may keep */
	struct reading reading;
	struct rules_look look;
	struct rule_changes changes;
	bool is_reading; /* the thread has the reading: a look, then its changes */
	bool wanted;	 /* one more look has to read the files */
	bool asked;	 /* by somebody who is told of its end */
	bool asked_now;	 /* and it is the look under way */
	bool slow_told;
	bool closing;
	struct loop_timer slow_timer;
};

static void ask_look(struct rules_dir *d, bool reads);

static void on_quiet(struct loop *loop, void *arg)
{
	(void)loop;
	ask_look(arg, true);
}

static void on_notify(struct loop *loop, uint32_t events, void *arg)
{
	struct rules_dir *d = arg;
	char buffer[16384] __attribute__((aligned(8)));

	(void)events;
	while (read(d->notify_fd, buffer, sizeof(buffer)) > 0)
		loop_timer_set(loop, &d->timer, clock_mono_us() + QUIET_US);
}

static void unwatch(struct rules_dir *d)
{
	if (d->notify_fd < 0)
		return;
	loop_remove(d->loop, &d->watch);
	close(d->notify_fd);
	d->notify_fd = -1;
}

static int take_watch(struct rules_dir *d, struct error *reterr)
{
	unwatch(d);
	d->seen = d->look.dir_now;
	d->notify_fd = d->look.notify_fd;
	d->look.notify_fd = -1;
	d->watch = (struct loop_watch){.fn = on_notify, .arg = d};
	return loop_add(d->loop, &d->watch, d->notify_fd, EPOLLIN, reterr);
}

static void dir_is_gone(struct rules_dir *d)
{
	const struct rules_look *look = &d->look;
	char line[ERROR_LINE_MAX];

	if (look->what == RULES_DIR_UNWATCHABLE)
		unwatch(d);
	if (!d->gone && look->what == RULES_DIR_UNWATCHABLE)
		log_warn("the directory of rules was replaced by what cannot be watched",
			 log_error_field(&look->dir_error, line, sizeof(line)));
	else if (!d->gone)
		log_warn("the directory of rules is gone: the rules stay as they are until it is back",
			 log_text("dir", d->path), log_text("error", strerror(look->number)));
	d->gone = true;
}

static void take_look(struct rules_dir *d)
{
	struct rules_look *look = &d->look;
	struct error e = {0};
	char line[ERROR_LINE_MAX];

	if (look->what == RULES_DIR_GONE || look->what == RULES_DIR_UNWATCHABLE) {
		dir_is_gone(d);
		return;
	}
	if (look->what == RULES_DIR_OTHER) {
		if (take_watch(d, &e) < 0) {
			look->what = RULES_DIR_UNWATCHABLE;
			look->dir_error = e;
			dir_is_gone(d);
			return;
		}
		d->gone = false;
		log_warn("the directory of rules was replaced by another: it is read",
			 log_text("dir", d->path));
	}
	if (look->is_listed && look->rc < 0)
		log_error("the rules stay as they are", log_error_field(&look->error, line, sizeof(line)));
	if (look->is_listed && look->rc == 0)
		d->ops.take_files(d->ops.arg, look, &d->changes);
}

/* ---- the thread ---- */

static struct rules_dir *dir_of(struct reading *reading)
{
	return (struct rules_dir *)((char *)reading - offsetof(struct rules_dir, reading));
}

static void run_look(struct history_reader *history, struct reading *reading)
{
	(void)history;
	rules_look_run(&dir_of(reading)->look);
}

static void run_changes(struct history_reader *history, struct reading *reading)
{
	struct rules_dir *d = dir_of(reading);

	(void)history;
	rule_changes_make(&d->changes, d->copies);
}

static void on_looked(struct reading *reading);

static void begin_look(struct rules_dir *d, bool reads)
{
	d->look = (struct rules_look){.dir = d->path,
				      .copies = d->copies,
				      .dir_seen = d->seen,
				      .is_new = d->gone || d->notify_fd < 0,
				      .reads = reads,
				      .notify_fd = -1};
	d->ops.tell_known(d->ops.arg, &d->look);
}

/* The look under way may have passed what changed meanwhile, so that another one follows. */
static void ask_look(struct rules_dir *d, bool reads)
{
	if (d->closing)
		return;
	if (d->is_reading) {
		d->wanted = d->wanted || reads;
		return;
	}
	begin_look(d, reads);
	d->is_reading = true;
	d->asked_now = d->asked;
	d->asked = false;
	loop_timer_set(d->loop, &d->slow_timer, clock_mono_us() + SLOW_US);
	d->reading = (struct reading){.run = run_look, .done = on_looked, .without_history = true};
	readers_ask(d->readers, &d->reading);
}

static void finish(struct rules_dir *d)
{
	bool wanted = d->wanted;

	rule_changes_fini(&d->changes);
	d->is_reading = d->wanted = false;
	if (wanted)
		ask_look(d, true);
}

static void on_changed(struct reading *reading)
{
	struct rules_dir *d = dir_of(reading);

	if (reading->rc == ERR_CLOSED)
		rule_changes_make(&d->changes, d->copies);
	finish(d);
}

static void on_looked(struct reading *reading)
{
	struct rules_dir *d = dir_of(reading);

	loop_timer_unset(d->loop, &d->slow_timer);
	if (d->slow_told)
		log_info("the directory of rules answers again", log_text("dir", d->path));
	d->slow_told = false;
	if (!d->closing)
		take_look(d);
	if (d->asked_now && d->look.is_listed && d->look.rc == 0)
		log_info("the rules were read again", log_text("dir", d->path));
	d->asked_now = false;
	rules_look_fini(&d->look);
	if (!d->closing)
		loop_timer_set(d->loop, &d->look_timer, clock_mono_us() + LOOK_EVERY_US);
	if (d->changes.count == 0) {
		finish(d);
		return;
	}
	d->reading = (struct reading){.run = run_changes, .done = on_changed, .without_history = true};
	readers_ask(d->readers, &d->reading);
}

static void on_slow(struct loop *loop, void *arg)
{
	struct rules_dir *d = arg;

	(void)loop;
	d->slow_told = true;
	log_warn("the directory of rules does not answer: the rules stay as they are until it does",
		 log_text("dir", d->path));
}

static void on_look(struct loop *loop, void *arg)
{
	(void)loop;
	ask_look(arg, false);
}

void rules_dir_reload(struct rules_dir *d)
{
	d->asked = true;
	ask_look(d, true);
}

bool rules_dir_is_busy(const struct rules_dir *d)
{
	return d->is_reading;
}

/* ---- open and close ---- */

/* In the loop: nothing may be taken by rules that nobody has read yet. */
static int read_first(struct rules_dir *d, struct error *reterr)
{
	struct rules_look *look = &d->look;
	int rc = 0;

	begin_look(d, true);
	rules_look_run(look);
	if (look->what == RULES_DIR_GONE) {
		rc = error_set(reterr, ERR_IO, "the directory of rules cannot be read: %s",
			       strerror(look->number));
		error_where(reterr, "%s", d->path);
	} else if (look->what == RULES_DIR_UNWATCHABLE || look->rc < 0) {
		rc = ERR_IO;
		if (reterr != NULL)
			*reterr = look->rc < 0 ? look->error : look->dir_error;
	} else {
		rc = take_watch(d, reterr);
	}
	if (rc == 0) {
		d->ops.take_files(d->ops.arg, look, &d->changes);
		rule_changes_make(&d->changes, d->copies);
		rule_changes_fini(&d->changes);
		rule_copies_sweep(d->copies, d->ops.is_rule, d->ops.arg);
		loop_timer_set(d->loop, &d->look_timer, clock_mono_us() + LOOK_EVERY_US);
	}
	rules_look_fini(look);
	return rc;
}

int rules_dir_open(struct rules_dir **ret, struct loop *loop, const char *path, const char *copies,
		   const struct rules_dir_ops *ops, struct error *reterr)
{
	const struct readers_config config = {.threads = 1, .lane_max = 1};
	struct rules_dir *d = *ret = check_calloc(1, sizeof(*d));
	int rc;

	d->loop = loop;
	d->ops = *ops;
	d->path = strdup(path);
	d->copies = strdup(copies);
	CHECK(d->path != NULL && d->copies != NULL);
	d->notify_fd = -1;
	d->timer = (struct loop_timer){.fn = on_quiet, .arg = d};
	d->look_timer = (struct loop_timer){.fn = on_look, .arg = d};
	d->slow_timer = (struct loop_timer){.fn = on_slow, .arg = d};
	rc = readers_open(&d->readers, loop, &config, reterr);
	return rc == 0 ? read_first(d, reterr) : rc;
}

void rules_dir_close(struct rules_dir *d)
{
	if (d == NULL)
		return;
	d->closing = true;
	readers_close(d->readers);
	loop_timer_unset(d->loop, &d->timer);
	loop_timer_unset(d->loop, &d->look_timer);
	loop_timer_unset(d->loop, &d->slow_timer);
	unwatch(d);
	free(d->path);
	free(d->copies);
	free(d);
}
