/* A replay that its reader steers: pause, resume, step, speed, seek (CONTRACT: WebSocket). On the ws thread. */
#ifndef SERVER_WS_WS_REPLAY_H
#define SERVER_WS_WS_REPLAY_H

#include "event/op.h"
#include "server/ws/ws_conn.h"

/* Does what was said, and answers; a seek waits for the page that is on its way. */
void ws_steer(struct ws_conn *c, const struct op *op);
/* The seek that waited. */
void ws_seek(struct ws_conn *c);

#endif
