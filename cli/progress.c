#include "cli/progress.h"

#include <string.h>

#include "base/check.h"
#include "cli/human.h"

#define BAR_LEAST 8u
#define BAR_MOST 32u

/* ---- the rate ---- */

static size_t ring_at(const struct progress *p, size_t i)
{
	return (p->first + i) % PROGRESS_SAMPLES;
}

void progress_note(struct progress *p, usec_t mono_us, const struct progress_state *state)
{
	bool other_phase = strcmp(state->phase, p->state.phase) != 0 || state->done < p->state.done;

	p->state = *state;
	p->away = false;
	if (other_phase)
		p->count = 0;
	while (p->count > 1 && mono_us - p->samples[p->first].mono_us > PROGRESS_WINDOW_US) {
		p->first = ring_at(p, 1);
		p->count--;
	}
	if (p->count > 1) {
		size_t before = ring_at(p, p->count - 2), last = ring_at(p, p->count - 1);

		/* The newest sample moves on until it is far enough from the one before. */
		if (p->samples[last].mono_us - p->samples[before].mono_us <
		    PROGRESS_WINDOW_US / (usec_t)PROGRESS_SAMPLES)
			p->count--;
	}
	if (p->count == PROGRESS_SAMPLES) {
		p->first = ring_at(p, 1);
		p->count--;
	}
	p->samples[ring_at(p, p->count)].mono_us = mono_us;
	p->samples[ring_at(p, p->count)].done = state->done;
	p->count++;
}

double progress_rate(const struct progress *p)
{
	size_t last = ring_at(p, p->count > 0 ? p->count - 1 : 0);
	usec_t us;

	if (p->count < 2)
		return 0;
	us = p->samples[last].mono_us - p->samples[p->first].mono_us;
	if (us <= 0)
		return 0;
	return (double)(p->samples[last].done - p->samples[p->first].done) * (double)USEC_PER_SEC /
	       (double)us;
}

/* ---- lines ---- */

void progress_bar(const struct terminal *t, enum style style, uint64_t part, uint64_t total, size_t width,
		  struct buf *out)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	double share = total > 0 ? (double)(part < total ? part : total) / (double)total : 0;
	size_t parts = (size_t)(share * (double)width * 8), used = parts / 8;
	struct buf bar = {0};

	for (size_t i = 0; i < used; i++)
		buf_printf(&bar, "%s", t->utf8 ? "█" : "#");
	if (t->utf8 && parts % 8 > 0) {
		buf_printf(&bar, "%s", eighths[parts % 8]);
		used++;
	}
	terminal_style(t, out, style, buf_bytes(&bar));
	buf_clear(&bar);
	for (; used < width; used++)
		buf_printf(&bar, "%s", t->utf8 ? "░" : "-");
	terminal_style(t, out, STYLE_DIM, buf_bytes(&bar));
	buf_fini(&bar);
}

static void add_bar(const struct progress_state *s, const struct terminal *t, size_t width, struct buf *out)
{
	bool bad = strcmp(s->word, "failed") == 0 || strcmp(s->word, "cancelled") == 0;

	progress_bar(t, bad ? STYLE_BAD : STYLE_GOOD, s->done + s->dead, s->shards, width, out);
}

static void add_head(const struct progress_state *s, struct buf *out)
{
	buf_printf(out, "job %llu ", (unsigned long long)s->job);
	human_text(out, bytes_of(s->name), false);
}

/* What stands behind the bar, the most important first, as far as columns allow. */
static size_t add_facts(const struct progress *p, size_t columns, struct buf *out)
{
	const struct progress_state *s = &p->state;
	uint64_t gone = s->done + s->dead, left = s->shards > gone ? s->shards - gone : 0;
	char a[HUMAN_TEXT_MAX], b[HUMAN_TEXT_MAX];
	double rate = progress_rate(p);
	struct buf facts[7] = {0};
	size_t used = 0;

	if (p->away)
		buf_printf(&facts[0], "  the dispatcher is away; waiting for it");
	else if (s->shards == 0 || strcmp(s->word, "running") != 0)
		buf_printf(&facts[0], "  %s", s->word);
	if (s->shards > 0) {
		buf_printf(&facts[1], "  %s", human_percent(gone, s->shards, a, sizeof(a)));
		buf_printf(&facts[2], "  %s/%s%s", human_count(gone, a, sizeof(a)),
			   human_count(s->shards, b, sizeof(b)), s->sealed ? "" : "+");
	}
	if (s->dead > 0)
		buf_printf(&facts[3], "  %s dead", human_count(s->dead, a, sizeof(a)));
	if (s->leased > 0 && !p->away)
		buf_printf(&facts[6], "  %s leased", human_count(s->leased, a, sizeof(a)));
	if (rate > 0 && !p->away)
		buf_printf(&facts[5], "  %s", human_rate(rate, a, sizeof(a)));
	if (rate > 0 && left > 0 && s->sealed && !p->away)
		buf_printf(&facts[4], "  %s left",
			   human_span((usec_t)((double)left / rate * (double)USEC_PER_SEC), a, sizeof(a)));
	for (size_t i = 0; i < ARRAY_LENGTH(facts); i++) {
		size_t width = human_width(buf_bytes(&facts[i]));

		if (used + width <= columns) {
			buf_append_bytes(out, buf_bytes(&facts[i]));
			used += width;
		}
		buf_fini(&facts[i]);
	}
	return used;
}

void progress_line(const struct progress *p, const struct terminal *t, struct buf *out)
{
	size_t width = t->width > 0 ? t->width : 100, used, left;
	struct buf head = {0}, facts = {0};

	add_head(&p->state, &head);
	head.size = human_fit(buf_bytes(&head), width / 3);
	used = human_width(buf_bytes(&head));
	left = width - used;
	left -= add_facts(p, left > BAR_LEAST + 1 ? left - BAR_LEAST - 1 : 0, &facts);
	buf_append_bytes(out, buf_bytes(&head));
	if (left > BAR_LEAST) {
		buf_append(out, " ", 1);
		add_bar(&p->state, t, left - 1 < BAR_MOST ? left - 1 : BAR_MOST, out);
	}
	buf_append_bytes(out, buf_bytes(&facts));
	buf_fini(&head);
	buf_fini(&facts);
}

void progress_end_line(const struct progress *p, const struct terminal *t, bool bar, struct buf *out)
{
	const struct progress_state *s = &p->state;
	char a[HUMAN_TEXT_MAX], b[HUMAN_TEXT_MAX];

	add_head(s, out);
	buf_append(out, " ", 1);
	if (bar && t->width >= 100) {
		add_bar(s, t, BAR_MOST / 2, out);
		buf_append(out, " ", 1);
	}
	terminal_style(t, out, style_of_word(s->word), bytes_of(s->word));
	/* A job whose planning ended otherwise never had any. */
	if (s->shards > 0 || strcmp(s->word, "succeeded") == 0)
		buf_printf(out, ": %s of %s shard%s in", human_count(s->done, a, sizeof(a)),
			   human_count(s->shards, b, sizeof(b)), s->shards == 1 ? "" : "s");
	else
		buf_printf(out, " before it had shards, after");
	buf_printf(out, " %s", human_span(s->took_us, a, sizeof(a)));
	if (s->done > 1 && s->took_us > USEC_PER_SEC)
		buf_printf(
		    out, " (%s)",
		    human_rate((double)s->done * (double)USEC_PER_SEC / (double)s->took_us, a, sizeof(a)));
	if (s->dead > 0) {
		buf_append(out, ", ", 2);
		snprintf(b, sizeof(b), "%s dead", human_count(s->dead, a, sizeof(a)));
		terminal_style(t, out, STYLE_BAD, bytes_of(b));
	}
	if (s->why[0] != '\0') {
		buf_printf(out, "; ");
		human_line(out, bytes_of(s->why));
	}
}

/* ---- on a terminal ---- */

#define LINE_START "\r\033[K" /* what a terminal knows since the VT100 */

void progress_show(struct progress *p, usec_t mono_us, FILE *stream)
{
	struct terminal t = terminal_of(stream); /* each time: it may have been made wider */
	struct buf line = {0};

	if (!t.is_terminal || (p->drawn_us > 0 && mono_us - p->drawn_us < PROGRESS_REDRAW_US))
		return;
	/* The last column stays free: some terminals begin a new line when it is written. */
	if (t.width > 1)
		t.width--;
	progress_line(p, &t, &line);
	fprintf(stream, "%s%s", LINE_START, buf_text(&line));
	fflush(stream);
	buf_fini(&line);
	p->drawn_us = mono_us;
}

void progress_finish(struct progress *p, FILE *stream)
{
	struct terminal t = terminal_of(stream);
	struct buf line = {0};

	progress_hide(p, stream);
	progress_end_line(p, &t, t.is_terminal, &line);
	fprintf(stream, "%s\n", buf_text(&line));
	buf_fini(&line);
}

void progress_hide(struct progress *p, FILE *stream)
{
	if (p->drawn_us == 0)
		return;
	fprintf(stream, "%s", LINE_START);
	fflush(stream);
	p->drawn_us = 0;
}
