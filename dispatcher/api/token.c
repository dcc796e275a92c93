/* The token that requests over TCP have to bring. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "dispatcher/api/listener.h"

bool token_is_right(const struct api *api, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	size_t skip = sizeof(scheme) - 1;

	return strncasecmp(authorization, scheme, skip) == 0 &&
	       strlen(authorization) == skip + API_TOKEN_BYTES &&
	       sodium_memcmp(authorization + skip, api->token, API_TOKEN_BYTES) == 0;
}

static int token_create(struct api *api, const char *path, struct error *reterr)
{
	uint8_t raw[API_TOKEN_BYTES / 2];

	randombytes_buf(raw, sizeof(raw));
	sodium_bin2hex(api->token, sizeof(api->token), raw, sizeof(raw));
	if (!api->services->state.fresh)
		log_warn(
		    "a new token for requests over TCP was made: clients that have another one are refused",
		    log_text("file", path));
	return fs_write_file(path, bytes_of(api->token), 0600, reterr);
}

static bool is_hex(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text_hex_digit(text.data[i]) < 0)
			return false;
	return true;
}

int token_load(struct api *api, struct error *reterr)
{
	char *path = statedir_path(&api->services->state, "keys/api-token");
	struct buf text = {0};
	struct error e = {0};
	int r = fs_read_file(path, 4096, &text, &e);

	while (r == 0 && text.size > 0 && strchr(" \r\n\t", text.data[text.size - 1]) != NULL)
		text.size--;
	if (r == ERR_NOT_FOUND)
		r = token_create(api, path, reterr);
	else if (r == 0 && text.size == API_TOKEN_BYTES && is_hex(buf_bytes(&text)))
		memcpy(api->token, text.data, API_TOKEN_BYTES);
	else if (r == 0) {
		error_set(reterr, ERR_INVALID, "expected a token of %d hex digits", API_TOKEN_BYTES);
		error_help(reterr, "remove the file: a new token is made at the next start");
		r = error_where(reterr, "%s", path);
	} else if (reterr != NULL)
		*reterr = e;
	buf_fini(&text);
	free(path);
	return r;
}
