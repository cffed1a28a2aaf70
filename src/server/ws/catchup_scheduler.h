/* Readers that are behind take turns: a helping each, for a moment at every turn of the loop, so that neither those who are
 * live, nor publishers, nor newcomers wait for all of them (docs/decisions/0014-herd.md). All on the ws thread. */
#ifndef SERVER_WS_CATCHUP_SCHEDULER_H
#define SERVER_WS_CATCHUP_SCHEDULER_H

#include "server/ws/ws_conn.h"

/* `serve` is called for a reader whose turn it is. */
void catchup_init(struct ws *w, void (*serve)(struct ws_conn *c));
/* Is the reader so far behind that it has to wait for its turn? */
bool catchup_is_due(const struct ws_conn *c);
/* The reader waits for its turn, behind those that wait already. */
void catchup_wait(struct ws_conn *c);
/* Something was committed. While commits arrive, readers that are behind get at most half of the thread's time. */
void catchup_committed(struct ws *w);

#endif
