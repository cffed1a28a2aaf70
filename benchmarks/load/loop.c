#include "load/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load/protocol.h"

enum { READ_BYTES = 128 << 10, IN_BYTES = 4 << 20, EVENTS_MAX = 256 };

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void loop_init(struct loop *loop)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->in = malloc(IN_BYTES);
	loop->ready = 0;
	if (loop->epoll < 0 || loop->in == NULL)
		die("no event loop: %s", strerror(errno));
}

static void watch(struct conn *c, int how, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};
	if (epoll_ctl(c->loop->epoll, how, c->fd, &e) != 0)
		die("epoll: %s", strerror(errno));
}

void conn_open(struct conn *c, struct loop *loop, const struct protocol *protocol, int port, const char *target)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;
	c->loop = loop;
	c->protocol = protocol;
	c->waiting = false;
	buf_init(&c->out);
	buf_init(&c->rest);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
		die("connecting to port %d: %s", port, strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
	loop->ready += protocol->silent;
	protocol->greet(&c->out, target);
	conn_flush(c);
}

void conn_close(struct conn *c)
{
	close(c->fd);
	buf_finish(&c->out);
	buf_finish(&c->rest);
}

void conn_flush(struct conn *c)
{
	size_t sent = 0;
	while (sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + sent, c->out.len - sent, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			die("send: %s", strerror(errno));
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	buf_drop(&c->out, sent);
	if (c->waiting != (c->out.len > 0)) {
		c->waiting = c->out.len > 0;
		watch(c, EPOLL_CTL_MOD, c->waiting ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
}

static void take(struct conn *c, const struct message *m)
{
	switch (m->kind) {
	case MESSAGE_NONE: break;
	case MESSAGE_PING:
		buf_adds(&c->out, c->protocol->pong);
		conn_flush(c);
		break;
	case MESSAGE_BAD: die("the server says: %.*s", (int)(m->len < 300 ? m->len : 300), m->text);
	case MESSAGE_READY:
		c->loop->ready++;
		c->on_message(c, m);
		break;
	case MESSAGE_EVENT:
	case MESSAGE_ACK: c->on_message(c, m); break;
	}
}

static void readable(struct conn *c)
{
	char *in = c->loop->in;
	size_t len = c->rest.len;
	if (len > IN_BYTES - READ_BYTES)
		die("a message of more than %zu bytes", len);
	if (len > 0)
		memcpy(in, c->rest.data, len);
	ssize_t n = recv(c->fd, in + len, READ_BYTES, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("the server closed a connection: %s", n < 0 ? strerror(errno) : "end of stream");
	len += (size_t)n;
	size_t at = 0;
	struct message m;
	for (size_t used; at < len && (used = c->protocol->next(in + at, len - at, &m)) > 0; at += used)
		take(c, &m);
	c->rest.len = 0;
	buf_add(&c->rest, in + at, len - at);
}

bool loop_once(struct loop *loop, int64_t wait_us)
{
	struct epoll_event events[EVENTS_MAX];
	if (wait_us < 0)
		wait_us = 0;
	struct timespec wait = {wait_us / 1000000, wait_us % 1000000 * 1000};
	int n = epoll_pwait2(loop->epoll, events, EVENTS_MAX, &wait, NULL);
	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;
		if (events[i].events & EPOLLOUT)
			conn_flush(c);
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			readable(c);
	}
	return !stopped;
}
