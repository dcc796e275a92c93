/* A disk that cannot be written: told in the log when it begins and ends, and to whoever asks meanwhile. */
#pragma once

#include "base/buf.h"
#include "base/loop.h"

struct services;

struct trouble {
	struct services *services;
	struct loop_timer timer;
	void (*room)(struct services *s, bool there_is);
	bool journal, history; /* was told */
};

/* room is called when the journal has no room any more, and when it has room again. */
void trouble_open(struct trouble *t, struct services *s, void (*room)(struct services *s, bool there_is));
/* Fine for one that is all zero. */
void trouble_close(struct trouble *t);

/* The journal has no room, so that nothing more is taken on. */
bool trouble_of_journal(const struct services *s, struct error *reterr);
/* History is not written, or not read. */
bool trouble_of_history(const struct services *s, struct error *reterr);
/* Appends both, in words for people; nothing when all is well. */
void trouble_words(const struct services *s, struct buf *out);
