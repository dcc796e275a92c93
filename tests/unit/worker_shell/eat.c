/* eat SIZE_MIB [WORDS]: takes so much memory, page by page, and ends well; when it gets no more, it says
 * WORDS and ends with 3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP ((size_t)256 * 1024)

int main(int argc, char **argv)
{
	size_t steps = argc > 1 ? strtoul(argv[1], NULL, 10) * 4 : 0;
	void **kept = calloc(steps + 1, sizeof *kept);

	for (size_t i = 0; i < steps && kept != NULL; i++) {
		kept[i] = malloc(STEP);
		if (kept[i] == NULL) {
			if (argc > 2)
				fprintf(stderr, "%s\n", argv[2]);
			return 3;
		}
		memset(kept[i], 1, STEP);
	}
	for (size_t i = 0; i < steps && kept != NULL; i++)
		free(kept[i]);
	free(kept);
	return 0;
}
