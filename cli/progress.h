/* A job's progress in one line: a bar, counts, rate and what is left. The first part is pure: times
 * are arguments, lines are text; progress_show draws on a terminal. */
#pragma once

#include "cli/terminal.h"

#define PROGRESS_SAMPLES 32u
#define PROGRESS_WINDOW_US (15 * USEC_PER_SEC) /* the rate is that of the last so many seconds */
#define PROGRESS_REDRAW_US (100 * USEC_PER_MSEC)
#define PROGRESS_TEXT_BYTES_MAX 96u
#define PROGRESS_WHY_BYTES_MAX 1024u

/* What the API tells of the phase in work; of the first one when the job has ended. */
struct progress_state {
	uint64_t job;
	char name[PROGRESS_TEXT_BYTES_MAX];
	char word[24];
	char phase[32];
	char why[PROGRESS_WHY_BYTES_MAX];
	uint64_t shards, done, dead, leased;
	bool sealed, ended;
	usec_t took_us; /* once ended */
};

struct progress {
	struct progress_state state;
	struct {
		usec_t mono_us;
		uint64_t done;
	} samples[PROGRESS_SAMPLES]; /* a ring, at least PROGRESS_WINDOW_US / PROGRESS_SAMPLES apart */
	size_t first, count;
	usec_t drawn_us; /* 0: nothing is drawn */
	bool away;	 /* the dispatcher does not answer */
};

void progress_note(struct progress *p, usec_t mono_us, const struct progress_state *state);
/* Shards a second; 0 when not known (yet). */
double progress_rate(const struct progress *p);
/* Appends width columns, filled as far as part is of total. */
void progress_bar(const struct terminal *t, enum style style, uint64_t part, uint64_t total, size_t width,
		  struct buf *out);
/* One line without its end, at most t->width columns. */
void progress_line(const struct progress *p, const struct terminal *t, struct buf *out);
/* The sentence that closes it: how it ended, how much was done, how long it took. */
void progress_end_line(const struct progress *p, const struct terminal *t, bool bar, struct buf *out);

/* Draws over the line that it drew before, at most every PROGRESS_REDRAW_US. No terminal: nothing. */
void progress_show(struct progress *p, usec_t mono_us, FILE *stream);
/* The last line, whole, with its end. */
void progress_finish(struct progress *p, FILE *stream);
/* Takes away what is drawn, before other text is written. */
void progress_hide(struct progress *p, FILE *stream);
