/* What the files of block.h share: the format.
 *
 * ids: a varint (LEB128) with the number of rows, then numbers. body: a byte, how it is kept; if it is
 * pressed, a varint with its size; then the columns, one behind the other:
 *
 *   kind (1 byte), size of the name (1 byte), name, size of what follows (varint), and
 *   numbers  runs of equal differences. A run is a byte of 6 bits of the difference (zigzag), BLOCK_MORE if a
 *            varint with its other bits follows, BLOCK_RUN if a varint follows with how often it comes,
 * less 2. The first number differs from 0. texts    how many texts (varint), their sizes (varints), their
 * bytes, and numbers: the n-th text, 0 is the empty one ids      16 bytes a row, two numbers of 64 bits,
 * little-endian */
#pragma once

#include "dispatcher/store/block.h"

enum block_how { BLOCK_PLAIN = 0, BLOCK_PRESSED = 1 };
enum block_column_kind { BLOCK_NUMBERS = 1, BLOCK_TEXTS = 2, BLOCK_IDS = 3 };

#define BLOCK_MORE 0x80
#define BLOCK_RUN 0x40

/* As the struct has it; 0 of what is no number. */
int64_t block_field_number(const struct block_field *f, const void *row);
