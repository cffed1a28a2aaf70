/* The token that a command shows to the server. */
#ifndef CLI_CLIENT_CREDENTIAL_H
#define CLI_CLIENT_CREDENTIAL_H

#include "base/options.h"
#include "server/access/token.h"

struct credential {
	const char *text; /* what the option or the environment says */
	const char *file;
	char token[TOKEN_TEXT_MAX + 1]; /* empty: none */
};

/* Lines of the option table of every command that talks to a server. */
/* clang-format off */
#define CLI_OPTIONS_TOKEN(c) \
	{"token", OPTION_TEXT, &(c)->text, "TOKEN", "the token to show to the server; others on this machine see arguments, so " \
	 "rather TIDEMARK_TOKEN", 0, 0, 0}, \
	{"token-file", OPTION_TEXT, &(c)->file, "FILE", "a file whose first line is the token; counts more", 0, 0, 0}
/* clang-format on */

/* Fills in `token`. Returns CLI_GO_ON, or an exit status after telling what is wrong. */
int credential_read(struct credential *c, const char *command);

#endif
