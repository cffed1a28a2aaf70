/* Events of the server's own in the monitoring profile: in the stream `websocket`, in the shape in which the services send
 * theirs, so that dashboards, figures and the auditor take them as any other. Any thread. */
#ifndef PROFILES_MONITORING_SERVICES_NOTICE_H
#define PROFILES_MONITORING_SERVICES_NOTICE_H

#include "engine/write/writer.h"
#include "json/document.h"

/* An event on its way. */
struct notice {
	struct document document;
};

/* Begins {"type":TYPE,…} for what the server does (direction send) or what has gone wrong (`error` not NULL). Returns its
 * metadata, whose members are the caller's to add; one of the two calls below follows. */
struct doc notice_begin(struct notice *n, const char *type, const char *error);

/* Makes a batch of it, to be stored with or without a change. ERR_NOMEM. */
enum err notice_batch(struct notice *n, struct batch **out, struct fault *fault);
/* Stores it, and forgets about it: that it could not be is logged. */
void notice_send(struct writer *w, struct notice *n);

#endif
