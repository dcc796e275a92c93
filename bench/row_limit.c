/* The limit of a queued job's memory: a bare array of what cannot be done without. Usage: row-limit COUNT;
 * prints resident bytes of each. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct row {
	uint64_t id, key_hash;
	int64_t accepted_us;
	uint32_t definition;
	int32_t priority;
};

static long resident_bytes(void)
{
	long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%ld %ld", &size, &resident) != 2)
		exit(1);
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0, before = resident_bytes();
	struct row *rows;

	if (count <= 0)
		return 2;
	rows = malloc((size_t)count * sizeof *rows);
	if (rows == NULL)
		return 1;
	for (long i = 0; i < count; i++)
		rows[i] =
		    (struct row){.id = (uint64_t)i + 1, .key_hash = (uint64_t)i * 11400714819323198485u};
	__asm__ volatile("" ::"r"(rows) : "memory"); /* they are written, not only meant */
	printf("%.1f\n", (double)(resident_bytes() - before) / (double)count);
	free(rows);
	return 0;
}
