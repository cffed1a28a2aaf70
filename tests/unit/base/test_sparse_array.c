/* An array that has room only where there is something. */
#include <stdint.h>
#include <stdlib.h>

#include "base/data/sparse_array.h"
#include "unit/check.h"

static void numbers_are_found_in_order(void)
{
	static const uint32_t numbers[] = {0, 1, SPARSE_ARRAY_STRETCH - 1, SPARSE_ARRAY_STRETCH, 5000000, UINT32_MAX - 1};
	enum { NUMBERS = sizeof numbers / sizeof *numbers };
	static struct sparse_array s;
	for (int i = 0; i < NUMBERS; i++) {
		CHECK(sparse_array_reserve(&s, numbers[i]));
		sparse_array_put(&s, numbers[i], (void *)&numbers[i]);
	}
	int found = 0;
	for (uint32_t n = 0; sparse_array_next(&s, &n, UINT32_MAX); n++)
		CHECK(n == numbers[found] && sparse_array_at(&s, n) == &numbers[found++]);
	CHECK(found == NUMBERS && sparse_array_at(&s, 2) == NULL && sparse_array_at(&s, 4000000000) == NULL);
	uint32_t n = SPARSE_ARRAY_STRETCH + 1;
	CHECK(!sparse_array_next(&s, &n, 5000000));
	free(sparse_array_take(&s, 5000000));
	CHECK(sparse_array_at(&s, 5000000) == NULL && sparse_array_take(&s, 0) == NULL &&
	      sparse_array_at(&s, 1) == &numbers[1]);
	sparse_array_finish(&s);
}

int main(void)
{
	RUN(numbers_are_found_in_order);
	return check_end();
}
