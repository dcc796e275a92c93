#include "jobs/definition_word.h"

#include <string.h>

#include "jobs/template.h"

/* The next piece of a word: {} alone, {{}} (an escaped {}), {{{{ or {{name}} (a template's), or one byte. */
enum piece { PIECE_BYTE, PIECE_BRACES, PIECE_ESCAPED_BRACES, PIECE_TEMPLATE };

static enum piece next_piece(struct bytes text, size_t *ret_size)
{
	static const struct {
		const char *begins;
		enum piece piece;
	} pieces[] = {{"{{{{", PIECE_TEMPLATE}, {"{{}}", PIECE_ESCAPED_BRACES}, {"{}", PIECE_BRACES}};
	const uint8_t *close;

	for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
		*ret_size = strlen(pieces[i].begins);
		if (text.size >= *ret_size && memcmp(text.data, pieces[i].begins, *ret_size) == 0)
			return pieces[i].piece;
	}
	*ret_size = 1;
	if (text.size < 3 || memcmp(text.data, "{{", 2) != 0 || text.data[2] == '{')
		return PIECE_BYTE; /* of {{{ the first is ordinary */
	close = memmem(text.data, text.size, "}}", 2);
	*ret_size = close != NULL ? (size_t)(close - text.data) + 2 : text.size;
	return PIECE_TEMPLATE;
}

bool definition_word(struct bytes word, const char *stands_for, struct buf *out)
{
	struct buf literal = {0};
	bool found = false;

	for (size_t at = 0, size; at < word.size; at += size) {
		struct bytes rest = BYTES(word.data + at, word.size - at);
		enum piece piece = next_piece(rest, &size);

		if (piece == PIECE_BRACES && stands_for == NULL)
			piece = PIECE_BYTE;
		if (piece == PIECE_BYTE) {
			buf_append(&literal, rest.data, size);
		} else if (piece == PIECE_ESCAPED_BRACES) {
			buf_append(&literal, "{}", 2);
		} else {
			template_escape(out, buf_bytes(&literal));
			buf_clear(&literal);
			if (piece == PIECE_TEMPLATE)
				buf_append(out, rest.data, size);
			else
				buf_append(out, stands_for, strlen(stands_for));
			found = found || piece == PIECE_BRACES;
		}
	}
	template_escape(out, buf_bytes(&literal));
	buf_fini(&literal);
	return found;
}
