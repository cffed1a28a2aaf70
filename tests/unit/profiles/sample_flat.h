/* A flat event with some figures. */
#ifndef TESTS_UNIT_PROFILES_SAMPLE_FLAT_H
#define TESTS_UNIT_PROFILES_SAMPLE_FLAT_H

#include "profiles/monitoring/event/flat.h"

static inline struct flat sample_flat(const char *direction, uint64_t size, double response_ms, int64_t time_ms)
{
	static uint64_t seq;
	return (struct flat){.service = SERVICE_KIMI,
			     .seq = ++seq,
			     .time_ms = time_ms,
			     .direction = slice_of(direction),
			     .size = size,
			     .timed = response_ms > 0,
			     .response_ms = response_ms,
			     .data = slice_of("{}")};
}

#endif
