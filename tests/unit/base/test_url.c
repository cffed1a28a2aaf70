/* Request targets and their parameters. */
#include "base/url.h"
#include "unit/check.h"

static void param(const struct url *u, size_t i, const char *name, const char *value)
{
	CHECK(i < u->param_count);
	CHECK_SLICE(u->params[i].name, name);
	CHECK_SLICE(u->params[i].value, value);
}

static void urls_are_split_and_decoded(void)
{
	struct url u;
	CHECK(url_parse(&u, slice_of("/v1/events?stream=a%26b&type=x+y&empty=&bare")) == URL_FINE);
	CHECK_SLICE(u.path, "/v1/events");
	param(&u, 0, "stream", "a&b");
	param(&u, 1, "type", "x y");
	param(&u, 2, "empty", "");
	param(&u, 3, "bare", "");
	CHECK(u.param_count == 4);
	url_finish(&u);
	static const char *const bad[] = {"/?a=%", "/?a=%1", "/?a=%zz", "/?%=1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK(url_parse(&u, slice_of(bad[i])) == URL_MALFORMED);
		url_finish(&u);
	}
	char many[2 * (URL_PARAMS_MAX + 1) + 3] = "/?a";
	for (int n = 0; n < URL_PARAMS_MAX; n++)
		strcat(many, "&a");
	CHECK(url_parse(&u, slice_of(many)) == URL_TOO_MANY_PARAMS);
	url_finish(&u);
}

static void encoding_comes_back(void)
{
	char all[256];
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	struct buf b;
	buf_init(&b);
	url_encode(&b, (struct slice){all, sizeof all});
	size_t len;
	CHECK(url_decode(b.data, b.len, false, &len) && len == sizeof all && memcmp(b.data, all, len) == 0);
	buf_finish(&b);
}

int main(void)
{
	RUN(urls_are_split_and_decoded);
	RUN(encoding_comes_back);
	return check_end();
}
