/* Readers that are behind take turns: a helping each, for a moment at every turn of the loop, so that neither those who are
 * live, nor publishers, nor newcomers wait for all of them (docs/decisions/0014-herd.md). All on the ws thread. */
#ifndef NET_WS_TURN_H
#define NET_WS_TURN_H

#include "net/ws_conn.h"

void ws_turns_init(struct ws *w);
/* Is the reader so far behind that it has to wait for its turn? */
bool ws_turn_is_due(const struct ws_conn *c);
/* It waits for it, behind those who do already; ws_serve is called when it comes. */
void ws_turn_wait(struct ws_conn *c);
/* Something was committed: while that goes on, who is behind has a share of the time only. */
void ws_turns_committed(struct ws *w);

#endif
