#include "cli/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/human.h"
#include "cli/progress.h"
#include "cli/reasons.h"

#define LOOK_US (250 * USEC_PER_MSEC)	  /* between two pictures of a bar */
#define LOOK_QUIET_US (30 * USEC_PER_SEC) /* where nobody looks */

static volatile sig_atomic_t interrupted;

struct following {
	struct cli *cli;
	struct progress progress;
	struct reasons reasons;
	unsigned looks;
	bool bar;
	struct sigaction before;
};

static void on_sigint(int signo)
{
	(void)signo;
	interrupted = 1;
}

static void on_away(void *arg, bool away)
{
	struct following *f = arg;

	f->progress.away = away;
	if (f->bar && f->progress.state.job != 0) {
		f->progress.drawn_us = f->progress.drawn_us > 0 ? 1 : 0; /* at once */
		progress_show(&f->progress, clock_mono_us(), stderr);
	} else {
		fprintf(stderr, "%s: the dispatcher %s\n", f->cli->program,
			away ? "is away; waiting for it" : "is back");
	}
}

/* The phase in work, or the shards when the job has ended. */
static void find_phase(const struct api_job *job, bool ended, struct api_phase *ret)
{
	size_t count = json_array_size(job->phases);

	if (ended || count == 0)
		(void)cli_shards_phase(job, ret);
	else
		object_read(object_phase(), json_array_get(job->phases, count - 1), ret);
}

static void copy_text(char *out, size_t size, struct bytes text)
{
	size_t length = text.size;

	if (length >= size) {
		length = size - 1;
		while (length > 0 && (text.data[length] & 0xc0) == 0x80)
			length--; /* not through a character */
	}
	if (length > 0)
		memcpy(out, text.data, length);
	out[length] = '\0';
}

static void read_state(const struct api_job *job, struct progress_state *s)
{
	usec_t from = job->started_wall_us, to = job->ended_wall_us;
	struct api_phase phase;

	*s = (struct progress_state){.job = job->id};
	s->ended = bytes_equal(job->state, BYTES_LIT("succeeded")) ||
		   bytes_equal(job->state, BYTES_LIT("failed")) ||
		   bytes_equal(job->state, BYTES_LIT("cancelled"));
	find_phase(job, s->ended, &phase);
	copy_text(s->name, sizeof(s->name), job->name);
	copy_text(s->word, sizeof(s->word), s->ended ? job->state : job->word);
	copy_text(s->phase, sizeof(s->phase), phase.name);
	copy_text(s->why, sizeof(s->why), job->why);
	s->shards = phase.shards;
	s->done = phase.done;
	s->dead = phase.dead;
	s->leased = phase.leased;
	s->sealed = phase.sealed;
	if (from == 0)
		from = job->accepted_wall_us; /* as `jobs` counts it */
	s->took_us = s->ended && from > 0 && to > from ? to - from : 0;
}

static int exit_of(const struct progress_state *s)
{
	if (strcmp(s->word, "succeeded") == 0)
		return CLI_EXIT_FINE;
	return strcmp(s->word, "cancelled") == 0 ? CLI_EXIT_JOB_CANCELLED : CLI_EXIT_JOB_FAILED;
}

/* One answer: when the job has ended, or after a while. */
static int look(struct following *f, uint64_t job, usec_t deadline_us, struct api_job *ret,
		struct client_answer *ret_answer, struct error *reterr)
{
	usec_t timeout_us = f->bar ? LOOK_US : LOOK_QUIET_US, now = clock_mono_us();
	char suffix[48], path[CLI_PATH_BYTES_MAX];

	/* Why it does not run is to be seen soon, too. */
	if (!f->bar && (f->looks < 2 || (f->reasons.waits && f->reasons.count == 0)))
		timeout_us = REASON_AFTER_US;
	if (f->looks++ == 0)
		timeout_us = 0; /* the first picture at once */
	if (deadline_us != USEC_NEVER && deadline_us - now < timeout_us)
		timeout_us = deadline_us > now ? deadline_us - now : 0;
	snprintf(suffix, sizeof(suffix), "/wait?timeout=%" PRId64 "us", timeout_us);
	return client_get_object(&f->cli->client, cli_job_path(job, suffix, path, sizeof(path)), object_job(),
				 ret, ret_answer, reterr);
}

static void begin(struct following *f, const struct follow *how)
{
	struct sigaction action = {.sa_handler = on_sigint};

	f->bar = terminal_of(stderr).is_terminal;
	f->cli->client.patience_us = USEC_NEVER;
	f->cli->client.deadline_us = how->deadline_us;
	f->cli->client.on_away = on_away;
	f->cli->client.on_away_arg = f;
	if (f->bar) { /* else nothing is drawn, and the default is right */
		f->cli->client.interrupted = &interrupted;
		sigaction(SIGINT, &action, &f->before);
	}
}

static void end(struct following *f)
{
	progress_hide(&f->progress, stderr);
	if (f->bar)
		sigaction(SIGINT, &f->before, NULL);
	f->cli->client.patience_us = CLIENT_PATIENCE_US;
	f->cli->client.deadline_us = USEC_NEVER;
	f->cli->client.on_away = NULL;
	f->cli->client.interrupted = NULL;
}

static void tell_end(struct following *f, FILE *sentence)
{
	struct terminal t;
	struct buf line = {0};

	if (f->bar)
		progress_finish(&f->progress, stderr);
	if (sentence == NULL || (f->bar && terminal_of(sentence).is_terminal))
		return;
	t = terminal_of(sentence);
	progress_end_line(&f->progress, &t, false, &line);
	buf_append(&line, "\n", 1);
	fwrite(line.data, 1, line.size, sentence);
	fflush(sentence);
	buf_fini(&line);
}

/* A job that does not run, and that for a while: why. */
static void tell_reason(struct following *f, usec_t now)
{
	const struct progress_state *s = &f->progress.state;
	struct buf why = {0};

	if (!reasons_note(&f->reasons, now, s->why))
		return;
	progress_hide(&f->progress, stderr);
	human_line(&why, bytes_of(s->why));
	if (!f->bar)
		fprintf(stderr, "%s: ", f->cli->program);
	fprintf(stderr, "job %" PRIu64 " %s: %s\n", s->job,
		strcmp(s->word, "paused") == 0 ? "is paused" : "waits", buf_text(&why));
	buf_fini(&why);
}

static int tell_timeout(struct following *f, uint64_t job)
{
	const char *word = f->progress.state.word;

	progress_hide(&f->progress, stderr);
	fprintf(stderr, "%s: time is over; job %" PRIu64 " goes on%s%s%s\n", f->cli->program, job,
		word[0] != '\0' ? " (" : "", word, word[0] != '\0' ? ")" : "");
	return CLI_EXIT_TIMEOUT;
}

static int tell_interrupted(struct following *f, uint64_t job)
{
	progress_hide(&f->progress, stderr);
	fprintf(stderr,
		"job %" PRIu64 " goes on; `shardmill wait %" PRIu64 "` or `shardmill cancel %" PRIu64 "`\n",
		job, job, job);
	return CLI_EXIT_INTERRUPTED;
}

static int follow(struct following *f, uint64_t job, const struct follow *how, struct client_answer *last,
		  struct error *reterr)
{
	for (;;) {
		struct client_answer answer;
		struct progress_state state;
		struct api_job found;
		int r = look(f, job, how->deadline_us, &found, &answer, reterr);
		usec_t now = clock_mono_us();

		if (r == 0) {
			client_answer_fini(last);
			*last = answer;
			read_state(&found, &state);
			state.job = job;
			progress_note(&f->progress, now, &state);
			if (state.ended) {
				tell_end(f, how->sentence);
				return exit_of(&state);
			}
			tell_reason(f, now);
			if (f->bar)
				progress_show(&f->progress, now, stderr);
		}
		if (f->bar && interrupted)
			return tell_interrupted(f, job);
		if (now >= how->deadline_us)
			return tell_timeout(f, job);
		if (r != 0)
			return r;
	}
}

int follow_job(struct cli *cli, uint64_t job, const struct follow *how, struct client_answer *ret_answer,
	       struct error *reterr)
{
	struct following f = {.cli = cli};
	struct client_answer last = {0};
	int r;

	interrupted = 0;
	begin(&f, how);
	r = follow(&f, job, how, &last, reterr);
	end(&f);
	if (ret_answer != NULL)
		*ret_answer = last;
	else
		client_answer_fini(&last);
	return r;
}
