/* What a slot's thread and its reaper say to each other over a socket: requests one way, replies the other.
 * Both are the same program on the same machine, so the structs travel as they lie in memory. */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "base/types.h"

enum reaper_request_kind {
	REAPER_BIND,  /* followed by a struct reaper_binding */
	REAPER_START, /* followed by `bytes` of text: path, directory, arguments, environment, each ending in
			 NUL */
	REAPER_SIGNAL,
};

/* The descriptors that come with a START, in this order, as far as `fds` has their bits. */
enum reaper_fd {
	REAPER_STDIN,
	REAPER_STDOUT,
	REAPER_STDERR,
	REAPER_CGROUP_PROCS,
	REAPER_CGROUP_DIR,
	REAPER_FDS
};

struct reaper_request {
	uint32_t kind;
	uint32_t fds;
	uint64_t bytes;
	uint32_t argc, envc;
	uint32_t patience_us; /* below a second; when the process has ended within it, STARTED is left out */
	uint64_t file_bytes_max, data_bytes_max;
	int32_t signal;
	bool has_directory;
};

/* Where a thread may run, and where its memory may lie (set_mempolicy). */
struct reaper_binding {
	uint64_t cpus[128]; /* all zero: not known */
	int32_t policy;	    /* -1: not known */
	uint64_t nodes[16];
};

/* A START is answered by NOT_STARTED, or by ENDED with or without a STARTED before it. */
enum reaper_reply_kind { REAPER_STARTED, REAPER_NOT_STARTED, REAPER_ENDED };

struct reaper_reply {
	uint32_t kind;
	pid_t pid;	/* STARTED, ENDED */
	int32_t code;	/* NOT_STARTED: errno */
	char step[48];	/* NOT_STARTED: what failed */
	int32_t status; /* ENDED: as wait(2) tells it */
	bool left;	/* ENDED: some processes cannot be killed */
	struct rusage usage;
};
