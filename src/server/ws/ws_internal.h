/* The inside of the WebSocket server: ws.c (the thread), ws_request.c (before the handshake), ws_open.c (the life of a
 * connection), ws_receive.c (messages) and ws_close.c (the peer closes) share it. */
#ifndef SERVER_WS_WS_INTERNAL_H
#define SERVER_WS_WS_INTERNAL_H

#include "server/ws/ws_conn.h"

enum {
	KEY_LEN = 24,
	CLOSE_REVOKED = 4401,
	CLOSE_TRY_AGAIN = 1013,
	CLOSE_DELETED = 4404,
	CLOSE_TAKEN_OVER = 4409,
};

struct ws_request {
	const struct ws_profile *profile;
	size_t request_peek_len; /* bytes of the request in the socket */
	char key[KEY_LEN + 1];
	bool subprotocol; /* is agreed */
	struct url url;
	struct reader_query query;
	struct grant grant;
	uint64_t peer;
	struct ws_places places; /* see ws_reserve */
	struct ws_conn *conn;    /* made beforehand, so that nothing can fail once the socket is taken */
};

/* ws_request.c */

void ws_give_places(struct ws_places *p);

/* ws_open.c */

/* The handshake is done. */
int ws_open(struct ws_conn *c);
void ws_conn_destroy(struct ws_conn *c);
/* Closes the connection when its token does not hold any longer. */
void ws_check_grant(struct ws_conn *c);

/* ws_receive.c */

void ws_receive(struct ws_conn *c, const void *bytes, size_t len);
void ws_drop_message(struct ws_conn *c);

/* ws_close.c */

/* The peer's Close has come. Not 0: the connection ends at once. */
int ws_peer_closed(struct ws_conn *c, struct slice payload);
/* libwebsockets ends an open connection. */
void ws_ending(struct ws_conn *c);

#endif
