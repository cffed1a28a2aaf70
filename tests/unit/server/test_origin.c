/* Pages of other origins. */
#include "base/options.h"
#include "server/access/origin.h"
#include "unit/check.h"

static void foreign_origins_are_refused(void)
{
	struct option_texts none = {0};
	struct option_texts some = {1, {"https://app.example"}};
	CHECK(origin_is_fine(slice_of(""), slice_of("h:1"), &none, NULL));
	CHECK(origin_is_fine(slice_of("http://h:1"), slice_of("h:1"), &none, NULL));
	CHECK(origin_is_fine(slice_of("https://H:1"), slice_of("h:1"), &none, NULL));
	CHECK(!origin_is_fine(slice_of("http://h:2"), slice_of("h:1"), &none, NULL));
	CHECK(!origin_is_fine(slice_of("null"), slice_of("h:1"), &none, NULL));
	CHECK(!origin_is_fine(slice_of("http://h:1.evil"), slice_of("h:1"), &none, NULL));
	CHECK(origin_is_fine(slice_of("https://app.example"), slice_of("h:1"), &some, NULL));
	CHECK(!origin_is_fine(slice_of("https://app.example.evil"), slice_of("h:1"), &some, NULL));
	struct own_ports own = {2, {1, 82}};
	CHECK(origin_is_fine(slice_of("http://localhost:82"), slice_of("127.0.0.1:1"), &none, &own));
	CHECK(!origin_is_fine(slice_of("http://localhost:8"), slice_of("127.0.0.1:1"), &none, &own));
	CHECK(!origin_is_fine(slice_of("http://localhost:82"), slice_of("h:1"), &none, &own));
	CHECK(!origin_is_fine(slice_of("http://h:82"), slice_of("127.0.0.1:1"), &none, &own));
}

int main(void)
{
	RUN(foreign_origins_are_refused);
	return check_end();
}
