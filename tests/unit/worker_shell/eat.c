/* eat SIZE_MIB [WORDS]: takes so much memory, page by page, and ends well; when it gets no more, it says
 * WORDS and ends with 3. eat runner: a runner (JSON lines) that takes 100 MiB for each run. eat hold
 * SIZE_MIB: takes it, writes a byte, and ends when its input does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP ((size_t)256 * 1024)

static int eat(size_t mib, const char *words)
{
	size_t steps = mib * 4;
	void **kept = calloc(steps + 1, sizeof *kept);

	for (size_t i = 0; i < steps && kept != NULL; i++) {
		kept[i] = malloc(STEP);
		if (kept[i] == NULL) {
			if (words != NULL)
				fprintf(stderr, "%s\n", words);
			return 3;
		}
		memset(kept[i], 1, STEP);
	}
	for (size_t i = 0; i < steps && kept != NULL; i++)
		free(kept[i]);
	free(kept);
	return 0;
}

static int be_runner(void)
{
	char line[4096];

	while (fgets(line, sizeof line, stdin) != NULL)
		if (strstr(line, "\"hello\"") != NULL) {
			puts("{\"type\":\"hello\",\"protocol\":1}");
			fflush(stdout);
		} else if (strstr(line, "\"run\"") != NULL) {
			eat(100, NULL);
		}
	return 0;
}

static int hold(size_t mib)
{
	void *taken = malloc(mib * 1024 * 1024);

	if (taken == NULL || putchar('x') == EOF || fflush(stdout) == EOF)
		return 1;
	while (getchar() != EOF)
		;
	free(taken);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		return hold(strtoul(argv[2], NULL, 10));
	if (argc > 1 && strcmp(argv[1], "runner") == 0)
		return be_runner();
	return argc > 1 ? eat(strtoul(argv[1], NULL, 10), argc > 2 ? argv[2] : NULL) : 2;
}
