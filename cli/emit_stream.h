/* `shardmill emit --stream`: each line of a file is an event, and goes to the dispatcher in a frame. */
#pragma once

#include "cli/cli.h"

struct emit_stream_options {
	const char *path;     /* or "-" */
	const char *connect;  /* NULL: where the dispatcher of the state directory listens */
	const char *keys_dir; /* NULL: the state directory's */
	usec_t give_up_us;    /* without anything heard of the dispatcher */
};

/* The exit code, or an error: 0 when all of them are durable. */
int emit_stream(struct cli *cli, const struct emit_stream_options *o, struct error *reterr) MUST_CHECK;
