/* The switches of the monitoring profile. A value is the newest of: the default, MONITORING_… in the environment,
 * --monitoring-flag (or the configuration file), and what somebody has set at run time, which is a note in the store and
 * lasts until it is taken back. Each acts where it is asked for:
 *
 *     USE_ADAPTER                            ADAPTER_TYPE decides; off: as if that were websocket
 *     ADAPTER_TYPE                           where events are sent live: websocket, to dashboards at /ws; realtime, to
 *                                            standard clients only (/v1/ws, /v1/events), which get them always; dual, to
 * both DUAL_MODE                              as if ADAPTER_TYPE were dual ENABLE_VALIDATION                      events of
 * the services are held against the rules (profiles/monitoring/event/validity.h) VALIDATION_STRICT                      …and
 * refused where they break one, rather than stored and listed METRICS_FLUSH_INTERVAL                 seconds after which
 * figures that have changed are saved at the latest METRICS_PERSISTENCE                    off: figures are saved only where
 * what they count leaves the log BATCH_SIZE                             frames of one publisher at /events that are on their
 * way to the disk at once TIMEOUT_MS                             how long a health check waits for its write
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

/* FLAGS where there is none. */
enum flag flag_find(struct slice name);
/* A static text. */
const char *flag_name(enum flag flag);

/* Reads "NAME=VALUE". ERR_INVALID says what is wrong. */
enum err flag_check(const char *text, struct fault *fault);

/* `options` are such texts, which passed flag_check. A value of the environment that means nothing is logged, and is the
 * default, as in the Python hub. */
enum err flags_create(struct store *store, const struct option_texts *options, struct flags **out, struct fault *fault);
void flags_destroy(struct flags *f);

int64_t flags_get(const struct flags *f, enum flag flag);

enum adapter { ADAPTER_WEBSOCKET, ADAPTER_REALTIME, ADAPTER_DUAL, ADAPTERS };

/* The one in force, by all three flags. */
enum adapter flags_adapter(const struct flags *f);
/* A static text. */
const char *adapter_name(enum adapter adapter);

/* Each fills in an object: the nine values by name; where each comes from; what is contradictory ("issues"), and what that
 * means ("health"). */
void flags_write(const struct flags *f, struct doc to);
void flags_write_sources(struct flags *f, struct doc to);
void flags_write_issues(const struct flags *f, struct doc to);

enum { FLAG_BY_MAX = 64 };

/* A change on its way to the disk; `done` is called once, on the writer's thread. The caller keeps it until then. */
struct flag_change {
	struct write_op op; /* first: the writer gives it back. Its err and fault are the result */
	struct flags *flags;
	enum flag flag;
	int64_t value;
	bool unset; /* back to what is configured */
	int64_t at_ms;
	char by[FLAG_BY_MAX]; /* a token's name; "" without one */
	void (*done)(struct flag_change *change);
};
/* `value` is JSON; null: as configured. ERR_INVALID says what the flag takes. */
enum err flags_change(struct flags *f, struct writer *w, enum flag flag, struct slice value, struct flag_change *change,
		      struct fault *fault);

/* A note beside the saved figures: were events after them validated? A recount after a restart uses this note, because the
 * flag may have another value by then. Written in the open transaction. */
enum noted { NOTED_NOTHING, NOTED_OFF, NOTED_ON };
enum err flags_note_validation(bool on, struct store *store, struct fault *fault);
enum err flags_noted_validation(struct store *store, enum noted *out, struct fault *fault);

/* Is the batch refused, because an event of a service breaks a rule? ERR_INVALID names the rule, at the event. One with an
 * id may be stored already, from before validation was strict: a retry of its publisher is a duplicate and not refused.
 * Whether it is stored only the writer can tell, so `options` have it check. */
enum err flags_admit(struct flags *f, const struct batch *batch, struct append_options *options, struct fault *fault);
/* Batches that were. */
uint64_t flags_refused(const struct flags *f);

#endif
