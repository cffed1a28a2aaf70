/* What is counted of one service since the beginning of the log. Whole numbers only, so that counting again, in whatever
 * portions, comes to exactly the same. */
#ifndef PROFILES_MONITORING_STATE_TALLY_H
#define PROFILES_MONITORING_STATE_TALLY_H

#include "profiles/monitoring/event/flat.h"

struct tally {
	uint64_t events;
	uint64_t sent_bytes;
	uint64_t received_bytes;
	uint64_t errors; /* flat_is_error */
	uint64_t timed;  /* events with a response time */
	uint64_t timed_us;
	uint64_t last_ms; /* Unix, of the last event; 0: none */
	uint64_t open;    /* connections, by events that say connect and disconnect */
};

void tally_add(struct tally *t, const struct flat *f);
/* Takes the newest event out again; the time of the one before it is left to whoever knows it. */
void tally_remove(struct tally *t, const struct flat *f);
double tally_mean_ms(const struct tally *t);

/* The stats object of the profile; {} where there was no event. `with_total`: total_bytes as well. */
void tally_write(struct buf *out, enum service service, const struct tally *t, bool with_total);

void tally_save(struct buf *out, const struct tally *t);
bool tally_load(struct slice text, struct tally *t);

/* The response time as it is counted: in whole microseconds, no more than a month. */
uint64_t tally_response_us(const struct flat *f);

#endif
