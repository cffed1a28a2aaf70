/* The head of a request before it is handed over: which server it is for, and what is refused. */
#include "base/url.h"
#include "server/message/request_peek.h"
#include "unit/check.h"

#define UPGRADE "Host: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static enum peek_kind kind(const char *text)
{
	struct request_peek h;
	return request_peek_read(slice_of(text), &h);
}

static void a_websocket_is_told_from_all_else(void)
{
	struct request_peek h;
	CHECK(request_peek_read(slice_of("GET /v1/ws?after=3 HTTP/1.1\r\n" UPGRADE "Origin: http://o\r\n" KEY "\r\n"), &h) ==
	      PEEK_WEBSOCKET);
	CHECK_SLICE(h.target, "/v1/ws?after=3");
	CHECK_SLICE(h.origin, "http://o");
	CHECK_SLICE(h.host, "h");
	CHECK(kind("GET / HTTP/1.1\r\nHost: h\r\n\r\n") == PEEK_HTTP);
	CHECK(kind("GET / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n") == PEEK_STREAM);
	CHECK(kind("GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html, Text/Event-Stream;q=0.5\r\n\r\n") == PEEK_STREAM);
	CHECK(kind("GET / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream;q=0\r\n\r\n") == PEEK_HTTP);
	CHECK(kind("POST / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n") == PEEK_HTTP);
	CHECK(kind("POST /v1/ws HTTP/1.1\r\n" UPGRADE KEY "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.0\r\n" UPGRADE KEY "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\n" UPGRADE "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\n" UPGRADE "Upgrade: h2c\r\n" KEY "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" KEY "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\nHost: h\r\nUpgrade: h2c, websocket\r\nConnection: Upgrade\r\n" KEY "\r\n") ==
	      PEEK_WEBSOCKET);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\n" UPGRADE "Content-Length: 3\r\n" KEY "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\n" UPGRADE "Content-Length: 0\r\n" KEY "\r\n") == PEEK_WEBSOCKET);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\n" UPGRADE "Transfer-Encoding: chunked\r\n" KEY "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\n" UPGRADE KEY KEY "\r\n") == PEEK_HTTP);
	CHECK(kind("GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" KEY "\r\n") == PEEK_REFUSED);
}

static void heads_that_mean_two_things_are_refused(void)
{
	CHECK(kind("GET / HTTP/1.1\r\n\r\n") == PEEK_REFUSED);
	CHECK(kind("GET / HTTP/1.0\r\n\r\n") == PEEK_HTTP);
	CHECK(kind("GET / HTTP/1.1\r\nHost:\r\n\r\n") == PEEK_HTTP);
	CHECK(kind("GET / HTTP/1.1\r\nHost: h\r\nHOST: h\r\n\r\n") == PEEK_REFUSED);
	CHECK(kind("GET / HTTP/1.1\r\nHost: h\r\nOrigin: a\r\nOrigin: a\r\n\r\n") == PEEK_REFUSED);
	CHECK(kind("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nAuthorization: a\r\n\r\n") == PEEK_REFUSED);
	CHECK(kind("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n") == PEEK_REFUSED);
	CHECK(kind("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1x\r\n\r\n") == PEEK_REFUSED);
}

static void empty_lines_come_before_a_request(void)
{
	struct request_peek h;
	struct slice text = slice_of("\r\n\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nmore");
	CHECK(request_peek_read(text, &h) == PEEK_HTTP && h.len == text.len - 4);
	CHECK_SLICE(h.target, "/");
	for (size_t n = 1; n < text.len - 4; n++)
		CHECK(request_peek_read((struct slice){text.p, n}, &h) == PEEK_INCOMPLETE);
	CHECK(kind("\rGET / HTTP/1.1\r\n\r\n") == PEEK_GARBAGE);
}

static void an_absolute_form_has_an_authority(void)
{
	static const struct {
		const char *target;
		const char *authority; /* NULL: malformed */
		const char *path;
	} cases[] = {{"http://h:1/a/b?limit=1", "h:1", "/a/b"},
		     {"HTTPS://h", "h", "/"},
		     {"http://h?x=/", "h", "/"},
		     {"http:///a", NULL, NULL},
		     {"http://u@h/a", NULL, NULL},
		     {"http://", NULL, NULL}};
	struct url u;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool fine = url_parse(&u, slice_of(cases[i].target)) == URL_FINE;
		CHECK(fine == (cases[i].authority != NULL));
		if (fine) {
			CHECK_SLICE(u.authority, cases[i].authority);
			CHECK_SLICE(u.path, cases[i].path);
		}
		url_finish(&u);
	}
	CHECK(url_parse(&u, slice_of("/http://h/")) == URL_FINE && u.authority.p == NULL);
	url_finish(&u);
}

static int upgrade_of(const char *text)
{
	struct request_peek h;
	request_peek_read(slice_of(text), &h);
	return request_peek_upgrade(&h, NULL);
}

static void what_is_wrong_with_an_upgrade_is_said(void)
{
	CHECK(upgrade_of("GET / HTTP/1.1\r\n" UPGRADE KEY "\r\n") == 0);
	CHECK(upgrade_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n") == 426);
	CHECK(upgrade_of("POST / HTTP/1.1\r\n" UPGRADE KEY "\r\n") == 426);
	CHECK(upgrade_of("GET / HTTP/1.1\r\n" UPGRADE "\r\n") == 426);
	CHECK(upgrade_of("GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 8\r\n\r\n") == 426);
	CHECK(upgrade_of("GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n") == 400);
	CHECK(upgrade_of("GET / HTTP/1.1\r\n" UPGRADE "Content-Length: 1\r\n" KEY "\r\n") == 400);
}

static void every_prefix_is_incomplete(void)
{
	static const char text[] = "GET /v1/ws HTTP/1.1\r\n" UPGRADE KEY "\r\n";
	struct request_peek h;
	for (size_t n = 1; n < sizeof text - 1; n++)
		CHECK(request_peek_read((struct slice){text, n}, &h) == PEEK_INCOMPLETE);
	CHECK(kind(text) == PEEK_WEBSOCKET);
}

static void garbage_is_known_at_once(void)
{
	struct request_peek h;
	CHECK(kind("\x16\x03\x01") == PEEK_GARBAGE);
	CHECK(kind("get / HTTP/1.1\r\n\r\n") == PEEK_GARBAGE);
	CHECK(kind("GET\r\n\r\n") == PEEK_GARBAGE);
	CHECK(request_peek_read((struct slice){"\0\0\0", 3}, &h) == PEEK_GARBAGE);
	CHECK(request_peek_read((struct slice){"GET /\0 HTTP/1.1\r\n\r\n", 19}, &h) == PEEK_GARBAGE);
}

int main(void)
{
	RUN(a_websocket_is_told_from_all_else);
	RUN(heads_that_mean_two_things_are_refused);
	RUN(empty_lines_come_before_a_request);
	RUN(an_absolute_form_has_an_authority);
	RUN(what_is_wrong_with_an_upgrade_is_said);
	RUN(every_prefix_is_incomplete);
	RUN(garbage_is_known_at_once);
	return check_end();
}
