/* Posts the lines of a file as events over connections to the API's Unix socket, one request at a time on
 * each. Usage: post-events SOCKET FILE CONNECTIONS BATCH, where BATCH is how many lines make one body; prints
 * the seconds from the first request to the last answer. All bodies are made before. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define ANSWER_MAX (4u << 20)

struct request {
	char *text;
	size_t size;
};

struct connection {
	char *answer;
	size_t size;
};

static struct request *requests;
static size_t request_count;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		fail(path);
	return fd;
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	struct stat st;
	char *text;

	if (f == NULL || fstat(fileno(f), &st) < 0)
		fail(path);
	text = calloc(1, (size_t)st.st_size + 1);
	if (text == NULL || fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		fail(path);
	fclose(f);
	return text;
}

/* A body of so many lines; returns what is behind them. */
static char *make_request(char *text, long batch)
{
	struct request *r = &requests[request_count++];
	char *body = NULL, *whole = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&body, &size);

	for (long n = 0; n < batch && *text != '\0'; n++) {
		char *end = strchr(text, '\n');

		*end = '\0';
		fprintf(out, "%s%s", n > 0 ? "," : batch > 1 ? "[" : "", text);
		text = end + 1;
	}
	fprintf(out, "%s", batch > 1 ? "]" : "");
	fclose(out);
	out = open_memstream(&whole, &r->size);
	fprintf(out,
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
		"%zu\r\n\r\n%s",
		size, body);
	fclose(out);
	free(body);
	r->text = whole;
	return text;
}

static void put(int fd, const struct request *r)
{
	size_t at = 0;

	while (at < r->size) {
		ssize_t n = write(fd, r->text + at, r->size - at);

		if (n <= 0)
			fail("write");
		at += (size_t)n;
	}
}

/* True: the answer is whole, and was a good one. */
static int take(int fd, struct connection *c)
{
	ssize_t n = read(fd, c->answer + c->size, ANSWER_MAX - c->size);
	const char *behind, *length;

	if (n <= 0)
		fail("read");
	c->size += (size_t)n;
	c->answer[c->size] = '\0';
	behind = strstr(c->answer, "\r\n\r\n");
	length = strcasestr(c->answer, "content-length:");
	if (behind == NULL || length == NULL ||
	    c->size < (size_t)(behind + 4 - c->answer) + strtoul(length + 15, NULL, 10))
		return 0;
	if (strncmp(c->answer, "HTTP/1.1 20", 11) != 0) {
		fprintf(stderr, "%.300s\n", c->answer);
		exit(1);
	}
	c->size = 0;
	return 1;
}

static void run(struct pollfd *fds, struct connection *connections, long count)
{
	size_t next = 0, answered = 0;

	for (long i = 0; i < count && next < request_count; i++)
		put(fds[i].fd, &requests[next++]);
	while (answered < request_count) {
		if (poll(fds, (nfds_t)count, -1) < 0)
			fail("poll");
		for (long i = 0; i < count; i++) {
			if (fds[i].revents == 0 || !take(fds[i].fd, &connections[i]))
				continue;
			answered++;
			if (next < request_count)
				put(fds[i].fd, &requests[next++]);
		}
	}
}

int main(int argc, char **argv)
{
	long count = argc == 5 ? strtol(argv[3], NULL, 10) : 0,
	     batch = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
	static struct connection connections[CONNECTIONS_MAX];
	static struct pollfd fds[CONNECTIONS_MAX];
	struct timespec begun, ended;
	char *text;

	if (count <= 0 || count > CONNECTIONS_MAX || batch <= 0)
		return 2;
	text = read_file(argv[2]);
	requests = calloc(strlen(text) / 20 + 2, sizeof *requests);
	while (*text != '\0')
		text = make_request(text, batch);
	for (long i = 0; i < count; i++) {
		fds[i] = (struct pollfd){connect_to(argv[1]), POLLIN, 0};
		connections[i].answer = malloc(ANSWER_MAX + 1);
	}
	clock_gettime(CLOCK_MONOTONIC, &begun);
	run(fds, connections, count);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("%.6f\n",
	       (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9);
	return 0;
}
