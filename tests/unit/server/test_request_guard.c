/* What a request must have: a Host that is ours, a token, a permission. */
#include "server/access/request_guard.h"
#include "server/message/host.h"
#include "unit/check.h"

static void hosts(void)
{
	struct option_texts listen = {2, {"127.0.0.1:8080", "events.lan:80"}};
	struct option_texts allowed = {1, {"Proxy.example:443"}};
	struct option_texts none = {0};
	struct option_texts any = {1, {"*"}};
	static const char *const fine[] = {"",      "localhost",  "LOCALHOST:1",     "127.0.0.1:8080", "127.9.9.9",
					   "[::1]", "[::1]:8080", "events.lan:8080", "proxy.example",  "proxy.example:8080"};
	static const char *const foreign[] = {"evil.example", "localhost.evil",  "127.0.0.1.evil", "127.1",
					      "0x7f.1",       "[::2]",           "[::1",           "evil:localhost",
					      ":80",          "localhost:80:80", "10.0.0.1",       "127.0.0.1@evil"};
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		CHECK(host_is_fine(slice_of(fine[i]), &listen, &allowed));
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		CHECK(!host_is_fine(slice_of(foreign[i]), &listen, &allowed));
		CHECK(host_is_fine(slice_of(foreign[i]), &none, &any));
	}
}

static void bearers(void)
{
	CHECK_SLICE(request_guard_bearer(slice_of("Bearer abc")), "abc");
	CHECK_SLICE(request_guard_bearer(slice_of(" bEARER \t abc ")), "abc");
	static const char *const none[] = {"",          "Bearer",     "Bearer ",    "abc",
					   "Basic abc", "Bearer a b", "Bearer a,b", "Bearera"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		CHECK(request_guard_bearer(slice_of(none[i])).len == 0);
}

static void a_grant_of_nothing_allows_nothing(void)
{
	struct grant none = {0};
	CHECK(grant_may(&none, PERMISSION_NOTHING) && !grant_may(&none, PERMISSION_READ) &&
	      !grant_may(&none, PERMISSION_UNSAID));
	struct access *a;
	struct fault fault;
	struct grant all;
	CHECK(access_create(NULL, &a, &fault) == ERR_NONE);
	CHECK(access_grant(a, slice_of(""), &all) && grant_may(&all, PERMISSION_ADMIN) &&
	      !grant_may(&all, PERMISSION_UNSAID));
	grant_drop(&all);
	access_destroy(a);
}

int main(void)
{
	RUN(hosts);
	RUN(bearers);
	RUN(a_grant_of_nothing_allows_nothing);
	return check_end();
}
