/* Submits many one-shard jobs over the API's Unix socket on one connection, pipelined: what a burst of
 * events looks like to the dispatcher. Usage: submit-many SOCKET COUNT [FILE [RATE]], where FILE holds the
 * body of POST /v1/jobs; default: a command that is /bin/true. RATE: so many a second, not as fast as it
 * goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 64

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static char body[4096] = "{\"command\":{\"argv\":[\"/bin/true\"],\"name\":\"one\"}}";

static void read_body(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t size = f == NULL ? 0 : fread(body, 1, sizeof body - 1, f);

	if (size == 0) {
		perror(path);
		exit(1);
	}
	body[size] = '\0';
	fclose(f);
}

static void put(int fd)
{
	char text[sizeof body + 512];
	int n = snprintf(text, sizeof text,
			 "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: "
			 "application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 strlen(body), body);

	if (write(fd, text, (size_t)n) != n)
		exit(1);
}

/* Reads one answer whole; false when it is not 201. */
static int take(FILE *in)
{
	char line[1024], answer[4096];
	size_t length = 0;
	int status = 0;

	if (fgets(line, sizeof line, in) == NULL || sscanf(line, "HTTP/1.1 %d", &status) != 1)
		return 0;
	while (fgets(line, sizeof line, in) != NULL && strcmp(line, "\r\n") != 0)
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			length = strtoul(line + 15, NULL, 10);
	if (length >= sizeof answer || fread(answer, 1, length, in) != length)
		return 0;
	answer[length] = '\0';
	if (status != 201)
		fprintf(stderr, "%d %s\n", status, answer);
	return status == 201;
}

/* Sleeps until the n-th of them is due. */
static void wait_for_turn(const struct timespec *began, long n, long rate)
{
	long long ns = began->tv_nsec + n % rate * 1000000000LL / rate;
	struct timespec due = {began->tv_sec + n / rate + ns / 1000000000LL, ns % 1000000000LL};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
		;
}

int main(int argc, char **argv)
{
	int fds[IN_FLIGHT];
	FILE *in[IN_FLIGHT];
	long count = argc >= 3 && argc <= 5 ? strtol(argv[2], NULL, 10) : 0;
	long rate = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
	struct timespec began;

	if (count <= 0 || rate < 0)
		return 2;
	if (argc >= 4)
		read_body(argv[3]);
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (int i = 0; i < IN_FLIGHT; i++) {
		fds[i] = connect_to(argv[1]);
		in[i] = fdopen(fds[i], "r");
	}
	for (long sent = 0, taken = 0; taken < count; taken++) {
		while (sent < count && sent - taken < IN_FLIGHT) {
			if (rate > 0)
				wait_for_turn(&began, sent, rate);
			put(fds[sent++ % IN_FLIGHT]);
		}
		if (!take(in[taken % IN_FLIGHT]))
			return 1;
	}
	return 0;
}
