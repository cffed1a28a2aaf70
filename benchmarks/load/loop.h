/* One epoll loop and its connections: bytes come in and are cut into messages by the connection's protocol, bytes to
 * send wait until the socket takes them. What goes wrong ends the program: a load generator has nothing to save. */
#ifndef LOAD_LOOP_H
#define LOAD_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct conn;
struct protocol;

enum message_kind {
	MESSAGE_NONE,  /* concerns nobody */
	MESSAGE_READY, /* the connection may be used */
	MESSAGE_EVENT,
	MESSAGE_ACK, /* so many events (or one reply to a query) were taken by the server */
	MESSAGE_PING,
	MESSAGE_BAD, /* a refusal: the text says why */
};

struct message {
	enum message_kind kind;
	const char *text;
	size_t len;
	uint64_t count; /* of MESSAGE_ACK; the head of MESSAGE_READY where the server has one */
};

typedef void on_message(struct conn *c, const struct message *m);

struct loop {
	int epoll;
	char *in;     /* what one read takes, after what the connection had left */
	size_t ready; /* connections that may be used */
};

struct conn {
	struct loop *loop;
	int fd;
	const struct protocol *protocol;
	on_message *on_message;
	void *owner;
	struct buf out;
	struct buf rest; /* the beginning of a message whose end has not come */
	bool waiting;    /* for the socket to take more */
};

void loop_init(struct loop *loop);
/* Waits for at most `wait_us`, serves what is ready, once. False when SIGTERM or SIGINT asked for the end. */
bool loop_once(struct loop *loop, int64_t wait_us);

/* Connects to 127.0.0.1 and sends the protocol's greeting for `target`. */
void conn_open(struct conn *c, struct loop *loop, const struct protocol *protocol, int port, const char *target);
/* Sends what has been put into c->out. */
void conn_flush(struct conn *c);
void conn_close(struct conn *c);

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
