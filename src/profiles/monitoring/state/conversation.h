/* Conversations: the sessions of the monitored services, identified by continuation_id (or conversation_id) in the
 * metadata of their events. They are tracked whether or not a dashboard is connected, and dropped after a day without an
 * event. */
#ifndef PROFILES_MONITORING_STATE_CONVERSATION_H
#define PROFILES_MONITORING_STATE_CONVERSATION_H

#include "base/err.h"
#include "profiles/monitoring/event/flat.h"

struct store;
struct conversations;

struct conversations *conversations_create(void);
void conversations_destroy(struct conversations *c);

/* True: the event has an id or changes the session metrics, and dashboards must be informed. Without memory the event is
 * not counted. */
bool conversations_add(struct conversations *c, const struct flat *f);

enum { CONVERSATION_TEXT_MAX = 255 /* maximum bytes of an id or a model; longer ones are ignored */ };

/* The newest conversation with a model, and the number of active ones as of `now_ms`. */
struct conversation_figures {
	size_t active;
	size_t total;
	uint64_t messages;
	uint64_t tokens_used;
	uint64_t tokens_max;
	size_t model_len; /* 0: there is none */
	char model[CONVERSATION_TEXT_MAX];
};
void conversations_read(const struct conversations *c, int64_t now_ms, struct conversation_figures *out);
/* Appends the session metrics object. */
void conversations_write(struct buf *out, const struct conversation_figures *f);

/* Puts those with events after `saved` (a seq) into the store's open transaction, and deletes dropped ones. */
enum err conversations_save(const struct conversations *c, struct store *store, uint64_t saved, struct fault *fault);
enum err conversations_load(struct conversations *c, struct store *store, struct fault *fault);

#endif
