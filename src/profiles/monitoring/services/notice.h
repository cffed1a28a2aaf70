/* Events of the server's own in the monitoring profile: in the stream `websocket`, in the shape in which the services send
 * theirs, so that dashboards, figures and the auditor take them as any other. Any thread. */
#ifndef PROFILES_MONITORING_SERVICES_NOTICE_H
#define PROFILES_MONITORING_SERVICES_NOTICE_H

#include "base/buf.h"
#include "engine/write/writer.h"

/* Begins `{"type":TYPE,…` for what the server does (direction send) or what has gone wrong (`error` not NULL), up to
 * `"metadata":{`: members and two braces are the caller's to add. */
void notice_begin(struct buf *out, const char *type, const char *error);

/* An event such as notice_begin has begun, to be stored with or without a change; `op` is otherwise the caller's. ERR_NOMEM.
 * Takes the text. */
enum err notice_batch_take(struct buf *text, struct batch **out, struct fault *fault);
/* Stores it, and forgets about it: that it could not be is logged. Takes the text. */
void notice_send_take(struct writer *w, struct buf *text);

#endif
