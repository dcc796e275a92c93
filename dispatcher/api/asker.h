/* Who asks over the API, and what the log says of what they change. */
#pragma once

#include "dispatcher/api/request.h"

/* A user's number comes with the Unix socket, its name is known of root and of the dispatcher's own user: to
 * look others up may take its time. Over TCP it is the token. Names live as long as the API. */
struct principal request_by(const struct request *r);
/* At the start. */
void asker_open(struct api *api);
/* A line for a change that is durable; job 0: of many, and so many of them. */
void log_change(const struct principal *by, const char *what, uint64_t job, uint64_t count);
