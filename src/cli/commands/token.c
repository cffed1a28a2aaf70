/* Creates, lists and revokes the tokens of a file. */
#include "cli/commands/token.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "event/event.h"
#include "server/access/token_file.h"
#include "json/json.h"

static const struct command_help help = {
	.usage = "tidemark token add NAME --scope SCOPE... [--stream PATTERN...] --tokens FILE\n"
		 "       tidemark token list --tokens FILE [--json]\n"
		 "       tidemark token revoke NAME --tokens FILE",
	.summary = "Creates, lists and revokes tokens for `tidemark serve --tokens FILE`. The file has\n"
		   "only their hashes: add prints the token on standard output, and it cannot be shown\n"
		   "again. A running server reloads the file on SIGHUP, and then closes the connections of\n"
		   "revoked tokens.\n\n"
		   "Scopes: publish; read; admin, for changes to the server itself. A token with --stream\n"
		   "publishes to and reads from these streams only; a pattern is a name, or a prefix of\n"
		   "names followed by *.",
	.examples = "  tidemark token add ci --scope publish --stream 'builds-*' --tokens /etc/tidemark/tokens\n"
		    "  tidemark token add wall --scope read --tokens /etc/tidemark/tokens > wall.token\n"
		    "  tidemark token revoke ci --tokens /etc/tidemark/tokens && kill -HUP $(pidof tidemark)",
};

struct token_command {
	const char *file;
	struct option_texts scopes;
	struct option_texts streams;
	bool json;
	const char *config;
	const char *verb;
	const char *name; /* NULL: not given */

	struct buf text; /* of the file */
	struct tokens *tokens;
};

static int parse(struct token_command *c, int argc, char **argv)
{
	const struct option options[] = {
		{"tokens", OPTION_TEXT, &c->file, "FILE", "file of tokens", 0, 0, 0},
		{"scope", OPTION_TEXTS, &c->scopes, "SCOPE", "publish, read or admin, repeatable", 0, 0, 0},
		{"stream", OPTION_TEXTS, &c->streams, "PATTERN", "limit the token to these streams, repeatable", 0, 0, 's'},
		{"json", OPTION_FLAG, &c->json, NULL, "print the list as one JSON document", 0, 0, 0},
		CLI_OPTION_CONFIG(&c->config),
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != CLI_GO_ON)
		return status;
	c->verb = operands > 0 ? argv[0] : "";
	c->name = operands > 1 ? argv[1] : NULL;
	bool lists = strcmp(c->verb, "list") == 0;
	if (!lists && strcmp(c->verb, "add") != 0 && strcmp(c->verb, "revoke") != 0)
		return cli_wrong_usage("token", "token needs add, list or revoke");
	if (operands != (lists ? 1 : 2))
		return cli_wrong_usage("token", lists ? "list has no name" : "%s needs one name", c->verb);
	return c->file != NULL ? CLI_GO_ON : cli_wrong_usage("token", "--tokens FILE is missing");
}

static enum err read_file(struct token_command *c, struct fault *fault)
{
	bool open;
	enum err err = token_file_read(c->file, &c->tokens, &c->text, &open, fault);
	if (err == ERR_NOT_FOUND && strcmp(c->verb, "add") == 0)
		err = tokens_parse((struct slice){"", 0}, &c->tokens, fault);
	return err;
}

static const struct token *find(const struct token_command *c)
{
	for (int i = 0; i < tokens_count(c->tokens); i++)
		if (strcmp(tokens_at(c->tokens, i)->name, c->name) == 0)
			return tokens_at(c->tokens, i);
	return NULL;
}

/* --- add --- */

/* Parses scopes and patterns; CLI_GO_ON, or an exit status after an error message. */
static int read_rights(const struct token_command *c, unsigned *scopes, struct slice patterns[TOKEN_PATTERNS_MAX])
{
	*scopes = 0;
	for (int i = 0; i < c->scopes.count; i++) {
		unsigned scope = token_scope(slice_of(c->scopes.items[i]));
		if (scope == 0)
			return cli_wrong_usage("token", "--scope must be publish, read or admin, not: %s",
					       c->scopes.items[i]);
		*scopes |= scope;
	}
	if (*scopes == 0)
		return cli_wrong_usage("token", "add needs at least one --scope");
	if ((*scopes & SCOPE_ADMIN) != 0 && c->streams.count > 0)
		return cli_wrong_usage("token", "the scope admin cannot be limited to streams");
	for (int i = 0; i < c->streams.count; i++) {
		patterns[i] = slice_of(c->streams.items[i]);
		if (patterns[i].len == 0 || patterns[i].len > EVENT_NAME_MAX || !json_plain_text(patterns[i]))
			return cli_wrong_usage("token",
					       "--stream must be 1 to 255 bytes of UTF-8 without control characters");
	}
	return CLI_GO_ON;
}

static int add(struct token_command *c, struct fault *fault)
{
	char token[TOKEN_LEN];
	struct slice patterns[TOKEN_PATTERNS_MAX];
	unsigned scopes;
	int status = read_rights(c, &scopes, patterns);
	if (status != CLI_GO_ON)
		return status;
	if (!token_name_fits(slice_of(c->name)))
		return cli_wrong_usage("token",
				       "the name of a token must be 1 to 64 letters, digits, dots, dashes and underscores");
	if (find(c) != NULL)
		return cli_fail("there is already a token named %s", c->name);
	if (tokens_count(c->tokens) == TOKENS_MAX)
		return cli_fail("the limit of %d tokens is reached", TOKENS_MAX);
	if (c->text.len > 0 && c->text.data[c->text.len - 1] != '\n')
		buf_addc(&c->text, '\n');
	if (!token_make(c->name, scopes, patterns, c->streams.count, token, &c->text))
		return cli_fail("out of memory");
	if (token_file_write(c->file, buf_slice(&c->text), fault) != ERR_NONE)
		return cli_fail("%s", fault->text);
	puts(token);
	cli_report("the token cannot be shown again; send SIGHUP to a running server to load it");
	return CLI_DONE;
}

/* --- list --- */

static void list(const struct token_command *c)
{
	for (int i = 0; i < tokens_count(c->tokens); i++) {
		const struct token *t = tokens_at(c->tokens, i);
		struct buf line;
		buf_init(&line);
		buf_printf(&line, "%-24s ", t->name);
		token_put_scopes(&line, t->scopes);
		for (int k = 0; k < t->pattern_count; k++) {
			buf_adds(&line, "  ");
			buf_add(&line, t->patterns[k].p, t->patterns[k].len);
		}
		cli_print(&line);
		buf_finish(&line);
	}
}

static void list_json(const struct token_command *c)
{
	struct document d;
	struct doc all = doc_array(document_begin(&d), "tokens");
	for (int i = 0; i < tokens_count(c->tokens); i++) {
		const struct token *t = tokens_at(c->tokens, i);
		struct doc token = doc_object(all, NULL);
		doc_string(token, "name", t->name);
		token_add_scopes(doc_array(token, "scopes"), t->scopes);
		struct doc streams = doc_array(token, "streams");
		for (int k = 0; k < t->pattern_count; k++)
			doc_text(streams, NULL, t->patterns[k]);
	}
	cli_print_document(&d);
}

/* --- revoke --- */

static int revoke_token(struct token_command *c, struct fault *fault)
{
	const struct token *t = find(c);
	if (t == NULL)
		return cli_fail("there is no token named %s in %s", c->name, c->file);
	/* All other lines stay as they are, with comments. */
	const char *from = c->text.data;
	for (size_t line = 1; line < t->line; line++)
		from = (const char *)memchr(from, '\n', c->text.len) + 1;
	size_t before = (size_t)(from - c->text.data);
	const char *end = memchr(from, '\n', c->text.len - before);
	size_t len = end != NULL ? (size_t)(end + 1 - from) : c->text.len - before;
	memmove(c->text.data + before, from + len, c->text.len - before - len);
	c->text.len -= len;
	if (token_file_write(c->file, buf_slice(&c->text), fault) != ERR_NONE)
		return cli_fail("%s", fault->text);
	cli_report("revoked; send SIGHUP to a running server to apply it");
	return CLI_DONE;
}

static int run(struct token_command *c, struct fault *fault)
{
	if (strcmp(c->verb, "add") == 0)
		return add(c, fault);
	if (strcmp(c->verb, "revoke") == 0)
		return revoke_token(c, fault);
	if (c->json)
		list_json(c);
	else
		list(c);
	return CLI_DONE;
}

int token_main(int argc, char **argv)
{
	struct token_command c = {0};
	struct fault fault;
	int lock = -1;
	int status = parse(&c, argc, argv);
	if (status != CLI_GO_ON)
		return status;
	bool fine = token_file_lock(c.file, &lock, &fault) == ERR_NONE && read_file(&c, &fault) == ERR_NONE;
	status = fine ? run(&c, &fault) : cli_fail_as(c.json, "%s", fault.text);
	tokens_unref(c.tokens);
	buf_finish(&c.text);
	if (lock >= 0)
		close(lock);
	return status;
}
