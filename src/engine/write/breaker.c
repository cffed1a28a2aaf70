#include "engine/write/breaker.h"

#include <assert.h>

const char *breaker_name(enum breaker_state state)
{
	static const char *const names[] = {"closed", "open", "half_open"};
	assert(state <= BREAKER_HALF_OPEN);
	return names[state];
}

void breaker_open(struct breaker *b, const struct fault *why)
{
	assert(why->code != ERR_NONE);
	b->opens += b->state == BREAKER_CLOSED;
	b->failures++;
	b->state = BREAKER_OPEN;
	b->reason = *why;
}

void breaker_half_open(struct breaker *b)
{
	assert(b->state == BREAKER_OPEN);
	b->state = BREAKER_HALF_OPEN;
	b->half_opens++;
}

void breaker_close(struct breaker *b)
{
	assert(b->state == BREAKER_HALF_OPEN);
	b->state = BREAKER_CLOSED;
	b->closes++;
	b->failures = 0;
}
