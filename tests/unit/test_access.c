#include "check.h"
#include "event/event.h"
#include "server/access/request_guard.h"
#include "server/message/host.h"
#include "server/message/peer.h"
#include "server/message/proxy.h"

#include <arpa/inet.h>

#define HASH "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static enum err parse(const char *text, struct tokens **out, struct fault *fault)
{
	return tokens_parse(slice_of(text), out, fault);
}

static void a_file_of_tokens(void)
{
	struct tokens *t;
	struct fault fault;
	CHECK(parse("# one\n\n  {\"name\":\"a\", \"scopes\":[\"read\",\"publish\"], \"hash\":\"" HASH "1\"}\r\n"
		    "{\"name\":\"b\",\"scopes\":[\"read\"],\"streams\":[\"x\\u0041\",\"y*\"],\"hash\":\"" HASH "2\"}",
		    &t, &fault) == ERR_NONE);
	CHECK(tokens_count(t) == 2);
	CHECK(tokens_at(t, 0)->scopes == (SCOPE_READ | SCOPE_PUBLISH) && tokens_at(t, 0)->pattern_count == 0);
	CHECK(tokens_at(t, 0)->line == 3 && tokens_at(t, 1)->line == 4);
	CHECK_SLICE(tokens_at(t, 1)->patterns[0], "xA");
	CHECK_SLICE(tokens_at(t, 1)->patterns[1], "y*");
	CHECK(tokens_find(t, slice_of("td_x")) == NULL);
	CHECK(tokens_again(t, tokens_at(t, 1)) == tokens_at(t, 1));
	tokens_unref(t);
}

static void what_is_not_understood_is_refused(void)
{
	static const char *const bad[] = {
		"{",
		"[]",
		"{}",
		"{\"name\":\"a\",\"scopes\":[\"read\"]}",
		"{\"name\":5,\"scopes\":[\"read\"],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":\"read\",\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[\"read\"],\"streams\":\"s\",\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a b\",\"scopes\":[\"read\"],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[\"all\"],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[\"read\"],\"hash\":\"" HASH "\"}",
		"{\"name\":\"a\",\"scopes\":[\"read\"],\"hash\":\"" HASH "g\"}",
		"{\"name\":\"a\",\"scopes\":[\"read\"],\"streams\":[],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[\"read\"],\"streams\":[\"\"],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[\"read\"],\"stream\":[\"a\"],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[\"admin\"],\"streams\":[\"a\"],\"hash\":\"" HASH "1\"}",
		"{\"name\":\"a\",\"scopes\":[\"read\"],\"hash\":\"" HASH "1\"} {}",
	};
	struct tokens *t;
	struct fault fault;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK(parse(bad[i], &t, &fault) == ERR_INVALID);
		CHECK(t == NULL && fault.place == 1);
	}
	CHECK(parse("{\"name\":\"a\",\"scopes\":[\"read\"],\"hash\":\"" HASH "1\"}\n"
		    "{\"name\":\"a\",\"scopes\":[\"read\"],\"hash\":\"" HASH "2\"}",
		    &t, &fault) == ERR_INVALID);
	CHECK(fault.place == 2);
	CHECK(parse("{\"name\":\"a\",\"scopes\":[\"read\"],\"hash\":\"" HASH "1\"}\n"
		    "{\"name\":\"b\",\"scopes\":[\"read\"],\"hash\":\"" HASH "1\"}",
		    &t, &fault) == ERR_INVALID);
}

static void a_file_has_so_many_tokens_at_most(void)
{
	char text[TOKEN_LEN];
	struct buf file;
	struct tokens *t;
	struct fault fault;
	buf_init(&file);
	for (int i = 0; i <= TOKENS_MAX; i++) {
		char name[16];
		snprintf(name, sizeof name, "t%d", i);
		CHECK(token_make(name, SCOPE_READ, NULL, 0, text, &file));
	}
	CHECK(tokens_parse(buf_slice(&file), &t, &fault) == ERR_INVALID && fault.place == TOKENS_MAX + 1);
	buf_finish(&file);
}

static void a_token_that_was_made_is_found(void)
{
	struct slice patterns[] = {slice_of("a\"b"), slice_of("c*")};
	char text[TOKEN_LEN];
	char other[TOKEN_LEN];
	struct buf file;
	struct tokens *t;
	struct fault fault;
	buf_init(&file);
	CHECK(token_make("one", SCOPE_READ | SCOPE_PUBLISH, patterns, 2, text, &file));
	CHECK(token_make("two", SCOPE_ADMIN, NULL, 0, other, &file));
	CHECK(tokens_parse(buf_slice(&file), &t, &fault) == ERR_NONE);
	CHECK(tokens_find(t, slice_of(text)) == tokens_at(t, 0));
	CHECK(tokens_find(t, slice_of(other)) == tokens_at(t, 1));
	CHECK(memmem(file.data, file.len, text + 3, 10) == NULL);
	CHECK_SLICE(tokens_at(t, 0)->patterns[0], "a\"b");
	text[TOKEN_LEN - 2] ^= 1;
	CHECK(tokens_find(t, slice_of(text)) == NULL);
	tokens_unref(t);
	buf_finish(&file);
}

static void patterns_are_names_or_their_beginnings(void)
{
	CHECK(filter_pattern_fits(slice_of("a"), slice_of("a")));
	CHECK(!filter_pattern_fits(slice_of("a"), slice_of("ab")));
	CHECK(filter_pattern_fits(slice_of("a*"), slice_of("ab")) && filter_pattern_fits(slice_of("a*"), slice_of("a")));
	CHECK(filter_pattern_fits(slice_of("*"), slice_of("")) && filter_pattern_fits(slice_of("*"), slice_of("x")));
	CHECK(!filter_pattern_fits(slice_of("a*c"), slice_of("abc")));
	struct filter *f = filter_create();
	CHECK(filter_is_open(f) && filter_add_pattern(f, slice_of("a*")) == ERR_NONE && !filter_is_open(f));
	CHECK(filter_match(f, slice_of("ab"), slice_of("t")) && !filter_match(f, slice_of("b"), slice_of("t")));
	CHECK(filter_add_stream(f, slice_of("b")) == ERR_NONE && !filter_match(f, slice_of("b"), slice_of("t")));
	filter_destroy(f);
}

static void hosts(void)
{
	struct option_texts listen = {2, {"127.0.0.1:8080", "events.lan:80"}};
	struct option_texts allowed = {1, {"Proxy.example:443"}};
	struct option_texts none = {0};
	struct option_texts any = {1, {"*"}};
	static const char *const fine[] = {"",      "localhost",  "LOCALHOST:1",     "127.0.0.1:8080", "127.9.9.9",
					   "[::1]", "[::1]:8080", "events.lan:8080", "proxy.example",  "proxy.example:8080"};
	static const char *const foreign[] = {"evil.example", "localhost.evil",  "127.0.0.1.evil", "127.1",
					      "0x7f.1",       "[::2]",           "[::1",           "evil:localhost",
					      ":80",          "localhost:80:80", "10.0.0.1",       "127.0.0.1@evil"};
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		CHECK(host_is_fine(slice_of(fine[i]), &listen, &allowed));
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		CHECK(!host_is_fine(slice_of(foreign[i]), &listen, &allowed));
		CHECK(host_is_fine(slice_of(foreign[i]), &none, &any));
	}
}

static void bearers(void)
{
	CHECK_SLICE(request_guard_bearer(slice_of("Bearer abc")), "abc");
	CHECK_SLICE(request_guard_bearer(slice_of(" bEARER \t abc ")), "abc");
	static const char *const none[] = {"",          "Bearer",     "Bearer ",    "abc",
					   "Basic abc", "Bearer a b", "Bearer a,b", "Bearera"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		CHECK(request_guard_bearer(slice_of(none[i])).len == 0);
}

static uint64_t key_of(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return peer_key((const struct sockaddr *)&v4);
	CHECK(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
	return peer_key((const struct sockaddr *)&v6);
}

static void peers(void)
{
	char text[PEER_TEXT_LEN];
	CHECK(key_of("192.0.2.7") != key_of("192.0.2.8"));
	CHECK(key_of("192.0.2.7") == key_of("::ffff:192.0.2.7"));
	CHECK(key_of("2001:db8::1") == key_of("2001:db8::2:1"));
	CHECK(key_of("2001:db8::1") != key_of("2001:db8:0:1::1"));
	peer_text(key_of("192.0.2.7"), text);
	CHECK(strcmp(text, "192.0.2.7") == 0);
	peer_text(key_of("2001:db8::5"), text);
	CHECK(strcmp(text, "2001:db8::/64") == 0);
}

static uint64_t proxied(const char *from, const struct forwarded *f)
{
	struct proxies p = {0};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	CHECK(proxies_add(&p, "192.0.2.1") && inet_pton(AF_INET6, from, &v6.sin6_addr) == 1);
	return proxies_peer(&p, (const struct sockaddr *)&v6, f);
}

static void proxies_name_their_clients(void)
{
	struct forwarded f = {0};
	CHECK(proxied("::ffff:192.0.2.1", &f) == key_of("192.0.2.1"));
	forwarded_add(&f, slice_of("198.51.100.7, 192.0.2.1"));
	CHECK(proxied("::ffff:192.0.2.1", &f) == key_of("198.51.100.7"));
	CHECK(proxied("2001:db8::1", &f) == key_of("2001:db8::1"));
	/* Of many lines the last count. */
	for (int i = 0; i < FORWARDED_MAX; i++)
		forwarded_add(&f, slice_of("192.0.2.1"));
	CHECK(f.count == FORWARDED_MAX && proxied("::ffff:192.0.2.1", &f) == key_of("192.0.2.1"));
	struct proxies p = {0};
	CHECK(proxies_add(&p, "192.0.2.1"));
	CHECK(proxies_counted(&p, &(struct sockaddr){.sa_family = AF_UNIX}) ==
	      peer_key(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static void a_grant_of_nothing_allows_nothing(void)
{
	struct grant none = {0};
	CHECK(grant_may(&none, PERMISSION_NOTHING) && !grant_may(&none, PERMISSION_READ) &&
	      !grant_may(&none, PERMISSION_UNSAID));
	struct access *a;
	struct fault fault;
	struct grant all;
	CHECK(access_create(NULL, &a, &fault) == ERR_NONE);
	CHECK(access_grant(a, slice_of(""), &all) && grant_may(&all, PERMISSION_ADMIN) &&
	      !grant_may(&all, PERMISSION_UNSAID));
	grant_drop(&all);
	access_destroy(a);
}

int main(void)
{
	RUN(a_file_of_tokens);
	RUN(what_is_not_understood_is_refused);
	RUN(a_file_has_so_many_tokens_at_most);
	RUN(a_token_that_was_made_is_found);
	RUN(patterns_are_names_or_their_beginnings);
	RUN(hosts);
	RUN(bearers);
	RUN(peers);
	RUN(proxies_name_their_clients);
	RUN(a_grant_of_nothing_allows_nothing);
	return check_end();
}
