/* Rules of WebSocket connections that need no socket. */
#include "check.h"
#include "net/ws_conn.h"

static void a_publisher_may_be_silent_for_an_hour(void)
{
	enum { HOUR_MS = 3600 * 1000, SPOKE_MS = 5000 };
	struct ws w = {.options.silence_ms = HOUR_MS};
	struct ws_conn c = {.ws = &w, .profile = &ws_ingest, .spoke_ms = SPOKE_MS};
	CHECK(!ws_is_silent(&c, SPOKE_MS));
	CHECK(!ws_is_silent(&c, SPOKE_MS + HOUR_MS - 1));
	CHECK(ws_is_silent(&c, SPOKE_MS + HOUR_MS));
	c.heard_ms = SPOKE_MS + HOUR_MS; /* pongs are no messages */
	CHECK(ws_is_silent(&c, SPOKE_MS + HOUR_MS));
}

static void readers_may_be_silent_for_ever(void)
{
	struct ws_conn dashboard = {.profile = &ws_dashboard};
	struct ws_conn reader = {.profile = &ws_v1};
	CHECK(!ws_is_silent(&dashboard, INT64_MAX) && !ws_is_silent(&reader, INT64_MAX));
}

int main(void)
{
	RUN(a_publisher_may_be_silent_for_an_hour);
	RUN(readers_may_be_silent_for_ever);
}
