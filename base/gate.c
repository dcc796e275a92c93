#include "base/gate.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/constants.h"

/* A listener whose peers have to wait is ready all the time: its thread looks again so often. */
#define FULL_PAUSE_NS 500000

/* The cookie tells a connection from a later one with its descriptor. */
struct stranger {
	int fd;
	uint64_t cookie;
	usec_t since_us;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gate_bounds bounds;
static struct stranger strangers[STRANGERS_MAX]; /* the oldest first */
static uint32_t count;
static atomic_uint count_now;
static atomic_ullong no_descriptor, cut;

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

static void forget(uint32_t i)
{
	count--;
	memmove(&strangers[i], &strangers[i + 1], (count - i) * sizeof(*strangers));
	atomic_store(&count_now, count);
}

/* Is there room for another? libzmq closes its sockets in the thread that calls this, so that a descriptor
 * with the right cookie stays the one that it was. */
static bool has_room(void)
{
	struct stranger *s = strangers;

	if (count < bounds.strangers_max || bounds.strangers_max == 0)
		return true;
	for (uint32_t i = count; i-- > 0;)
		if (cookie_of(strangers[i].fd) != strangers[i].cookie)
			forget(i);
	if (count < bounds.strangers_max)
		return true;
	if (clock_mono_us() < s->since_us + bounds.stranger_us)
		return false;
	(void)shutdown(s->fd, SHUT_RDWR);
	atomic_fetch_add(&cut, 1);
	forget(0);
	return true;
}

static int enter(int fd)
{
	if (fd >= bounds.line && bounds.line > 0) {
		atomic_fetch_add(&no_descriptor, 1);
		close(fd);
		errno = ECONNABORTED;
		return -1;
	}
	if (count < bounds.strangers_max) {
		strangers[count++] =
		    (struct stranger){.fd = fd, .cookie = cookie_of(fd), .since_us = clock_mono_us()};
		atomic_store(&count_now, count);
	}
	return fd;
}

static int system_accept(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
	return (int)syscall(SYS_accept4, listener, address, size, flags);
}

/* libzmq's accept4 (glibc declares the name with a type of its own). What libzmq takes for a failure that
 * passes: EAGAIN and ECONNABORTED, but not EMFILE. */
int gate_accept_libzmq(int listener, struct sockaddr *address, socklen_t *size, int flags) __asm__("accept4");

int gate_accept_libzmq(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
	const struct timespec pause = {.tv_nsec = FULL_PAUSE_NS};
	bool room;
	int fd = -1;

	pthread_mutex_lock(&lock);
	room = has_room();
	if (room) {
		fd = system_accept(listener, address, size, flags);
		if (fd >= 0)
			fd = enter(fd);
		else if (errno == EMFILE || errno == ENFILE)
			atomic_fetch_add(&no_descriptor, 1);
	}
	pthread_mutex_unlock(&lock);
	if (fd >= 0 || (room && errno != EMFILE && errno != ENFILE))
		return fd;
	nanosleep(&pause, NULL);
	errno = EAGAIN;
	return -1;
}

int gate_accept(int listener, struct sockaddr *address, socklen_t *size)
{
	return system_accept(listener, address, size, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void gate_open(const struct gate_bounds *b)
{
	CHECK(b->strangers_max > 0 && b->strangers_max <= STRANGERS_MAX);
	/* Whoever builds the program otherwise (linked as a whole, without exported names) learns it here. */
	CHECK(dlsym(RTLD_DEFAULT, "accept4") == (void *)(uintptr_t)gate_accept_libzmq);
	pthread_mutex_lock(&lock);
	bounds = *b;
	pthread_mutex_unlock(&lock);
}

void gate_close(void)
{
	pthread_mutex_lock(&lock);
	bounds = (struct gate_bounds){0};
	count = 0;
	atomic_store(&count_now, 0);
	pthread_mutex_unlock(&lock);
}

void gate_heard(int fd)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < count; i++) {
		if (strangers[i].fd == fd) {
			forget(i);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

bool gate_has_strangers(void)
{
	return atomic_load_explicit(&count_now, memory_order_relaxed) > 0;
}

void gate_counters(struct gate_counters *ret)
{
	*ret = (struct gate_counters){.no_descriptor = atomic_load(&no_descriptor),
				      .cut = atomic_load(&cut),
				      .strangers = atomic_load(&count_now)};
}
