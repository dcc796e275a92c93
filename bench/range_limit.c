/* The limit of no-op shards: the same number of commits, each a message from a worker's DEALER to a ROUTER, 4
 * KiB written into space that was filled ahead, fdatasync, and an answer; nothing is counted, leased or run.
 * Usage: range-limit FILE COMMITS; prints the seconds that they took. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define BLOCK 4096
#define SPACE (16 << 20)
#define IN_FLIGHT 2

struct probe {
	void *context;
	char address[128];
	long commits;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Reports, always IN_FLIGHT of them: two slots have one each. The commits wait for nobody. */
static void *work(void *arg)
{
	struct probe *p = arg;
	void *socket = zmq_socket(p->context, ZMQ_DEALER);
	char text[64] = {0};

	if (zmq_connect(socket, p->address) < 0)
		die("connect");
	for (long i = 0; i < p->commits + IN_FLIGHT; i++) {
		if (i >= IN_FLIGHT && zmq_recv(socket, text, sizeof text, 0) < 0)
			die("acknowledgement");
		if (i <= p->commits && zmq_send(socket, text, sizeof text, 0) < 0)
			die("report");
	}
	zmq_close(socket);
	return NULL;
}

static void take(void *router, int fd, long i)
{
	static char block[BLOCK];
	char id[16], text[64];
	int id_size = zmq_recv(router, id, sizeof id, 0), size = zmq_recv(router, text, sizeof text, 0);

	if (id_size < 0 || size < 0)
		die("receive");
	memset(block, (int)i + 1, 100);
	if (pwrite(fd, block, BLOCK, (off_t)(i % (SPACE / BLOCK)) * BLOCK) != BLOCK || fdatasync(fd) < 0)
		die("journal");
	if (zmq_send(router, id, (size_t)id_size, ZMQ_SNDMORE) < 0 ||
	    zmq_send(router, text, (size_t)size, 0) < 0)
		die("answer");
}

static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *zeros = calloc(1, SPACE);

	if (fd < 0 || zeros == NULL || write(fd, zeros, SPACE) != SPACE || fsync(fd) < 0)
		die(path);
	free(zeros);
	return fd;
}

int main(int argc, char **argv)
{
	struct probe p = {.context = zmq_ctx_new()};
	size_t size = sizeof p.address;
	pthread_t thread;
	void *router;
	double begun;
	int fd;

	if (argc != 3 || (p.commits = strtol(argv[2], NULL, 10)) <= 0)
		return 2;
	fd = make_file(argv[1]);
	router = zmq_socket(p.context, ZMQ_ROUTER);
	if (zmq_bind(router, "tcp://127.0.0.1:*") < 0 ||
	    zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, p.address, &size) < 0)
		die("bind");
	pthread_create(&thread, NULL, work, &p);
	take(router, fd, 0); /* they have found each other */
	begun = now();
	for (long i = 1; i <= p.commits; i++)
		take(router, fd, i);
	printf("%.6f\n", now() - begun);
	pthread_join(thread, NULL);
	zmq_close(router);
	zmq_ctx_term(p.context);
	return 0;
}
