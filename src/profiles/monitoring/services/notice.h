/* Events that the server itself publishes in the monitoring profile: in the stream `websocket`, in the shape of the
 * services' events, so that dashboards, figures and the auditor handle them alike. Any thread. */
#ifndef PROFILES_MONITORING_SERVICES_NOTICE_H
#define PROFILES_MONITORING_SERVICES_NOTICE_H

#include "engine/write/writer.h"
#include "json/document.h"

/* An event that is being composed. */
struct notice {
	struct document document;
};

/* Begins {"type":TYPE,…} for an action of the server (direction send) or an error (`error` not NULL). Returns its
 * metadata, to which the caller adds members; then one of the two functions below must be called. */
struct doc notice_begin(struct notice *n, const char *type, const char *error);

/* Makes a batch of the event, to be stored with or without a change. ERR_NOMEM. */
enum err notice_batch(struct notice *n, struct batch **out, struct fault *fault);
/* Stores the event asynchronously; a failure is logged. */
void notice_send(struct writer *w, struct notice *n);

#endif
