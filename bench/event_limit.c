/* The limit of an event's way: a client's DEALER, a ROUTER that writes 4 KiB into preallocated space and
 * syncs it, a worker's DEALER that spawns a program, which says when it began (stamp.c).
 * Usage: event-limit STAMP FILE ROUNDS; prints the nanoseconds from send to start, a line each. */
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define ADDRESS "tcp://127.0.0.1:*"
#define SPACE (64 << 20)

extern char **environ;

struct probe {
	void *context;
	void *router;
	char address[128];
	const char *stamp;
	int fd;
	long rounds;
	int pipe[2];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (long long)t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void *dispatch(void *arg)
{
	struct probe *p = arg;
	static char block[4096];
	char id[16], worker[16], text[64];
	int worker_size = zmq_recv(p->router, worker, sizeof worker, 0);

	zmq_recv(p->router, text, sizeof text, 0);
	for (long i = 0; i < p->rounds; i++) {
		zmq_recv(p->router, id, sizeof id, 0);
		zmq_recv(p->router, text, sizeof text, 0);
		if (pwrite(p->fd, block, sizeof block, (off_t)(i % (SPACE / 4096)) * 4096) != sizeof block ||
		    fdatasync(p->fd) < 0)
			die("journal");
		zmq_send(p->router, worker, (size_t)worker_size, ZMQ_SNDMORE);
		zmq_send(p->router, "run", 3, 0);
	}
	return NULL;
}

static void *work(void *arg)
{
	struct probe *p = arg;
	void *socket = zmq_socket(p->context, ZMQ_DEALER);
	posix_spawn_file_actions_t actions;
	char *argv[] = {(char *)(size_t)p->stamp, NULL}, text[64];

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, p->pipe[1], 1);
	if (zmq_connect(socket, p->address) < 0)
		die("connect");
	zmq_send(socket, "ready", 5, 0);
	for (long i = 0; i < p->rounds; i++) {
		pid_t pid;

		zmq_recv(socket, text, sizeof text, 0);
		if (posix_spawn(&pid, p->stamp, &actions, NULL, argv, environ) != 0)
			die("spawn");
		waitpid(pid, NULL, 0);
	}
	zmq_close(socket);
	return NULL;
}

static void open_all(struct probe *p, const char *file)
{
	size_t size = sizeof p->address;
	char *zeros = calloc(1, 1 << 20);

	p->fd = open(file, O_RDWR | O_CREAT, 0600);
	for (int i = 0; i < SPACE >> 20; i++)
		if (write(p->fd, zeros, 1 << 20) != 1 << 20)
			die("file");
	fsync(p->fd);
	free(zeros);
	p->context = zmq_ctx_new();
	p->router = zmq_socket(p->context, ZMQ_ROUTER);
	if (zmq_bind(p->router, ADDRESS) < 0 || pipe(p->pipe) < 0)
		die("bind");
	zmq_getsockopt(p->router, ZMQ_LAST_ENDPOINT, p->address, &size);
}

int main(int argc, char **argv)
{
	struct probe p = {0};
	pthread_t threads[2];
	void *client;

	if (argc != 4)
		return 2;
	p.stamp = argv[1];
	p.rounds = strtol(argv[3], NULL, 10);
	open_all(&p, argv[2]);
	pthread_create(&threads[0], NULL, dispatch, &p);
	pthread_create(&threads[1], NULL, work, &p);
	client = zmq_socket(p.context, ZMQ_DEALER);
	if (zmq_connect(client, p.address) < 0)
		die("connect");
	usleep(200000); /* the worker is the first to speak */
	for (long i = 0; i < p.rounds; i++) {
		long long sent = wall_ns();
		char text[64];
		ssize_t got;

		zmq_send(client, "event", 5, 0);
		got = read(p.pipe[0], text, sizeof text - 1);
		if (got <= 0)
			die("stamp");
		text[got] = '\0';
		printf("%lld\n", strtoll(text, NULL, 10) - sent);
		usleep(2000);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	zmq_close(client);
	zmq_close(p.router);
	zmq_ctx_term(p.context);
	return 0;
}
