/* Shared by the commands: exit statuses, messages on stderr, and URLs. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/options.h"
#include "json/document.h"

enum cli_status {
	CLI_GO_ON = -1, /* the value that options_parse returns */
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
};

#define CLI_URL_DEFAULT "http://127.0.0.1:8080"

/* Lines of the option table that every command has. */
#define CLI_OPTION_URL(target)                                                                                              \
	{                                                                                                                   \
		"url", OPTION_TEXT, target, "URL", "URL of the server if there is no operand (" CLI_URL_DEFAULT ")", 0, 0,  \
			0                                                                                                   \
	}
#define CLI_OPTION_UNTIL_SEQ(target)                                                                                        \
	{                                                                                                                   \
		"until", OPTION_INTEGER, target, "SEQ", "omit events after this seq; 0: none (0)", 0, INT64_MAX, 0          \
	}
#define CLI_OPTION_JSON(target)                                                                                             \
	{                                                                                                                   \
		"json", OPTION_FLAG, target, NULL, "print one JSON document on standard output", 0, 0, 0                    \
	}
#define CLI_OPTION_CONFIG(target)                                                                                           \
	{                                                                                                                   \
		"config", OPTION_TEXT, target, "FILE", "read options from a file", 0, 0, 0                                  \
	}

/* Prints one line to stderr, after "tidemark: ". */
void cli_report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; returns CLI_FAILED, for use in `return cli_fail(…)`. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; with `json` it also prints {"ok":false,"fault":…} to stdout, the document of a command with --json. */
int cli_fail_as(bool json, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints one line to stdout. */
void cli_print(const struct buf *line);
/* Ends a document and prints it to stdout. */
void cli_print_document(struct document *d);
/* Adds a text that need not be UTF-8, such as a path. */
void cli_text(struct doc to, const char *key, const char *text);
/* Prints a line to stderr, with a hint at --help; returns CLI_USAGE. */
int cli_wrong_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Does it begin with http:// or https://? */
bool cli_is_url(const char *operand);
/* The operand [URL] of a command, or else `fallback`; NULL after an error message: it is not a URL, or there are several. */
const char *cli_server(const char *command, int operands, char **argv, const char *fallback);

/* The operand DIR|URL of a command, or else `fallback`; NULL after an error message: there is none, or there are several. */
const char *cli_source(const char *command, int operands, char **argv, const char *fallback);

/* Appends `path` ("/v1/events") to the URL of a server, which may end in a slash. */
void cli_url(struct buf *out, const char *server, const char *path);
/* Appends ?name=value or &name=value. The buffer begins as a URL or a path without parameters. */
void cli_param(struct buf *out, const char *name, const char *value);
/* Appends a parameter for each text. */
void cli_params(struct buf *out, const char *name, const struct option_texts *values);

/* Checks the parameters of `target` as the server would, before any request (`allowed`: see
 * server/stream/reader_query.h). Returns CLI_GO_ON, or CLI_USAGE after a message that names the option. */
int cli_check(const char *command, struct slice target, unsigned allowed);

/* Reports a gap on stderr: a position that cannot be honoured; `reason` as in schema/asyncapi.json. */
void cli_gap(const char *reason, uint64_t requested, uint64_t first);

/* Formats a number of bytes for people: "12.3 MiB". */
void cli_bytes(char *out, size_t size, uint64_t bytes);

#endif
