/* The S3 client (base/s3/) by hand, for tests against a real server and for bench/:
 *
 *   s3-tool put URL FILE [PART_BYTES]      s3-tool get URL OFFSET SIZE [ETAG]   (to stdout)
 *   s3-tool head URL                       s3-tool list URL
 *   s3-tool delete URL
 *
 * Exit code 0, or 1 with the error on stderr; 3 when that error is final. Settings: AWS_… */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/s3/s3.h"

static int write_piece(void *arg, struct bytes piece)
{
	(void)arg;
	return fwrite(piece.data, 1, piece.size, stdout) == piece.size ? 0 : -1;
}

static int print_entry(void *arg, const struct s3_entry *e)
{
	(void)arg;
	printf("%llu %s %.*s\n", (unsigned long long)e->size_bytes, e->etag, (int)e->key.size,
	       (const char *)e->key.data);
	return 0;
}

static int put(struct s3_client *c, const struct s3_name *name, char **argv, struct error *e)
{
	struct s3_put p = {.name = name, .fd = open(argv[0], O_RDONLY)};
	struct stat st;
	int rc;

	if (p.fd < 0 || fstat(p.fd, &st) < 0)
		return error_set(e, ERR_IO, "cannot read %s", argv[0]);
	p.size = (uint64_t)st.st_size;
	p.part_bytes = argv[1] != NULL ? strtoull(argv[1], NULL, 10) : 0;
	rc = s3_put(c, &p, e);
	close(p.fd);
	return rc;
}

static int run(struct s3_client *c, const char *verb, const struct s3_name *name, char **argv,
	       struct error *e)
{
	struct s3_cancel never = {0};
	struct s3_head head;
	int rc;

	if (strcmp(verb, "put") == 0 && argv[0] != NULL)
		return put(c, name, argv, e);
	if (strcmp(verb, "get") == 0 && argv[0] != NULL && argv[1] != NULL)
		return s3_get(c,
			      &(struct s3_get){.name = name,
					       .offset = strtoull(argv[0], NULL, 10),
					       .size = strtoull(argv[1], NULL, 10),
					       .etag = argv[2],
					       .take = write_piece},
			      e);
	if (strcmp(verb, "list") == 0)
		return s3_list(c, &(struct s3_list){.name = name, .take = print_entry}, e);
	if (strcmp(verb, "delete") == 0)
		return s3_delete(c, name, e);
	if (strcmp(verb, "head") != 0)
		return error_set(e, ERR_INVALID, "expected put, get, head, list or delete, found %s", verb);
	rc = s3_head(c, name, never, &head, e);
	if (rc == 0)
		printf("%llu %s\n", (unsigned long long)head.size_bytes, head.etag);
	return rc;
}

int main(int argc, char **argv)
{
	const char *patience = getenv("S3_TOOL_PATIENCE_MS");
	struct s3_options options = {.patience_us =
					 (patience != NULL ? atoll(patience) : 5000) * USEC_PER_MSEC};
	struct s3_client *client = NULL;
	struct s3_name name;
	struct error e = {0};
	char line[1024];
	int rc;

	if (argc < 3) {
		fprintf(stderr, "usage: s3-tool VERB URL ...\n");
		return 2;
	}
	rc = s3_name_parse(bytes_of(argv[2]), &name, &e);
	if (rc == 0)
		rc = s3_client_create(&options, &client, &e);
	if (rc == 0)
		rc = run(client, argv[1], &name, argv + 3, &e);
	s3_client_destroy(client);
	if (rc == 0 && fflush(stdout) == 0)
		return 0;
	fprintf(stderr, "%s\n", error_text(&e, line, sizeof line));
	return s3_error_is_final(rc) ? 3 : 1;
}
