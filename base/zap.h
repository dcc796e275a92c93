/* Our ZAP handler (RFC 27/ZAP): maps a peer's CURVE key to its role, and keeps strangers out.
 *
 * A thread of its own answers libzmq; it must be started before any CURVE socket is bound. The role
 * travels with each message as its User-Id, `role:name`, which a peer cannot choose. */
#pragma once

#include "base/keys.h"

struct zap;

/* Takes a copy of roles. `context` is libzmq's. */
int zap_start(void *context, const struct key_roles *roles, struct zap **ret,
	      struct error *reterr) MUST_CHECK;
/* From now on these roles count, for peers that connect; those that are connected stay. */
void zap_set_roles(struct zap *zap, const struct key_roles *roles);
/* After all sockets that need it are closed; accepts NULL. */
void zap_stop(struct zap *zap);
/* Peers that were refused since the start. */
uint64_t zap_refused(const struct zap *zap);
