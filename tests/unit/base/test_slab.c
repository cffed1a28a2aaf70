/* Small pieces of memory, taken and given back. */
#include "base/data/slab.h"
#include "unit/check.h"

static void slab_come_back(void)
{
	struct slab c = {0};
	char *first = slab_take(&c, 100);
	char *second = slab_take(&c, 101);
	CHECK(first != NULL && second == first + 104);
	slab_give(&c, first, 100);
	CHECK(slab_take(&c, 97) == first && slab_take(&c, 97) != first);
	for (int i = 0; i < 1000; i++)
		CHECK(slab_take(&c, SLAB_MAX) != NULL);
	slab_finish(&c);
}

int main(void)
{
	RUN(slab_come_back);
	return check_end();
}
