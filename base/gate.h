/* Who comes in through libzmq's listeners.
 *
 * libzmq takes every connection that comes, in its own thread, and asks nobody: each half of a frame costs
 * memory, and a process without descriptors is aborted by its ipc listener (4.3.4). To unbind is no way out,
 * as that ends the sessions of the peers that came in through the listener. So the program has an accept4 of
 * its own, which the linker gives to libzmq in place of the C library's. It lets in
 *  - nobody whose descriptor would be above a line: those are for files, and for other doors;
 *  - nobody while as many as may be are strangers, of whom no frame was heard yet: they wait in the backlog.
 * One that has been a stranger for some time leaves for the next.
 *
 * One gate a process: a static library's caller takes part by gate_open. Threads: any. */
#pragma once

#include <sys/socket.h>

#include "base/types.h"

struct gate_bounds {
	int line; /* the first descriptor that is not for peers; 0 = none */
	uint32_t strangers_max;
	usec_t stranger_us; /* how long one may stay when others wait */
};

struct gate_counters {
	uint64_t no_descriptor; /* connections that were closed at once */
	uint64_t cut;		/* strangers that left for others */
	uint32_t strangers;	/* now, or a few that are gone */
};

/* From now on; strangers_max at most STRANGERS_MAX. */
void gate_open(const struct gate_bounds *bounds);
void gate_close(void);
/* Frames of it were heard: its peer's key is known to us. */
void gate_heard(int fd);
/* Cheap: are there any? */
bool gate_has_strangers(void);
void gate_counters(struct gate_counters *ret);

/* The system's own accept4, for our own doors. */
int gate_accept(int listener, struct sockaddr *address, socklen_t *size);
