/* A word of a command line as a template, where {} may stand for something. Pure. */
#pragma once

#include "base/buf.h"

/* Appends the template. stands_for: what {} is; NULL: itself. Returns whether it has a {} that stands for
 * something. {{}} is a literal {}, {{{{ a literal {{, and {{name}} a placeholder. */
bool definition_word(struct bytes word, const char *stands_for, struct buf *out);
