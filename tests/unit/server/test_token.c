/* Files of tokens. */
#include "server/access/token.h"
#include "unit/check.h"

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

int main(void)
{
	RUN(a_file_of_tokens);
	RUN(what_is_not_understood_is_refused);
	RUN(a_file_has_so_many_tokens_at_most);
	RUN(a_token_that_was_made_is_found);
	return check_end();
}
