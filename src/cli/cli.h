/* What the commands share: exit statuses, what is said on stderr, and how a server is named. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/options.h"
#include "json/document.h"

enum cli_status {
	CLI_GO_ON = -1, /* as options_parse returns it */
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
};

#define CLI_URL_DEFAULT "http://127.0.0.1:8080"

/* Lines of the option table that every command has. */
#define CLI_OPTION_URL(target)                                                                                              \
	{                                                                                                                   \
		"url", OPTION_TEXT, target, "URL", "the server, where no operand names it (" CLI_URL_DEFAULT ")", 0, 0, 0   \
	}
#define CLI_OPTION_JSON(target)                                                                                             \
	{                                                                                                                   \
		"json", OPTION_FLAG, target, NULL, "print one JSON document on standard output", 0, 0, 0                    \
	}
#define CLI_OPTION_CONFIG(target)                                                                                           \
	{                                                                                                                   \
		"config", OPTION_TEXT, target, "FILE", "read options from a file", 0, 0, 0                                  \
	}

/* One line on stderr, after "tidemark: ". */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; returns CLI_FAILED, so that `return cli_fail(…)` reads well. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; with `json` also {"ok":false,"fault":…} on stdout: what a command prints there with --json. */
int cli_fail_as(bool json, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints one line to stdout. */
void cli_print(const struct buf *line);
/* The same for a document, which is ended. */
void cli_print_document(struct document *d);
/* Adds a text that need not be UTF-8, such as a path. */
void cli_text(struct doc to, const char *key, const char *text);
/* The same, with a hint at --help; returns CLI_USAGE. */
int cli_wrong_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* http:// or https:// */
bool cli_is_url(const char *operand);
/* The one operand [URL] of a command, else `fallback`; NULL when that is no URL or there are more (told). */
const char *cli_server(const char *command, int operands, char **argv, const char *fallback);

/* The one operand DIR|URL of a command, else `fallback`; NULL when there is neither, or there are more (told). */
const char *cli_place(const char *command, int operands, char **argv, const char *fallback);

/* Appends `path` ("/v1/events") to the URL of a server, which may end in a slash. */
void cli_url(struct buf *out, const char *server, const char *path);
/* Appends ?name=value or &name=value. The buffer begins as a URL or a path without parameters. */
void cli_param(struct buf *out, const char *name, const char *value);
/* One for each text. */
void cli_params(struct buf *out, const char *name, const struct option_texts *values);

/* Checks the parameters of `target` as the server would (server/stream/reader_query.h says what `allowed` is), before
 * anything is asked for. Returns CLI_GO_ON, or CLI_USAGE after telling which option is wrong. */
int cli_check(const char *command, struct slice target, unsigned allowed);

/* Tells that a position cannot be honoured: `reason` as in a gap (CONTRACT: WebSocket). */
void cli_gap(const char *reason, uint64_t requested, uint64_t first);

/* An amount of bytes for people: "12.3 MiB". */
void cli_bytes(char *out, size_t size, uint64_t bytes);

#endif
