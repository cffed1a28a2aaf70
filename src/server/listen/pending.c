/* Connections whose request has not arrived: peeks at the head of the request without taking it out of the socket, and
 * decides which server gets the connection. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "server/http/http.h"
#include "server/listen/listener_internal.h"
#include "server/message/peer.h"
#include "server/message/problem.h"
#include "server/message/request_peek.h"
#include "server/ws/ws.h"

enum {
	PEEK_MAX = 8 * 1024, /* a longer head is left to the HTTP server, which refuses it */
	/* Limit of a head for the HTTP server for streams, whose memory per connection is small. */
	STREAM_HEAD_MAX = 2 * 1024,
};

enum err listener_watch(struct listener *l, int fd, uint32_t events, void *what, struct fault *fault)
{
	struct epoll_event e = {.events = events, .data.ptr = what};
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) == 0)
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "cannot watch a socket: %s", strerror(errno));
}

uint64_t listener_counted(const struct listener *l, const struct sockaddr_storage *address)
{
	return proxies_counted(l->options.guard->proxies, (const struct sockaddr *)address);
}

void listener_on_close(void *arg, uint64_t peer)
{
	struct listener *l = arg;
	quota_give(l->options.quotas, QUOTA_CONNECTIONS, peer, 1);
}

void pending_drop(struct listener *l, struct pending_conn *p)
{
	uint64_t peer = listener_counted(l, &p->a.address);
	close(p->a.fd);
	free(p);
	listener_on_close(l, peer);
}

void pending_answer(const struct listener *l, int fd, int status, const struct fault *fault)
{
	char retry[40] = "";
	int seconds = problem_retry_after(status);
	if (seconds > 0)
		snprintf(retry, sizeof retry, "Retry-After: %d\r\n", seconds);
	struct buf body;
	struct buf reply;
	buf_init(&body);
	buf_init(&reply);
	problem_write(&body, status, fault, (struct problem_options){l->options.guard->base, false});
	buf_printf(&reply,
		   "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n%sConnection: "
		   "close\r\nContent-Length: "
		   "%zu\r\n\r\n",
		   status, problem_title(status), retry, body.len);
	buf_add(&reply, body.data, body.len);
	if (!buf_failed(&reply) && !buf_failed(&body)) {
		ssize_t sent = send(fd, reply.data, reply.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)sent; /* the client may have closed */
	}
	buf_finish(&body);
	buf_finish(&reply);
}

/* The same for a connection whose request has arrived. */
static void refuse_request(struct listener *l, struct pending_conn *p, int status, const struct fault *why)
{
	char bytes[PEEK_MAX];
	/* Take the bytes out of the socket: closing over unread bytes would reset the connection before the client reads
	 * the answer. */
	(void)!recv(p->a.fd, bytes, sizeof bytes, MSG_DONTWAIT);
	pending_answer(l, p->a.fd, status, why);
	pending_drop(l, p);
}

/* A WebSocket request with bad parameters, without permission, or over a limit is left to the HTTP server, which answers
 * with the error. */
static void hand_to_ws(struct listener *l, struct pending_conn *p, const struct request_peek *head)
{
	struct ws_request *request = NULL;
	const struct sockaddr *from = (const struct sockaddr *)&p->a.address;
	struct guard_input input = {.host = head->host,
				    .origin = head->origin,
				    .authorization = head->authorization,
				    .subprotocol = head->bearer,
				    .peer = proxies_peer(l->options.guard->proxies, from, &head->forwarded),
				    .local = peer_is_local(p->a.fd),
				    .guarded = true};
	struct fault fault;
	if (ws_request_create(head, l->options.guard, &input, &request, &fault) != ERR_NONE ||
	    ws_reserve(l->ws, request, &fault) != ERR_NONE) {
		ws_request_destroy(request);
		http_add_take(l->http, &p->a);
		return;
	}
	ws_add_take(l->ws, p->a.fd, request, listener_counted(l, &p->a.address));
	free(p);
}

static int too_large(struct fault *fault)
{
	fault_set(fault, ERR_TOO_LARGE,
		  "the request head is too large: the limits are 8 KiB, 100 headers and 100 query parameters");
	return 431;
}

/* The status and reason for a head that is refused here; 0: the head is good. `ended`: the client sends no more. */
static int refusal_of(enum peek_kind kind, const struct request_peek *head, bool ended, struct fault *fault)
{
	switch (kind) {
	case PEEK_GARBAGE: fault_set(fault, ERR_INVALID, "this is not an HTTP request"); return 400;
	case PEEK_REFUSED: return request_peek_refusal(head, fault);
	case PEEK_INCOMPLETE:
		if (!ended) /* PEEK_MAX bytes without the end of the head */
			return too_large(fault);
		fault_set(fault, ERR_INVALID, "the connection ended before the end of the request head");
		return 400;
	case PEEK_TOO_LARGE: return too_large(fault);
	case PEEK_HTTP:
	case PEEK_STREAM:
	case PEEK_WEBSOCKET: break;
	}
	return 0;
}

bool pending_peek(struct listener *l, struct pending_conn *p, bool ended)
{
	char bytes[PEEK_MAX];
	ssize_t n = recv(p->a.fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	struct request_peek head;
	enum peek_kind kind = n > 0 ? request_peek_read((struct slice){bytes, (size_t)n}, &head) : PEEK_GARBAGE;
	if (kind == PEEK_INCOMPLETE && n < PEEK_MAX && !ended)
		return false;
	list_remove(&p->a.link);
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, p->a.fd, NULL);
	if (n <= 0) {
		pending_drop(l, p);
		return true;
	}
	struct fault fault;
	int status = refusal_of(kind, &head, ended && n < PEEK_MAX, &fault);
	if (status != 0)
		refuse_request(l, p, status, &fault);
	else if (kind == PEEK_WEBSOCKET)
		hand_to_ws(l, p, &head);
	else
		http_add_take(kind == PEEK_STREAM && head.len <= STREAM_HEAD_MAX ? l->streams : l->http, &p->a);
	return true;
}

/* Edge-triggered: bytes that were peeked at stay in the socket and must not wake the thread again. */
void pending_watch(struct listener *l, struct pending_conn *p)
{
	struct fault fault;
	list_append(&l->waiting, &p->a.link);
	if (listener_watch(l, p->a.fd, EPOLLIN | EPOLLET | EPOLLRDHUP, p, &fault) == ERR_NONE)
		return;
	list_remove(&p->a.link);
	pending_answer(l, p->a.fd, 503, &fault);
	pending_drop(l, p);
}

struct pending_conn *pending_create(const struct listener *l, int fd, const struct sockaddr_storage *address,
				    socklen_t address_len)
{
	struct pending_conn *p = malloc(sizeof *p);
	if (p == NULL)
		return NULL;
	*p = (struct pending_conn){.a = {.fd = fd, .address = *address, .address_len = address_len},
				   .deadline_ms = clock_mono_ms() + l->options.handshake_ms};
	list_init(&p->a.link);
	return p;
}
