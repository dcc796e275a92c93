/* Scripts that complete the command in a shell, made of the tables of verbs and options. Pure. */
#pragma once

#include "base/buf.h"

void completion_bash(struct buf *out);
void completion_zsh(struct buf *out);
