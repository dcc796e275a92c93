/* Child processes that outlive us: daemons that `up` starts, workers that a provider starts.
 *
 * Each leads a session of its own (a terminal's Ctrl-C does not reach it), its output is appended to a
 * file, and a record of it stands in a file before it becomes its program: whoever comes after us finds
 * it again by that. A process is known by (boot, process id, start time), never by its id alone.
 *
 * A record is text, a line a fact: `boot`, `pid`, `started`, then the caller's own lines.
 * Thread: the caller's only one that starts children (fork). */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

#define CHILD_RECORD_BYTES_MAX 4096u
#define CHILD_LOG_BYTES_MAX ((off_t)16 << 20)

struct child {
	pid_t pid;
	uint64_t started; /* clock ticks since boot: proc(5), stat, field 22 */
	int pidfd;	  /* readable when it has ended; -1 = none */
	bool ours;	  /* our child: it is reaped by child_reap */
};

struct child_spec {
	const char *program; /* path */
	char *const *argv;   /* NULL-terminated, as envp */
	char *const *envp;
	const char *log_path;	 /* stdout and stderr are appended to it; NULL = ours. One that has grown
				    beyond CHILD_LOG_BYTES_MAX is put aside first, as `.1` */
	const char *record_path; /* NULL = none */
	const char *note;	 /* lines for the record, each with its newline; NULL = none */
};

struct child_end {
	bool known;  /* false: not our child, how it ended is not told */
	bool exited; /* else by a signal */
	int code;    /* exit code or signal */
};

/* In a process that child_start started with a log: opens the log by its name again, after somebody moved it.
 */
void child_reopen_log(void);

/* Returns when the child has become its program, or says why it could not. child_close is due. */
int child_start(const struct child_spec *spec, struct child *ret, struct error *reterr) MUST_CHECK;
/* A process that runs, by its id; started 0 = whichever has that id. ERR_NOT_FOUND: it has ended. */
int child_open(pid_t pid, uint64_t started, struct child *ret, struct error *reterr) MUST_CHECK;
/* The process of a record. ERR_NOT_FOUND: no record, or its process has ended; *ret_note (may be NULL)
 * gets the caller's lines in both cases of a record that is there. ERR_CORRUPT: it is no record. */
int child_adopt(const char *record_path, struct child *ret, struct buf *ret_note,
		struct error *reterr) MUST_CHECK;
/* Replaces the caller's lines of a record. */
int child_note(const char *record_path, const struct child *c, const char *note,
	       struct error *reterr) MUST_CHECK;

/* True when it has ended; its remains are then taken and *ret says how it was. Does not block. */
bool child_reap(struct child *c, struct child_end *ret);
/* Harmless when it has ended. */
void child_signal(const struct child *c, int signo);
/* Forgets it; it goes on. */
void child_close(struct child *c);
/* "exit code 2", "signal 9": returns buf. */
const char *child_end_text(const struct child_end *end, char *buf, size_t size);

/* The path of one of our own programs: beside the running one, in `folder` beside the running one's
 * folder (as in the build tree), or by PATH. ERR_NOT_FOUND says where it was looked for. */
int child_find_program(const char *name, const char *folder, char *ret, size_t size,
		       struct error *reterr) MUST_CHECK;
