/* What the verbs of queues share. */
#pragma once

#include "cli/cli.h"

/* Gives a queue settings: PUT, or PATCH for what is given alone. name: as is_name. Lists in *as are taken
 * over. Tells done ("is paused") of it, or the answer as JSON. */
int queues_send(struct cli *cli, const char *method, const char *name, struct api_queue_settings *as,
		const char *done, struct error *reterr) MUST_CHECK;
/* ERR_INVALID, in words: no queue is called so. */
int queues_check_name(const char *name, struct error *reterr) MUST_CHECK;
/* `shardmill queues apply` (queues_file.c); as the function of a verb. */
int verb_queues_apply(int argc, char **argv);
