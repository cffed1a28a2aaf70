/* The flags of the monitoring profile. The value of a flag is the last of: the default, MONITORING_… in the environment,
 * --monitoring-flag (or the configuration file), and a value set at run time, which is a note in the store and lasts until
 * it is removed. Flags are read whenever they are used:
 *
 *     USE_ADAPTER             whether ADAPTER_TYPE counts; off: as if it were websocket
 *     ADAPTER_TYPE            where events are sent live: websocket, to dashboards at /ws; realtime, to standard
 *                             clients only (/v1/ws, /v1/events), which always get them; dual, to both
 *     DUAL_MODE               on: as if ADAPTER_TYPE were dual
 *     ENABLE_VALIDATION       whether events of the services are validated (profiles/monitoring/event/validity.h)
 *     VALIDATION_STRICT       whether invalid events are refused, and not stored and listed
 *     METRICS_FLUSH_INTERVAL  seconds after which changed figures are saved at the latest
 *     METRICS_PERSISTENCE     off: figures are saved only when events that they count are evicted
 *     BATCH_SIZE              maximum number of pending messages of a publisher at /events
 *     TIMEOUT_MS              how long a health check waits for its write
 *
 * Any thread. */
#ifndef PROFILES_MONITORING_EVENT_FLAGS_H
#define PROFILES_MONITORING_EVENT_FLAGS_H

#include "base/options.h"
#include "engine/write/writer.h"
#include "json/document.h"

enum flag {
	FLAG_USE_ADAPTER,
	FLAG_ADAPTER_TYPE,
	FLAG_DUAL_MODE,
	FLAG_ENABLE_VALIDATION,
	FLAG_VALIDATION_STRICT,
	FLAG_METRICS_FLUSH_INTERVAL,
	FLAG_METRICS_PERSISTENCE,
	FLAG_BATCH_SIZE,
	FLAG_TIMEOUT_MS,
	FLAGS,
};

struct flags;

/* FLAGS: there is no such flag. */
enum flag flag_find(struct slice name);
/* A static text. */
const char *flag_name(enum flag flag);

/* Checks "NAME=VALUE". ERR_INVALID tells the error. */
enum err flag_check(const char *text, struct fault *fault);

/* `options` are texts that flag_check accepts. An invalid value in the environment is logged, and the default is used, as
 * in the Python hub. */
enum err flags_create(struct store *store, const struct option_texts *options, struct flags **out, struct fault *fault);
void flags_destroy(struct flags *f);

int64_t flags_get(const struct flags *f, enum flag flag);

enum adapter { ADAPTER_WEBSOCKET, ADAPTER_REALTIME, ADAPTER_DUAL, ADAPTERS };

/* The effective adapter, from all three flags. */
enum adapter flags_adapter(const struct flags *f);
/* A static text. */
const char *adapter_name(enum adapter adapter);

/* Each fills in an object: the nine values by name; the source of each; contradictions ("issues") and their effect
 * ("health"). */
void flags_write(const struct flags *f, struct doc to);
void flags_write_sources(struct flags *f, struct doc to);
void flags_write_issues(const struct flags *f, struct doc to);

enum { FLAG_BY_MAX = 64 };

/* A change that is being stored; `done` is called once, on the writer's thread. The caller keeps it until then. */
struct flag_change {
	struct write_op op; /* first member: the writer hands it back. Its err and fault are the result */
	struct flags *flags;
	enum flag flag;
	int64_t value;
	bool unset; /* return to the configured value */
	int64_t at_ms;
	char by[FLAG_BY_MAX]; /* name of the token; "" without one */
	void (*done)(struct flag_change *change);
};
/* `value` is JSON; null: the configured value. ERR_INVALID tells which values the flag has. */
enum err flags_change(struct flags *f, struct writer *w, enum flag flag, struct slice value, struct flag_change *change,
		      struct fault *fault);

/* A note saved with the figures: were the events after them validated? A recount after a restart uses the note, because
 * the flag may have changed. Written in the open transaction. */
enum noted { NOTED_NOTHING, NOTED_OFF, NOTED_ON };
enum err flags_note_validation(bool on, struct store *store, struct fault *fault);
enum err flags_noted_validation(struct store *store, enum noted *out, struct fault *fault);

/* Refuses a batch in which an event of a service breaks a rule: ERR_INVALID names the rule and the event. An event with
 * an id may have been stored before strict validation was on: a retry by its publisher is a duplicate and not refused.
 * Only the writer knows whether it is stored, so `options` have it check. */
enum err flags_admit(struct flags *f, const struct batch *batch, struct append_options *options, struct fault *fault);
/* Number of refused batches. */
uint64_t flags_refused(const struct flags *f);

#endif
