/* The two clocks. Only shells read them; cores get the values with each input. */
#pragma once

#include "base/types.h"

/* CLOCK_BOOTTIME: never jumps, goes on while the machine sleeps, means nothing after a boot. */
usec_t clock_mono_us(void);
/* CLOCK_REALTIME, UTC since 1970: may jump; the only time in records. */
usec_t clock_wall_us(void);
