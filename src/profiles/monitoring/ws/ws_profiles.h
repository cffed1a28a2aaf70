/* The WebSocket paths of the monitoring profile. */
#ifndef PROFILES_MONITORING_WS_WS_PROFILES_H
#define PROFILES_MONITORING_WS_WS_PROFILES_H

#include "profiles/monitoring/services/monitoring.h"
#include "server/ws/ws_profile.h"

/* /ws; `live` is the encoding of the flat shape. */
struct ws_profile ws_dashboard(struct monitoring *self, enum encoding live);
/* /events */
struct ws_profile ws_ingest(struct monitoring *self);

/* Publishes an event: a connection was closed because its peer was silent. */
void ws_note_silence(const struct ws_conn *c, int64_t silent_ms);

#endif
