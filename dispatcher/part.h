/* A part around the engine: what brings something in, or tells of something. The server opens them in the
 * order of parts.def and closes them in the opposite one. */
#pragma once

#include "dispatcher/services.h"

struct part {
	const char *name;
	int (*open)(struct services *s, struct error *reterr);
	/* Also after an open that failed, or none. */
	void (*close)(struct services *s);
	/* Nothing more is brought in until it is resumed: the journal has no room, or the dispatcher stops.
	 * Also when it is not open. NULL: it brings nothing in by itself. */
	void (*pause)(struct services *s);
	void (*resume)(struct services *s);
};

/* part_NAME, defined by each of them. */
#define PART(name, when) extern const struct part part_##name;
#include "dispatcher/parts.def"
#undef PART
