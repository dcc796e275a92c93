/* One attempt in work: what the files that run it share. Thread: the slot's. */
#pragma once

#include "jobs/ids.h"
#include "worker/run/slot_impl.h"

#define ATTEMPT_NO_INPUT ((struct input){.stdin_fd = -1, .feed_fd = -1, .file_fd = -1})

struct attempt {
	struct slot *slot;
	struct work *work;
	uint32_t shard;
	bool has_shard; /* else it is a runner's command */
	char id[ATTEMPT_ID_BYTES];
	struct input input;
	char **argv, **envp;
	const char *path;
	struct process process;
	struct process_end end;
	uint8_t ended_for; /* enum failure_kind of our own ending; 0 = it ended by itself */
	bool stopped;
	usec_t kill_at_us;
	usec_t look_at_us, look_every_us; /* at what memory it takes, when that is all we know of it */
	usec_t output_at_us;		  /* when its files and their disk are looked at again */
	usec_t started_us;
	struct error why;
};

/* Its argv, envp and path, from the templates of its work. ERR_INVALID, ERR_NOT_FOUND; the words are in
 * a->why. */
int attempt_build_command(struct attempt *a) MUST_CHECK;

/* What input.h asks for. */
struct input_request attempt_input_request(struct attempt *a);
/* Opens the stdin that its definition gives to all shards, if there is one. An error in a->why. */
int attempt_open_stdin(struct attempt *a) MUST_CHECK;
/* When its own input has come in, the connection is free for the shard that this slot will run next. */
void attempt_read_ahead(struct attempt *a);
/* Puts its result to where the definition says, if it is one: what it has written, or nothing. 0, or an error
 * in a->why; a->stopped is set when it was given up meanwhile. */
int attempt_publish(struct attempt *a, bool nothing) MUST_CHECK;
/* The files that `out` and `err` name, of an attempt that has failed: another one writes them anew. */
void attempt_publish_failed(struct attempt *a);
/* What the templates of its definition may name. */
struct template_values attempt_values(const struct attempt *a);

/* The code of an input failure, with a->why set: whether another attempt can help. */
int64_t attempt_input_code(const struct attempt *a);
