/* A shard that looks where it runs: its own cores and memory policy, its slot's thread and worker, and the
 * node of each page of its buffers. One line of NAME=VALUE on stdout.
 *
 * numa_probe DIR COUNT: before it looks, it waits (for 60 s at most) until COUNT of its kind stand in DIR,
 * so that each has a slot of its own. get_mempolicy(2), move_pages(2), numa_maps in proc(5). */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <dirent.h>
#include <linux/mempolicy.h>

#define PAGE ((size_t)4096)
#define BUFFER_BYTES ((size_t)8 << 20)
#define NODES 8
#define WAIT_SECONDS 60

static unsigned char zeroed[BUFFER_BYTES];
static unsigned char initialised[64 * 4096] = {1};

static unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;)
		count += d->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return count;
}

static void await_others(const char *path, unsigned count)
{
	const struct timespec nap = {0, 10 * 1000 * 1000};
	time_t end = time(NULL) + WAIT_SECONDS;
	char mine[300];
	int fd;

	snprintf(mine, sizeof mine, "%s/%d", path, (int)getpid());
	fd = open(mine, O_CREAT | O_WRONLY, 0600);
	if (fd >= 0)
		close(fd);
	while (entries(path) < count && time(NULL) < end)
		nanosleep(&nap, NULL);
}

/* Cpus_allowed_list of a thread. */
static void print_cpus(const char *name, const char *status)
{
	FILE *f = fopen(status, "r");
	char line[300], list[200] = "?";

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "Cpus_allowed_list: %199s", list) == 1)
			break;
	if (f != NULL)
		fclose(f);
	printf(" %s=%s", name, list);
}

/* The directory of an attempt is slot-N.M, its slot's thread is called slot-N. */
static void print_slot(pid_t worker)
{
	char here[4096], tasks[64], path[400], name[64], wanted[64] = "";
	const char *last = getcwd(here, sizeof here) != NULL ? strrchr(here, '/') : NULL;
	DIR *dir;

	if (last != NULL)
		snprintf(wanted, sizeof wanted, "%.*s", (int)strcspn(last + 1, "."), last + 1);
	snprintf(tasks, sizeof tasks, "/proc/%d/task", (int)worker);
	dir = opendir(tasks);
	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
		FILE *f;

		snprintf(path, sizeof path, "%s/%.20s/comm", tasks, d->d_name);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		if (fgets(name, sizeof name, f) != NULL && (name[strcspn(name, "\n")] = '\0', 1) &&
		    strcmp(name, wanted) == 0) {
			snprintf(path, sizeof path, "%s/%.20s/status", tasks, d->d_name);
			print_cpus("slot_cpus", path);
		}
		fclose(f);
	}
	if (dir != NULL)
		closedir(dir);
}

static void print_policy(void)
{
	unsigned long mask[16] = {0};
	int mode = -1;

	if (syscall(SYS_get_mempolicy, &mode, mask, sizeof mask * 8, NULL, 0UL) != 0)
		mode = -1;
	printf(" policy=%s:%lu",
	       mode == MPOL_BIND      ? "bind"
	       : mode == MPOL_DEFAULT ? "default"
				      : "other",
	       mask[0]);
}

static void count_pages(const unsigned char *from, size_t size, unsigned long nodes[NODES],
			unsigned long *unknown)
{
	size_t count = size / PAGE;
	void **pages = calloc(count, sizeof *pages);
	int *status = calloc(count, sizeof *status);
	uintptr_t first = ((uintptr_t)from + PAGE - 1) / PAGE * PAGE;

	for (size_t i = 0; i < count; i++)
		pages[i] = (void *)(first + i * PAGE);
	if (syscall(SYS_move_pages, 0, count, pages, NULL, status, 0) != 0)
		memset(status, 0xff, count * sizeof *status);
	for (size_t i = 0; i < count; i++)
		if (status[i] >= 0 && status[i] < NODES)
			nodes[status[i]]++;
		else
			++*unknown;
	free(pages);
	free(status);
}

static void print_buffers(void)
{
	unsigned long nodes[NODES] = {0}, unknown = 0;
	unsigned char stack[65 * 4096], *heap = malloc(BUFFER_BYTES + PAGE);
	unsigned char *mapped =
	    mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *shared =
	    mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (heap == NULL || mapped == MAP_FAILED || shared == MAP_FAILED)
		exit(1);
	memset(heap, 1, BUFFER_BYTES + PAGE);
	memset(mapped, 2, BUFFER_BYTES);
	memset(shared, 3, BUFFER_BYTES);
	memset(zeroed, 4, sizeof zeroed);
	memset(initialised, 5, sizeof initialised);
	memset(stack, 6, sizeof stack);
	count_pages(heap, BUFFER_BYTES, nodes, &unknown);
	count_pages(mapped, BUFFER_BYTES, nodes, &unknown);
	count_pages(shared, BUFFER_BYTES, nodes, &unknown);
	count_pages(zeroed, sizeof zeroed - PAGE, nodes, &unknown);
	count_pages(initialised, sizeof initialised - PAGE, nodes, &unknown);
	count_pages(stack, sizeof stack - PAGE, nodes, &unknown);
	printf(" pages_node0=%lu pages_node1=%lu pages_elsewhere=%lu", nodes[0], nodes[1],
	       unknown + nodes[2] + nodes[3] + nodes[4] + nodes[5] + nodes[6] + nodes[7]);
}

/* What is the worker's alone: heap, stacks, anonymous mappings. */
static void print_worker_pages(pid_t worker)
{
	unsigned long nodes[2] = {0};
	char path[64], line[1024];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/numa_maps", (int)worker);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		for (int node = 0; node < 2 && strstr(line, "file=") == NULL; node++) {
			const char *at = strstr(line, node == 0 ? " N0=" : " N1=");

			nodes[node] += at != NULL ? strtoul(at + 4, NULL, 10) : 0;
		}
	if (f != NULL)
		fclose(f);
	printf(" worker_node0=%lu worker_node1=%lu", nodes[0], nodes[1]);
}

/* The worker: above the process that starts attempts, and the one that started that. */
static pid_t find_worker(void)
{
	char path[64], line[300], name[64];
	pid_t pid = getppid();

	while (pid > 1) {
		int parent = 0;
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
		f = fopen(path, "r");
		name[0] = '\0';
		while (f != NULL && fgets(line, sizeof line, f) != NULL) {
			sscanf(line, "Name: %63s", name);
			sscanf(line, "PPid: %d", &parent);
		}
		if (f != NULL)
			fclose(f);
		if (strcmp(name, "shardmill-worke") == 0)
			return pid;
		pid = parent;
	}
	return getppid();
}

int main(int argc, char **argv)
{
	const char *shard = getenv("SHARDMILL_SHARD");
	unsigned cpu = 0, node = 0;
	char path[64];
	pid_t worker = find_worker();

	if (argc != 3)
		return 2;
	await_others(argv[1], (unsigned)atoi(argv[2]));
	syscall(SYS_getcpu, &cpu, &node, NULL);
	printf("probe shard=%s node=%u", shard != NULL ? shard : "?", node);
	print_cpus("cpus", "/proc/self/status");
	snprintf(path, sizeof path, "/proc/%d/status", (int)worker);
	print_cpus("worker_cpus", path);
	print_slot(worker);
	print_policy();
	print_buffers();
	print_worker_pages(worker);
	printf("\n");
	return 0;
}
