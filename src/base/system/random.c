#include "base/system/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t random_u64(void)
{
	uint64_t value;
	if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
		abort(); /* cannot happen for so few bytes once the kernel is up */
	return value;
}

void random_hex(char *out, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		snprintf(out + 2 * i, 3, "%02x", (unsigned)(random_u64() & 0xff));
}

int64_t random_backoff_ms(unsigned attempt, int64_t first_ms, int64_t cap_ms)
{
	int64_t base = attempt < 20 ? first_ms << attempt : cap_ms;
	if (base > cap_ms)
		base = cap_ms;
	return base / 2 + (int64_t)(random_u64() % (uint64_t)(base + 1));
}
