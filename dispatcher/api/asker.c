#include "dispatcher/api/asker.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "dispatcher/api/listener.h"
#include "jobs/kinds.h"
#include "jobs/principal.h"

#define TOKEN_NAME "api-token" /* of its file */

void asker_open(struct api *api)
{
	const struct passwd *own = getpwuid(geteuid());

	if (own != NULL)
		snprintf(api->own_name, sizeof(api->own_name), "%s", own->pw_name);
}

static struct bytes name_of_user(const struct api *api, uid_t uid)
{
	if (uid == geteuid())
		return bytes_of(api->own_name);
	return uid == 0 ? BYTES_LIT("root") : (struct bytes){0};
}

struct principal request_by(const struct request *r)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	if (r->listener->needs_token)
		return (struct principal){.kind = BY_TOKEN, .name = BYTES_LIT(TOKEN_NAME)};
	if (getsockopt(r->place->fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		return (struct principal){0};
	return (struct principal){.kind = BY_UID, .name = name_of_user(r->api, who.uid), .number = who.uid};
}

void log_change(const struct principal *by, const char *what, uint64_t job, uint64_t count)
{
	struct buf words = {0};

	principal_words(by, &words);
	if (job != 0)
		log_info(what, log_u64("job", job), log_text("by", buf_text(&words)));
	else
		log_info(what, log_u64("count", count), log_text("by", buf_text(&words)));
	buf_fini(&words);
}
