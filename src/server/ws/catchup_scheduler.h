/* Readers that are behind take turns: a helping each, for a moment at every turn of the loop, so that neither those who are
 * live, nor publishers, nor newcomers wait for all of them (docs/decisions/0014-herd.md). All on the ws thread. */
#ifndef SERVER_WS_CATCHUP_SCHEDULER_H
#define SERVER_WS_CATCHUP_SCHEDULER_H

#include "server/ws/ws_conn.h"

void catchup_init(struct ws *w);
/* Is the reader so far behind that it has to wait for its turn? */
bool catchup_is_due(const struct ws_conn *c);
/* It waits for it, behind those who do already; ws_serve is called when it comes. */
void catchup_wait(struct ws_conn *c);
/* Something was committed: while that goes on, who is behind has a share of the time only. */
void catchup_committed(struct ws *w);

#endif
