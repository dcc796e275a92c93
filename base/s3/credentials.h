/* The keys that requests are signed with. Looked for, in the order that AWS's own tools have:
 *
 *   1. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN)
 *   2. the profile AWS_PROFILE (default) in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), then in
 *      AWS_CONFIG_FILE (~/.aws/config)
 *   3. a container's endpoint: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, with
 *      AWS_CONTAINER_AUTHORIZATION_TOKEN or _TOKEN_FILE
 *   4. the instance metadata service, version 2, unless AWS_EC2_METADATA_DISABLED is true;
 *      AWS_EC2_METADATA_SERVICE_ENDPOINT names another address
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 * Keys that expire are fetched anew 5 minutes before; while that fails, the old ones serve to their end.
 * Threads: any; a fetch is made by one while the others wait. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define S3_KEY_BYTES_MAX 256u
#define S3_TOKEN_BYTES_MAX 8192u

struct s3_keys {
	char id[S3_KEY_BYTES_MAX];
	char secret[S3_KEY_BYTES_MAX];
	char token[S3_TOKEN_BYTES_MAX]; /* "" = none */
	usec_t expires_wall_us;		/* USEC_NEVER: they do not */
};

struct s3_credentials;

struct s3_credentials *s3_credentials_create(void) MUST_CHECK;
void s3_credentials_destroy(struct s3_credentials *c); /* NULL is fine */

/* ERR_DENIED: there are none, with where was looked; ERR_INVALID: a file or an answer is no such;
 * ERR_IO: the endpoint does not answer. */
int s3_credentials_get(struct s3_credentials *c, struct s3_keys *ret, struct error *reterr) MUST_CHECK;
/* A server said that these have expired: the next get asks anew, unless somebody did already. */
void s3_credentials_drop(struct s3_credentials *c, const struct s3_keys *stale);

/* A setting of the profile in the config file, e.g. "region", in place of out's content; false: not said. */
struct buf;
bool s3_config_value(const char *name, struct buf *out);
