/* How long WebSocket connections of the profile may be silent. */
#include "profiles/monitoring/ws/ws_profiles.h"
#include "server/ws/ws_conn.h"
#include "unit/check.h"

static void a_publisher_may_be_silent_for_an_hour(void)
{
	enum { HOUR_MS = 3600 * 1000, SPOKE_MS = 5000 };
	struct ws w = {.options.silence_ms = HOUR_MS};
	struct ws_profile ingest = ws_ingest(NULL);
	struct ws_conn c = {.ws = &w, .profile = &ingest, .alive = {.spoke_ms = SPOKE_MS}};
	CHECK(!ws_is_silent(&c, SPOKE_MS));
	CHECK(!ws_is_silent(&c, SPOKE_MS + HOUR_MS - 1));
	CHECK(ws_is_silent(&c, SPOKE_MS + HOUR_MS));
	c.alive.heard_ms = SPOKE_MS + HOUR_MS; /* pongs are no messages */
	CHECK(ws_is_silent(&c, SPOKE_MS + HOUR_MS));
}

static void readers_may_be_silent_for_ever(void)
{
	struct ws_profile profile = ws_dashboard(NULL, ENCODING_OWN);
	struct ws_conn dashboard = {.profile = &profile};
	struct ws_conn reader = {.profile = &ws_v1};
	CHECK(!ws_is_silent(&dashboard, INT64_MAX) && !ws_is_silent(&reader, INT64_MAX));
}

int main(void)
{
	RUN(a_publisher_may_be_silent_for_an_hour);
	RUN(readers_may_be_silent_for_ever);
	return check_end();
}
