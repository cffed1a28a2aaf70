/* How long to wait before the next attempt. */
#include "base/system/random.h"
#include "unit/check.h"

static void backoff_doubles_up_to_its_cap(void)
{
	for (unsigned attempt = 0; attempt < 40; attempt++) {
		int64_t base = attempt < 7 ? 100 << attempt : 10000;
		int64_t ms = random_backoff_ms(attempt, 100, 10000);
		CHECK(ms >= base / 2 && ms <= base + base / 2);
	}
}

int main(void)
{
	RUN(backoff_doubles_up_to_its_cap);
	return check_end();
}
