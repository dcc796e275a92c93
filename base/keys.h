/* CURVE keys (RFC 26/CurveZMQ) and who may do what.
 *
 * A key file is text: `public <Z85>` and, unless it is a public file, `secret <Z85>`; a file with a
 * secret must be readable by its owner alone. `allowed` maps public keys to roles, a line each:
 * `worker <Z85> <name>`. Z85 is RFC 32/Z85: 40 characters for 32 bytes. */
#pragma once

#include "base/error.h"

#define KEY_TEXT_BYTES 41 /* Z85 of 32 bytes and a NUL */
#define KEY_NAME_BYTES 64

enum peer_role {
	ROLE_NONE,
	ROLE_WORKER,
	ROLE_SCALER,
	ROLE_PRODUCER,
	ROLE_CLIENT,
};

struct key_pair {
	char public_text[KEY_TEXT_BYTES];
	char secret_text[KEY_TEXT_BYTES]; /* "" in a public file */
};

struct key_entry {
	uint8_t public_key[32];
	enum peer_role role;
	char name[KEY_NAME_BYTES];
};

struct key_roles {
	struct key_entry *entries;
	size_t count;
};

const char *peer_role_name(enum peer_role role);
enum peer_role peer_role_of(const char *name);

int key_pair_load(const char *path, bool need_secret, struct key_pair *ret, struct error *reterr) MUST_CHECK;
/* Writes `path` (mode 0600) and `path`.pub; refuses to replace a file. */
int key_pair_create(const char *path, struct key_pair *ret, struct error *reterr) MUST_CHECK;

int key_roles_load(const char *path, struct key_roles *ret, struct error *reterr) MUST_CHECK;
void key_roles_fini(struct key_roles *roles);
/* NULL: a stranger. */
const struct key_entry *key_roles_find(const struct key_roles *roles, const uint8_t public_key[32]);

/* What `up` makes in a state directory's keys/, and leaves alone when it is there:
 * dispatcher.key, worker.key, producer.key, each with its .pub, and `allowed` with the lines of the latter
 * two. A directory without a producer's key is of an older build, or has lost it: a new one is made and let
 * in. */
int keys_ensure(const char *dir, struct error *reterr) MUST_CHECK;
