/* How fast a connection answers. */
#include "server/ws/metrics/pulse.h"
#include "unit/check.h"

static void a_pulse_is_of_the_last_ten(void)
{
	struct pulse p;
	struct buf text;
	buf_init(&text);
	pulse_start(&p, 1000);
	for (int i = 0; i < 12; i++)
		pulse_trip(&p, 2000, (i + 1) * 1000);
	struct document d;
	pulse_write(document_begin(&d), &p, 7261000);
	document_end(&d, &text);
	CHECK_SLICE(buf_slice(&text),
		    "{\"uptime_seconds\":7260,\"uptime_formatted\":\"2h 1m\",\"current_ping_ms\":12.00,\"avg_ping_ms\":7.50,"
		    "\"p95_ping_ms\":12.00,\"reconnection_count\":0,\"timeout_warnings\":0,\"status\":\"stale\"}");
	buf_finish(&text);
}

int main(void)
{
	RUN(a_pulse_is_of_the_last_ten);
	return check_end();
}
