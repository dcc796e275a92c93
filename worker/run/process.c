#include "worker/run/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "worker/run/reaper_protocol.h"

static int try_executable(const char *path, struct error *reterr)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set(reterr, ERR_NOT_FOUND, "no program `%s`: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode) || access(path, X_OK) < 0)
		return error_set(reterr, ERR_DENIED, "`%s` is there, but cannot be executed", path);
	return 0;
}

int process_find(const char *name, char *ret, size_t size, struct error *reterr)
{
	const char *dirs = getenv("PATH");
	int found = ERR_NOT_FOUND;

	if (strchr(name, '/') != NULL) {
		if ((size_t)snprintf(ret, size, "%s", name) >= size)
			return error_set(reterr, ERR_LIMIT, "the program's path is longer than %zu bytes",
					 size);
		return try_executable(name, reterr);
	}
	if (dirs == NULL || dirs[0] == '\0')
		dirs = "/usr/local/bin:/usr/bin:/bin";
	for (const char *end; found != 0 && *dirs != '\0'; dirs = *end ? end + 1 : end) {
		int rc;

		end = strchrnul(dirs, ':');
		if ((size_t)snprintf(ret, size, "%.*s/%s", (int)(end - dirs), dirs, name) >= size)
			continue;
		rc = try_executable(ret, reterr);
		if (rc == 0 || rc == ERR_DENIED)
			found = rc;
		if (rc == 0)
			return 0;
	}
	if (found == ERR_NOT_FOUND) {
		error_set(reterr, ERR_NOT_FOUND, "no program `%s` in the worker's PATH", name);
		error_help(reterr, "install it on this machine, or give its path in `exec`");
	}
	return found;
}

/* ---- the reaper's socket ---- */

static void disconnect(struct reaper *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* Descriptors go with the first byte. */
static bool send_request(struct reaper *r, struct reaper_request *q, const void *text,
			 const int fds[REAPER_FDS])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(REAPER_FDS * sizeof(int))] = {0};
	struct iovec parts[2] = {{q, sizeof *q}, {(void *)(uintptr_t)text, q->bytes}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control};
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	size_t count = 0, sent = 0, all = sizeof *q + q->bytes;

	for (int i = 0; fds != NULL && i < REAPER_FDS; i++)
		if (fds[i] > 0) {
			q->fds |= 1u << i;
			memcpy(CMSG_DATA(c) + count++ * sizeof(int), &fds[i], sizeof(int));
		}
	if (count > 0) {
		*c = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	while (sent < all) {
		ssize_t n = sendmsg(r->fd, &m, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		sent += (size_t)n;
		m.msg_controllen = 0;
		if (sent < sizeof *q)
			parts[0] = (struct iovec){(uint8_t *)q + sent, sizeof *q - sent};
		else {
			parts[0].iov_len = 0;
			parts[1] =
			    (struct iovec){(uint8_t *)(uintptr_t)text + (sent - sizeof *q), all - sent};
		}
	}
	return true;
}

static bool receive_reply(struct reaper *r, struct reaper_reply *ret)
{
	ssize_t got;

	do
		got = recv(r->fd, ret, sizeof *ret, MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof *ret;
}

void reaper_bind_as_caller(struct reaper *r)
{
	struct reaper_binding b = {.policy = -1};
	struct reaper_request q = {.kind = REAPER_BIND, .bytes = sizeof b};
	int policy;

	if (r->fd < 0)
		return;
	(void)syscall(SYS_sched_getaffinity, 0, sizeof b.cpus, b.cpus); /* all zero when it fails */
	if (syscall(SYS_get_mempolicy, &policy, b.nodes, 8 * sizeof b.nodes, NULL, 0) == 0)
		b.policy = policy;
	(void)send_request(r, &q, &b, NULL); /* a reaper that has ended is met at the next start */
}

static int connect_reaper(struct reaper *r, struct error *reterr)
{
	int rc;

	if (r->fd >= 0)
		return 0;
	rc = nursery_reaper(r->nursery, &r->fd, reterr);
	if (rc == 0)
		reaper_bind_as_caller(r);
	return rc;
}

void reaper_init(struct reaper *r, const struct nursery *n)
{
	*r = (struct reaper){.nursery = n, .fd = -1};
}

void reaper_fini(struct reaper *r)
{
	disconnect(r);
	buf_fini(&r->text);
}

/* ---- processes ---- */

static uint32_t put_list(struct buf *to, char *const *list)
{
	uint32_t count = 0;

	for (; list[count] != NULL; count++)
		buf_append(to, list[count], strlen(list[count]) + 1);
	return count;
}

static void put_spec(struct reaper *r, const struct process_spec *spec, struct reaper_request *q)
{
	const char *directory = spec->directory != NULL ? spec->directory : "";

	buf_clear(&r->text);
	buf_append(&r->text, spec->path, strlen(spec->path) + 1);
	buf_append(&r->text, directory, strlen(directory) + 1);
	*q = (struct reaper_request){.kind = REAPER_START,
				     .has_directory = spec->directory != NULL,
				     .file_bytes_max = spec->file_bytes_max,
				     .data_bytes_max = spec->data_bytes_max,
				     .patience_us = spec->patience_us};
	q->argc = put_list(&r->text, spec->argv);
	q->envc = put_list(&r->text, spec->envp);
	q->bytes = r->text.size;
}

static void take_end(struct process *p, const struct reaper_reply *reply)
{
	if (reply->left) {
		log_warn("processes of an attempt cannot be ended", log_i64("leader", p->pid));
		disconnect(p->reaper); /* it goes on trying */
	}
	p->has_ended = true;
	p->end_fd = -1;
	p->end = (struct process_end){.exited = WIFEXITED(reply->status), .usage = reply->usage};
	p->end.code = p->end.exited ? WEXITSTATUS(reply->status) : WTERMSIG(reply->status);
}

int process_start(struct reaper *r, const struct process_spec *spec, struct process *ret, int *ret_errno,
		  struct error *reterr)
{
	const int fds[REAPER_FDS] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd, spec->cgroup_fd,
				     spec->cgroup_dir_fd};
	struct reaper_reply reply;
	struct reaper_request q;
	bool heard = false;

	put_spec(r, spec, &q);
	for (int tries = 0; !heard && tries < 2; tries++) { /* one that was killed is replaced */
		int rc = connect_reaper(r, reterr);

		*ret_errno = EAGAIN;
		if (rc < 0)
			return rc;
		q.fds = 0;
		heard = send_request(r, &q, r->text.data, fds) && receive_reply(r, &reply);
		if (!heard)
			disconnect(r);
	}
	if (heard && reply.kind != REAPER_NOT_STARTED) {
		*ret = (struct process){
		    .reaper = r, .pid = reply.pid, .end_fd = r->fd, .has_ended = reply.kind == REAPER_ENDED};
		if (ret->has_ended)
			take_end(ret, &reply);
		return 0;
	}
	if (heard) {
		*ret_errno = reply.code;
		error_set(reterr, ERR_IO, "cannot %s: %s", reply.step, strerror(reply.code));
	} else {
		error_set(reterr, ERR_IO, "cannot start it: the worker's process for that ends at once");
	}
	return error_where(reterr, "%s", spec->path);
}

void process_wait(struct process *p, struct process_end *ret)
{
	struct reaper_reply reply;

	/* A reaper that was killed is replaced at the next start; the nursery ends what was below it. */
	if (!p->has_ended && !receive_reply(p->reaper, &reply)) {
		reply = (struct reaper_reply){.pid = p->pid, .status = SIGKILL};
		disconnect(p->reaper);
	}
	if (!p->has_ended)
		take_end(p, &reply);
	*ret = p->end;
}

void process_signal(const struct process *p, int sig)
{
	struct reaper_request q = {.kind = REAPER_SIGNAL, .signal = sig};

	(void)send_request(p->reaper, &q, NULL, NULL);
}
