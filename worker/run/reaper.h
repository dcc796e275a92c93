/* A reaper: a small process that starts attempts one after the other, and keeps what they start below itself.
 *
 * It is a subreaper, so a process whose parent has ended becomes its child, whatever session, group or
 * environment that process has made for itself. An attempt has ended when its first process has ended and the
 * reaper has killed and reaped all the others. When the worker ends, by kill -9 too, the reaper's socket is
 * closed; it then does the same and ends. It is forked by the nursery (worker/run/nursery.h) and talks to one
 * slot's thread (worker/run/process.h). */
#pragma once

/* Serves the socket until the other end is closed. group_fd: of the control group that it is in
 * (worker/machine/groups.h), or -1. SIGCHLD is blocked, as are all other signals. */
_Noreturn void reaper_main(int socket_fd, int group_fd);
