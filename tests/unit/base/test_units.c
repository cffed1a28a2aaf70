/* Sizes, durations and numbers of options. */
#include "base/units.h"
#include "unit/check.h"

static void units_have_bounds(void)
{
	int64_t n;
	CHECK(units_size(slice_of("64MiB"), &n) && n == 64 << 20);
	CHECK(units_size(slice_of("7"), &n) && n == 7);
	CHECK(units_duration(slice_of("1d"), &n) && n == 86400000);
	CHECK(units_duration(slice_of("0"), &n) && n == 0);
	CHECK(!units_duration(slice_of("5"), &n));
	CHECK(!units_size(slice_of("1MB"), &n));
	CHECK(!units_size(slice_of("-1"), &n));
	CHECK(!units_integer(slice_of(""), &n));
	CHECK(units_integer(slice_of("9223372036854775807"), &n) && n == INT64_MAX);
	CHECK(!units_integer(slice_of("9223372036854775808"), &n));
	CHECK(!units_size(slice_of("9223372036854775807KiB"), &n));
}

int main(void)
{
	RUN(units_have_bounds);
	return check_end();
}
