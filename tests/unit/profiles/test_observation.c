/* Observations, as a store keeps them. */
#include "profiles/monitoring/services/auditor.h"
#include "profiles/monitoring/services/observation.h"
#include "unit/check.h"

static void an_observation_is_saved_and_loaded(void)
{
	struct buf text;
	buf_init(&text);
	struct observation o = {
		.time_ms = 9, .rule = RULE_SILENCE, .service = SERVICE_GLM, .value = 3, .event_count = 2, .events = {8, 7}};
	struct observation o2 = {0};
	observation_save(&text, &o);
	CHECK(observation_load(buf_slice(&text), &o2) && memcmp(&o, &o2, sizeof o) == 0);
	CHECK(!observation_load(slice_of("[9,7,4,3,0,0,0,2,8,7,0,0,0,0,0,0]"), &o2));
	buf_finish(&text);
}

int main(void)
{
	RUN(an_observation_is_saved_and_loaded);
	return check_end();
}
