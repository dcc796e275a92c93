#include "base/zap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/check.h"

#define ZAP_ADDRESS "inproc://zeromq.zap.01"
#define ZAP_FRAMES 7 /* version, request id, domain, address, routing id, mechanism, key */

struct zap {
	void *requests;	      /* REP */
	void *stop;	      /* PAIR: the thread's end */
	void *stopper;	      /* PAIR: ours */
	pthread_mutex_t lock; /* of roles */
	struct key_roles roles;
	pthread_t thread;
	atomic_ullong refused;
};

struct request {
	char id[256];
	size_t id_size;
	bool curve;
	uint8_t key[32];
};

/* Reads one request whole, whatever it holds: a REP socket must answer each. */
static bool read_request(void *socket, struct request *r)
{
	int more = 1;

	*r = (struct request){0};
	for (int i = 0; more; i++) {
		zmq_msg_t m;
		size_t more_size = sizeof more;

		zmq_msg_init(&m);
		if (zmq_msg_recv(&m, socket, 0) < 0) {
			zmq_msg_close(&m);
			return false;
		}
		if (i == 1 && zmq_msg_size(&m) < sizeof r->id) {
			r->id_size = zmq_msg_size(&m);
			memcpy(r->id, zmq_msg_data(&m), r->id_size);
		}
		if (i == 5)
			r->curve = zmq_msg_size(&m) == 5 && memcmp(zmq_msg_data(&m), "CURVE", 5) == 0;
		if (i == ZAP_FRAMES - 1 && zmq_msg_size(&m) == sizeof r->key)
			memcpy(r->key, zmq_msg_data(&m), sizeof r->key);
		zmq_msg_close(&m);
		zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size);
	}
	return true;
}

static void answer(struct zap *zap)
{
	const struct key_entry *e = NULL;
	struct request r;
	char user[KEY_NAME_BYTES + 16] = "";

	if (!read_request(zap->requests, &r))
		return;
	pthread_mutex_lock(&zap->lock);
	if (r.curve)
		e = key_roles_find(&zap->roles, r.key);
	if (e != NULL)
		snprintf(user, sizeof user, "%s:%s", peer_role_name(e->role), e->name);
	else
		atomic_fetch_add(&zap->refused, 1);
	pthread_mutex_unlock(&zap->lock);
	zmq_send(zap->requests, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(zap->requests, r.id, r.id_size, ZMQ_SNDMORE);
	zmq_send(zap->requests, e ? "200" : "400", 3, ZMQ_SNDMORE);
	zmq_send(zap->requests, e ? "OK" : "unknown key", e ? 2 : 11, ZMQ_SNDMORE);
	zmq_send(zap->requests, user, strlen(user), ZMQ_SNDMORE);
	zmq_send(zap->requests, "", 0, 0);
}

static void *run(void *arg)
{
	struct zap *zap = arg;
	zmq_pollitem_t items[] = {{zap->requests, 0, ZMQ_POLLIN, 0}, {zap->stop, 0, ZMQ_POLLIN, 0}};

	for (;;) {
		if (zmq_poll(items, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (items[1].revents != 0)
			return NULL;
		if (items[0].revents != 0)
			answer(zap);
	}
}

static void close_sockets(struct zap *zap)
{
	void *sockets[] = {zap->requests, zap->stop, zap->stopper};
	int zero = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(sockets); i++)
		if (sockets[i] != NULL) {
			zmq_setsockopt(sockets[i], ZMQ_LINGER, &zero, sizeof zero);
			zmq_close(sockets[i]);
		}
}

static void destroy(struct zap *zap)
{
	close_sockets(zap);
	key_roles_fini(&zap->roles);
	pthread_mutex_destroy(&zap->lock);
	free(zap);
}

static int start_thread(struct zap *zap)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&zap->thread, NULL, run, zap);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static struct key_roles copy_roles(const struct key_roles *roles)
{
	struct key_roles copy = {.entries = check_calloc(roles->count, sizeof *roles->entries),
				 .count = roles->count};

	if (roles->count > 0)
		memcpy(copy.entries, roles->entries, roles->count * sizeof *roles->entries);
	return copy;
}

void zap_set_roles(struct zap *zap, const struct key_roles *roles)
{
	struct key_roles now = copy_roles(roles), before;

	pthread_mutex_lock(&zap->lock);
	before = zap->roles;
	zap->roles = now;
	pthread_mutex_unlock(&zap->lock);
	key_roles_fini(&before);
}

int zap_start(void *context, const struct key_roles *roles, struct zap **ret, struct error *reterr)
{
	struct zap *zap = check_calloc(1, sizeof *zap);
	char stop_address[64];
	int rc;

	pthread_mutex_init(&zap->lock, NULL);
	zap->roles = copy_roles(roles);
	snprintf(stop_address, sizeof stop_address, "inproc://zap-stop-%p", (void *)zap);
	zap->requests = zmq_socket(context, ZMQ_REP);
	zap->stop = zmq_socket(context, ZMQ_PAIR);
	zap->stopper = zmq_socket(context, ZMQ_PAIR);
	if (zap->requests == NULL || zap->stop == NULL || zap->stopper == NULL ||
	    zmq_bind(zap->requests, ZAP_ADDRESS) < 0 || zmq_bind(zap->stop, stop_address) < 0 ||
	    zmq_connect(zap->stopper, stop_address) < 0) {
		error_set(reterr, ERR_IO, "the ZAP handler does not start: %s", zmq_strerror(errno));
		destroy(zap);
		return ERR_IO;
	}
	rc = start_thread(zap);
	if (rc != 0) {
		destroy(zap);
		return error_set(reterr, ERR_IO, "the ZAP handler's thread does not start: %s", strerror(rc));
	}
	*ret = zap;
	return 0;
}

void zap_stop(struct zap *zap)
{
	if (zap == NULL)
		return;
	zmq_send(zap->stopper, "", 0, 0);
	pthread_join(zap->thread, NULL);
	destroy(zap);
}

uint64_t zap_refused(const struct zap *zap)
{
	return atomic_load(&((struct zap *)(uintptr_t)zap)->refused);
}
