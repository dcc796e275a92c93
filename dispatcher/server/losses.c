#include "dispatcher/server/losses.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/fs.h"
#include "jobs/ids.h"

#define SECRET "keys/dedup"
#define HISTORY "history.db"
#define JOURNAL_BEGIN "journal-begin"

static const struct {
	const char *file;
	const char *meaning;
} keys[] = {
    {SECRET, "the keys of events that were taken cannot be told any more, so that their repeats start jobs "
	     "a second time"},
    {"keys/dispatcher.key",
     "with a new one, workers on other machines cannot connect until they have the new "
     "keys/dispatcher.key.pub"},
    {"keys/worker.key", "with a new one, workers that have a copy of the old one cannot be told from others"},
    {"keys/allowed",
     "a new one lets in the worker and the producer of this directory only, and no other peer"},
};

static bool is_accepted(const struct server *s, const char *file)
{
	return strcmp(params_text(s->services.params, PARAM_ACCEPT_LOST), file) == 0;
}

static int refuse(const struct server *s, const char *file, const char *what, const char *meaning,
		  struct error *reterr)
{
	error_set(reterr, ERR_CORRUPT, "%s, but this directory has held state: %s", what, meaning);
	error_help(reterr, "restore it from a copy, or accept the loss once with --accept-lost=%s", file);
	return error_where(reterr, "%s/%s", s->services.state.path, file);
}

int losses_check_keys(const struct server *s, struct error *reterr)
{
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		char *path = statedir_path(&s->services.state, keys[i].file);
		struct stat st;
		bool is_missing = stat(path, &st) < 0 && errno == ENOENT;

		free(path);
		if (s->services.state.fresh || !is_missing)
			continue;
		if (!is_accepted(s, keys[i].file))
			return refuse(s, keys[i].file, "it is missing", keys[i].meaning, reterr);
		log_warn("a loss was accepted", log_text("file", keys[i].file),
			 log_text("meaning", keys[i].meaning));
	}
	return 0;
}

int losses_check_history(const struct server *s, struct error *reterr)
{
	uint64_t known = history_lsn(s->services.history), oldest = journal_oldest_lsn(s->services.journal);
	char what[160];

	if (known + 1 >= oldest)
		return 0;
	snprintf(what, sizeof(what),
		 "history knows nothing behind record %" PRIu64
		 ", and the journal begins with record %" PRIu64,
		 known, oldest);
	if (is_accepted(s, HISTORY)) {
		log_warn("a loss was accepted", log_text("file", HISTORY), log_text("meaning", what));
		return 0;
	}
	return refuse(s, HISTORY, what,
		      "jobs that ended in between would not be known any more, nor where their outputs are",
		      reterr);
}

/* ---- where the journal begins ---- */

static int read_begin(const struct server *s, uint64_t *ret, struct error *reterr)
{
	char *path = statedir_path(&s->services.state, JOURNAL_BEGIN);
	struct buf text = {0};
	int r = fs_read_file(path, 64, &text, reterr);

	if (r == 0 && sscanf(buf_text(&text), "1 %" SCNu64, ret) != 1) {
		r = error_set(reterr, ERR_CORRUPT, "expected the number of a record");
		error_help(reterr,
			   "remove it: it only says whether the journal's first segments are missing");
		(void)error_where(reterr, "%s", path);
	}
	buf_fini(&text);
	free(path);
	return r;
}

int losses_note_trim(const struct server *s, uint64_t lsn, struct error *reterr)
{
	char *path = statedir_path(&s->services.state, JOURNAL_BEGIN), text[32];
	int r;

	snprintf(text, sizeof(text), "1 %" PRIu64 "\n", lsn);
	r = fs_write_file(path, bytes_of(text), 0644, reterr);
	free(path);
	return r;
}

int losses_check_begin(const struct server *s, struct error *reterr)
{
	uint64_t oldest = journal_oldest_lsn(s->services.journal), expected = 0;
	struct error e = {0};
	int r = read_begin(s, &expected, &e);

	if (r == ERR_NOT_FOUND) /* an older build wrote the journal, or this is the first start */
		return losses_note_trim(s, oldest, reterr);
	if (r < 0) {
		if (reterr != NULL)
			*reterr = e;
		return r;
	}
	if (oldest <= expected)
		return 0;
	error_set(reterr, ERR_CORRUPT,
		  "the journal begins with record %" PRIu64 ", but should reach back to record %" PRIu64
		  ": its first segments are missing",
		  oldest, expected);
	error_help(reterr, "restore them from a copy: jobs and keys of events stand in them");
	return error_where(reterr, "%s/journal", s->services.state.path);
}

/* ---- is it the secret that it was? ---- */

/* Nobody can tell the secret from it. */
static const char *fingerprint(const struct server *s, char buf[static 40])
{
	struct dedup_key key = dedup_key_of("secret", NULL, 0, s->services.dedup_secret);

	char text[UUID_TEXT_BYTES];

	uuid_halves_text(key.hi, key.lo, text);
	snprintf(buf, 40, "1 %s", text);
	return buf;
}

static bool is_noted(const struct server *s, struct bytes *ret)
{
	char text[40];

	*ret = dispatcher_view_watermark(s->core, bytes_of(SECRET));
	return bytes_equal(*ret, bytes_of(fingerprint(s, text)));
}

int losses_check_secret(const struct server *s, struct error *reterr)
{
	struct bytes noted;

	if (is_noted(s, &noted) || noted.size == 0)
		return 0;
	if (!is_accepted(s, SECRET))
		return refuse(s, SECRET, "it is not the secret that this state was made with",
			      keys[0].meaning, reterr);
	log_warn("a loss was accepted", log_text("file", SECRET), log_text("meaning", keys[0].meaning));
	return 0;
}

void losses_note(struct server *s)
{
	struct bytes noted;
	char text[40];

	if (!is_noted(s, &noted))
		port_submit(s->services.port, INPUT_WATERMARK,
			    &(struct input_watermark){.intake = bytes_of(SECRET),
						      .position = bytes_of(fingerprint(s, text))},
			    NULL);
}
