/* Conversations: the sessions of the monitored services, told apart by the continuation_id (or conversation_id) in the
 * metadata of their events. Tracked whether or not anybody watches, and forgotten after a day without an event. */
#ifndef PROFILES_MONITORING_STATE_CONVERSATION_H
#define PROFILES_MONITORING_STATE_CONVERSATION_H

#include "base/err.h"
#include "profiles/monitoring/event/flat.h"

struct store;
struct conversations;

struct conversations *conversations_create(void);
void conversations_destroy(struct conversations *c);

/* True when the event carries an id or changes what is shown: watchers are to be told. ERR_NOMEM loses this event for the
 * count. */
bool conversations_add(struct conversations *c, const struct flat *f);

enum { CONVERSATION_TEXT_MAX = 255 /* bytes of an id or a model; longer ones are none */ };

/* What the newest conversation with a model is at, and how many there are as of `now_ms`. */
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
/* The session metrics object. */
void conversations_write(struct buf *out, const struct conversation_figures *f);

/* Puts those with events after `saved` (a seq) into the store's open transaction, and takes out who was forgotten. */
enum err conversations_save(const struct conversations *c, struct store *store, uint64_t saved, struct fault *fault);
enum err conversations_load(struct conversations *c, struct store *store, struct fault *fault);

#endif
