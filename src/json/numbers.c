#include "json/numbers.h"

#include <inttypes.h>

#include "base/units.h"
#include "json/json.h"

void numbers_write(struct buf *out, const uint64_t *numbers, int count)
{
	for (int i = 0; i < count; i++)
		buf_printf(out, "%s%" PRIu64, i == 0 ? "[" : ",", numbers[i]);
	buf_addc(out, ']');
}

bool numbers_read(struct slice text, uint64_t *numbers, int count)
{
	int found = 0;
	if (text.len < 2 || text.p[0] != '[')
		return false;
	for (struct json_walk w = json_walk(text); json_next(&w); found++) {
		int64_t n;
		if (found == count || !units_integer(w.value, &n))
			return false;
		numbers[found] = (uint64_t)n;
	}
	return found == count;
}
