#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/procfs.h"

#define LOG_VARIABLE "SHARDMILL_LOG_PATH"
#define BOOT_PATH "/proc/sys/kernel/random/boot_id"
#define PATH_BYTES 4096

/* What a child that could not become its program tells through a pipe. */
struct failure {
	int code;
	char step[48];
};

/* 0 when there is no such process, or it is a corpse that nobody has taken away. */
static uint64_t start_time(pid_t pid)
{
	char path[64], text[1024], state;
	unsigned long long started;
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (procfs_read(path, text, sizeof text) == 0)
		return 0;
	at = strrchr(text, ')'); /* the name may hold anything, blanks and parentheses too */
	if (at == NULL ||
	    sscanf(at + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		   &state, &started) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : started;
}

static void read_boot(char text[64])
{
	procfs_read(BOOT_PATH, text, 64);
	text[strcspn(text, "\n")] = '\0';
}

/* ---- start ---- */

static int write_record(const char *path, const char *temporary, const char *note)
{
	char text[CHILD_RECORD_BYTES_MAX], boot[64];
	int length, fd;
	bool good;

	read_boot(boot);
	length = snprintf(text, sizeof text, "boot: %s\npid: %d\nstarted: %llu\n%s", boot, (int)getpid(),
			  (unsigned long long)start_time(getpid()), note != NULL ? note : "");
	if (length >= (int)sizeof text) {
		errno = EMSGSIZE;
		return -1;
	}
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	good = write(fd, text, (size_t)length) == length;
	close(fd);
	return good ? rename(temporary, path) : -1;
}

static bool place_streams(const struct child_spec *s)
{
	int null = open("/dev/null", O_RDWR), log = -1;

	if (null < 0 || dup2(null, 0) < 0)
		return false;
	if (s->log_path == NULL)
		return true;
	log = open(s->log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0644);
	return log >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0;
}

/* Its environment, and what its log is called. */
static char *const *with_log(const struct child_spec *s)
{
	static char line[PATH_BYTES];
	size_t count = 0, kept = 0;
	char **envp;

	while (s->envp[count] != NULL)
		count++;
	envp = check_calloc(count + 2, sizeof *envp);
	for (size_t i = 0; i < count; i++)
		if (strncmp(s->envp[i], LOG_VARIABLE "=", strlen(LOG_VARIABLE "=")) != 0)
			envp[kept++] = s->envp[i];
	if ((size_t)snprintf(line, sizeof line, LOG_VARIABLE "=%s", s->log_path) < sizeof line)
		envp[kept] = line;
	return envp;
}

void child_reopen_log(void)
{
	const char *path = getenv(LOG_VARIABLE);
	int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC, 0644) : -1;

	if (fd < 0)
		return; /* it goes on in the one that it has */
	(void)!dup2(fd, STDOUT_FILENO);
	(void)!dup2(fd, STDERR_FILENO);
	close(fd);
}

/* In the forked child. Only returns what went wrong. */
static const char *become(const struct child_spec *s, const char *temporary)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!place_streams(s))
		return "open its log";
	if (s->record_path != NULL && write_record(s->record_path, temporary, s->note) < 0)
		return "write its record";
	execve(s->program, s->argv, s->log_path != NULL ? with_log(s) : s->envp);
	return "start it";
}

static _Noreturn void child_main(const struct child_spec *s, const char *temporary, int pipe_fd)
{
	struct failure f = {0};
	ssize_t done;

	/* Ours are close-on-exec; what libraries opened is made so. The pipe's end is closed by exec. */
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	snprintf(f.step, sizeof f.step, "%s", become(s, temporary));
	f.code = errno;
	done = write(pipe_fd, &f, sizeof f);
	(void)done;
	_exit(127);
}

static int fork_child(const struct child_spec *s, const char *temporary, struct failure *f, pid_t *ret)
{
	int ends[2];
	ssize_t got;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		child_main(s, temporary, ends[1]);
	close(ends[1]);
	do
		got = pid > 0 ? read(ends[0], f, sizeof *f) : 0;
	while (got < 0 && errno == EINTR);
	close(ends[0]);
	if (pid < 0)
		return -1;
	if (got == (ssize_t)sizeof *f)
		waitpid(pid, NULL, 0);
	*ret = pid;
	return 0;
}

static void put_aside(const char *log_path)
{
	char aside[PATH_BYTES];
	struct stat st;

	if (stat(log_path, &st) == 0 && st.st_size > CHILD_LOG_BYTES_MAX &&
	    (size_t)snprintf(aside, sizeof aside, "%s.1", log_path) < sizeof aside)
		(void)rename(log_path, aside);
}

int child_start(const struct child_spec *spec, struct child *ret, struct error *reterr)
{
	struct child c = {.pidfd = -1, .ours = true};
	struct failure f = {.step = "make a process"};
	char temporary[PATH_BYTES] = "";

	if (spec->record_path != NULL &&
	    (size_t)snprintf(temporary, sizeof temporary, "%s.tmp", spec->record_path) >= sizeof temporary)
		return error_set(reterr, ERR_LIMIT, "the path of its record is too long");
	if (spec->log_path != NULL)
		put_aside(spec->log_path);
	if (fork_child(spec, temporary, &f, &c.pid) < 0)
		f.code = errno;
	if (f.code == 0) {
		c.started = start_time(c.pid); /* 0: it has ended already; pidfd says so too */
		c.pidfd = pidfd_open(c.pid, 0);
		if (c.pidfd < 0) {
			f.code = errno;
			kill(c.pid, SIGKILL);
			waitpid(c.pid, NULL, 0);
		}
	}
	if (f.code == 0) {
		*ret = c;
		return 0;
	}
	if (spec->record_path != NULL) {
		unlink(temporary);
		unlink(spec->record_path);
	}
	error_set(reterr, f.code == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot %s: %s", f.step,
		  strerror(f.code));
	return error_where(reterr, "%s", spec->program);
}

/* ---- find again ---- */

int child_open(pid_t pid, uint64_t started, struct child *ret, struct error *reterr)
{
	struct child c = {.pid = pid, .pidfd = pid > 0 ? pidfd_open(pid, 0) : -1};

	/* First hold it, then ask who it is: the id cannot change hands in between. */
	if (c.pidfd >= 0)
		c.started = start_time(pid);
	if (c.started == 0 || (started != 0 && started != c.started)) {
		child_close(&c);
		return error_set(reterr, ERR_NOT_FOUND, "process %d has ended", (int)pid);
	}
	*ret = c;
	return 0;
}

int child_adopt(const char *record_path, struct child *ret, struct buf *ret_note, struct error *reterr)
{
	char boot[64], said_boot[64];
	unsigned long long started;
	struct buf text = {0};
	int rc = fs_read_file(record_path, CHILD_RECORD_BYTES_MAX, &text, reterr), pid, end = 0;

	if (rc == 0 && (sscanf(buf_text(&text), "boot: %63[^\n]\npid: %d\nstarted: %llu%n", said_boot, &pid,
			       &started, &end) != 3 ||
			buf_text(&text)[end] != '\n')) {
		error_set(reterr, ERR_CORRUPT, "expected a process's record (boot, pid, started)");
		rc = error_where(reterr, "%s", record_path);
	}
	if (rc == 0 && ret_note != NULL)
		buf_append(ret_note, buf_text(&text) + end + 1, text.size - (size_t)end - 1);
	buf_fini(&text);
	if (rc < 0)
		return rc;
	read_boot(boot);
	if (strcmp(boot, said_boot) != 0 || started == 0)
		return error_set(reterr, ERR_NOT_FOUND, "process %d has ended", pid);
	return child_open(pid, started, ret, reterr);
}

int child_note(const char *record_path, const struct child *c, const char *note, struct error *reterr)
{
	struct buf text = {0};
	char boot[64];
	int rc;

	read_boot(boot);
	buf_printf(&text, "boot: %s\npid: %d\nstarted: %llu\n%s", boot, (int)c->pid,
		   (unsigned long long)c->started, note);
	rc = fs_write_file(record_path, buf_bytes(&text), 0600, reterr);
	buf_fini(&text);
	return rc;
}

/* ---- ends ---- */

bool child_reap(struct child *c, struct child_end *ret)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	struct child_end end = {0};
	int status;

	if (c->pidfd >= 0 && poll(&p, 1, 0) <= 0)
		return false;
	if (c->ours && waitpid(c->pid, &status, WNOHANG) == c->pid) {
		end.known = true;
		end.exited = WIFEXITED(status);
		end.code = end.exited ? WEXITSTATUS(status) : WTERMSIG(status);
	}
	c->ours = false;
	*ret = end;
	return true;
}

void child_signal(const struct child *c, int signo)
{
	if (c->pidfd >= 0)
		(void)pidfd_send_signal(c->pidfd, signo, NULL, 0);
}

void child_close(struct child *c)
{
	if (c->pidfd >= 0)
		close(c->pidfd);
	*c = (struct child){.pidfd = -1};
}

const char *child_end_text(const struct child_end *end, char *buf, size_t size)
{
	if (!end->known)
		snprintf(buf, size, "unknown");
	else if (end->exited)
		snprintf(buf, size, "exit code %d", end->code);
	else
		snprintf(buf, size, "signal %d (%s)", end->code, strsignal(end->code));
	return buf;
}

/* ---- programs ---- */

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool find_in_path(const char *name, char *ret, size_t size)
{
	const char *dirs = getenv("PATH");

	for (const char *end; dirs != NULL && *dirs != '\0'; dirs = *end ? end + 1 : end) {
		end = strchrnul(dirs, ':');
		if ((size_t)snprintf(ret, size, "%.*s/%s", (int)(end - dirs), dirs, name) < size &&
		    is_program(ret))
			return true;
	}
	return false;
}

int child_find_program(const char *name, const char *folder, char *ret, size_t size, struct error *reterr)
{
	char own[PATH_BYTES], found[PATH_BYTES + 256];
	ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
	bool good = false;
	char *slash;

	own[length > 0 ? length : 0] = '\0';
	slash = strrchr(own, '/');
	if (slash != NULL) {
		*slash = '\0';
		snprintf(found, sizeof found, "%s/%s", own, name);
		good = is_program(found);
	}
	if (!good && slash != NULL) {
		snprintf(found, sizeof found, "%s/../%s/%s", own, folder, name);
		good = is_program(found);
	}
	if (!good)
		good = find_in_path(name, found, sizeof found);
	if (good && strlen(found) < size) {
		memcpy(ret, found, strlen(found) + 1);
		return 0;
	}
	error_set(reterr, ERR_NOT_FOUND, "no program %s: neither in %s nor in PATH", name,
		  slash != NULL ? own : "our own folder");
	error_help(reterr, "install it beside this one");
	return ERR_NOT_FOUND;
}
