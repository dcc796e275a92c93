#include "base/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/fs.h"

#define KEY_FILE_BYTES_MAX ((size_t)1 << 20)

static const char *const role_names[] = {"none", "worker", "scaler", "producer", "client"};

const char *peer_role_name(enum peer_role role)
{
	return role_names[role];
}

enum peer_role peer_role_of(const char *name)
{
	for (size_t i = 1; i < ARRAY_LENGTH(role_names); i++)
		if (strcmp(role_names[i], name) == 0)
			return (enum peer_role)i;
	return ROLE_NONE;
}

static bool is_key(const char *text)
{
	uint8_t raw[32];

	return strlen(text) == 40 && zmq_z85_decode(raw, text) != NULL;
}

static int parse_pair(char *text, const char *path, struct key_pair *pair, struct error *reterr)
{
	char *save = NULL;
	int line = 0;

	for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		char word[16], key[64];

		line++;
		if (l[0] == '#')
			continue;
		if (sscanf(l, "%15s %63s", word, key) != 2 || !is_key(key) ||
		    (strcmp(word, "public") != 0 && strcmp(word, "secret") != 0)) {
			error_set(reterr, ERR_INVALID,
				  "expected `public` or `secret` and 40 characters of Z85");
			return error_where(reterr, "%s:%d", path, line);
		}
		memcpy(word[0] == 'p' ? pair->public_text : pair->secret_text, key, KEY_TEXT_BYTES);
	}
	return 0;
}

static int check_mode(const char *path, struct error *reterr)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set(reterr, ERR_IO, "%s: %s", path, strerror(errno));
	if ((st.st_mode & 077) == 0)
		return 0;
	error_set(reterr, ERR_DENIED, "a file with a secret key is open to others (mode %03o)",
		  st.st_mode & 0777u);
	error_where(reterr, "%s", path);
	error_help(reterr, "chmod 600 %s", path);
	return ERR_DENIED;
}

/* A bit that turned in either of them would only show in connections that fail. */
static int check_pair(const struct key_pair *pair, const char *path, struct error *reterr)
{
	char public_text[KEY_TEXT_BYTES];

	if (pair->secret_text[0] == '\0' || (zmq_curve_public(public_text, pair->secret_text) == 0 &&
					     strcmp(public_text, pair->public_text) == 0))
		return 0;
	error_set(reterr, ERR_CORRUPT, "the secret key does not belong to the public key");
	error_help(reterr, "restore the file from a copy");
	return error_where(reterr, "%s", path);
}

int key_pair_load(const char *path, bool need_secret, struct key_pair *ret, struct error *reterr)
{
	struct key_pair pair = {"", ""};
	struct buf text = {0};
	int rc = fs_read_file(path, KEY_FILE_BYTES_MAX, &text, reterr);

	if (rc == 0) {
		buf_text(&text);
		rc = parse_pair((char *)text.data, path, &pair, reterr);
	}
	if (rc == 0 && (pair.public_text[0] == '\0' || (need_secret && pair.secret_text[0] == '\0'))) {
		rc = error_set(reterr, ERR_INVALID, "no %s key in it",
			       pair.public_text[0] ? "secret" : "public");
		error_where(reterr, "%s", path);
	}
	if (rc == 0 && pair.secret_text[0] != '\0')
		rc = check_mode(path, reterr);
	if (rc == 0)
		rc = check_pair(&pair, path, reterr);
	if (text.data != NULL)
		explicit_bzero(text.data, text.size);
	buf_fini(&text);
	if (rc == 0)
		*ret = pair;
	return rc;
}

static int write_new(const char *path, const char *text, mode_t mode, struct error *reterr)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	size_t size = strlen(text);

	if (fd < 0)
		return error_set(reterr, errno == EEXIST ? ERR_EXISTS : ERR_IO, "%s: %s", path,
				 strerror(errno));
	if (write(fd, text, size) != (ssize_t)size || fsync(fd) < 0) {
		error_set(reterr, ERR_IO, "%s: %s", path, strerror(errno));
		close(fd);
		unlink(path);
		return ERR_IO;
	}
	close(fd);
	return 0;
}

static int write_public(const char *path, const struct key_pair *pair, struct error *reterr)
{
	char text[160], public_path[4200];

	snprintf(public_path, sizeof public_path, "%s.pub", path);
	snprintf(text, sizeof text, "public %s\n", pair->public_text);
	unlink(public_path);
	return write_new(public_path, text, 0644, reterr);
}

int key_pair_create(const char *path, struct key_pair *ret, struct error *reterr)
{
	struct key_pair pair;
	char text[160];
	int rc;

	if (zmq_curve_keypair(pair.public_text, pair.secret_text) < 0)
		return error_set(reterr, ERR_IO, "libzmq makes no CURVE keys: %s", zmq_strerror(errno));
	snprintf(text, sizeof text, "public %s\nsecret %s\n", pair.public_text, pair.secret_text);
	rc = write_new(path, text, 0600, reterr);
	explicit_bzero(text, sizeof text);
	if (rc < 0)
		return rc;
	rc = write_public(path, &pair, reterr);
	if (rc == 0)
		*ret = pair;
	return rc;
}

static int parse_role(char *line, struct key_entry *e, struct error *reterr)
{
	char role[16], key[64], name[KEY_NAME_BYTES] = "";

	if (sscanf(line, "%15s %63s %63s", role, key, name) < 2)
		return error_set(reterr, ERR_INVALID, "expected `role key name`");
	e->role = peer_role_of(role);
	if (e->role == ROLE_NONE)
		return error_set(reterr, ERR_INVALID,
				 "expected worker, scaler, producer or client, found `%s`", role);
	if (!is_key(key))
		return error_set(reterr, ERR_INVALID, "expected 40 characters of Z85, found `%s`", key);
	zmq_z85_decode(e->public_key, key);
	memcpy(e->name, name, sizeof name);
	return 0;
}

int key_roles_load(const char *path, struct key_roles *ret, struct error *reterr)
{
	struct key_roles roles = {0};
	struct buf text = {0};
	int rc = fs_read_file(path, KEY_FILE_BYTES_MAX, &text, reterr), line = 0;
	char *at = NULL;

	if (rc == 0) {
		buf_text(&text);
		at = (char *)text.data;
	}
	while (rc == 0 && at != NULL && *at != '\0') {
		char *l = strsep(&at, "\n");

		line++;
		if (l[0] == '#' || l[0] == '\0')
			continue;
		roles.entries = check_realloc(roles.entries, roles.count + 1, sizeof *roles.entries);
		rc = parse_role(l, &roles.entries[roles.count++], reterr);
		if (rc < 0)
			error_where(reterr, "%s:%d", path, line);
	}
	buf_fini(&text);
	if (rc < 0)
		key_roles_fini(&roles);
	else
		*ret = roles;
	return rc;
}

void key_roles_fini(struct key_roles *roles)
{
	free(roles->entries);
	*roles = (struct key_roles){0};
}

const struct key_entry *key_roles_find(const struct key_roles *roles, const uint8_t public_key[32])
{
	for (size_t i = 0; i < roles->count; i++)
		if (memcmp(roles->entries[i].public_key, public_key, 32) == 0)
			return &roles->entries[i];
	return NULL;
}

/* The .pub beside it follows from it: also one that was lost, or is another's. */
static int ensure_pair(const char *dir, const char *name, struct key_pair *pair, struct error *reterr)
{
	struct key_pair public = {"", ""};
	char path[4096], public_path[4200];
	int rc;

	snprintf(path, sizeof path, "%s/%s.key", dir, name);
	if (access(path, F_OK) != 0)
		return key_pair_create(path, pair, reterr);
	rc = key_pair_load(path, true, pair, reterr);
	if (rc < 0)
		return rc;
	snprintf(public_path, sizeof public_path, "%s.pub", path);
	if (key_pair_load(public_path, false, &public, NULL) == 0 &&
	    strcmp(public.public_text, pair->public_text) == 0)
		return 0;
	return write_public(path, pair, reterr);
}

/* A key that was made anew is let in beside the old one. */
static int allow(const char *path, const char *role, const struct key_pair *pair, struct error *reterr)
{
	struct key_roles roles = {0};
	struct buf text = {0};
	uint8_t raw[32];
	int rc = key_roles_load(path, &roles, reterr);

	CHECK(zmq_z85_decode(raw, pair->public_text) != NULL);
	if (rc == 0 && key_roles_find(&roles, raw) == NULL) {
		rc = fs_read_file(path, KEY_FILE_BYTES_MAX, &text, reterr);
		buf_printf(&text, "%s%s %s local\n",
			   text.size > 0 && text.data[text.size - 1] != '\n' ? "\n" : "", role,
			   pair->public_text);
		if (rc == 0)
			rc = fs_write_file(path, buf_bytes(&text), 0644, reterr);
	}
	buf_fini(&text);
	key_roles_fini(&roles);
	return rc;
}

int keys_ensure(const char *dir, struct error *reterr)
{
	static const char *const local[] = {"worker", "producer"};
	struct key_pair dispatcher, pairs[ARRAY_LENGTH(local)];
	bool is_new[ARRAY_LENGTH(local)];
	char path[4096], text[400];
	int rc = ensure_pair(dir, "dispatcher", &dispatcher, reterr);

	for (size_t i = 0; i < ARRAY_LENGTH(local) && rc == 0; i++) {
		snprintf(path, sizeof path, "%s/%s.key", dir, local[i]);
		is_new[i] = access(path, F_OK) != 0;
		rc = ensure_pair(dir, local[i], &pairs[i], reterr);
	}
	snprintf(path, sizeof path, "%s/allowed", dir);
	if (rc == 0 && access(path, F_OK) != 0) {
		snprintf(text, sizeof text,
			 "# role, public key, name: who may speak to the dispatcher. Read at its start.\n"
			 "%s %s local\n%s %s local\n",
			 local[0], pairs[0].public_text, local[1], pairs[1].public_text);
		return write_new(path, text, 0644, reterr);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(local) && rc == 0; i++)
		if (is_new[i])
			rc = allow(path, local[i], &pairs[i], reterr);
	return rc;
}
