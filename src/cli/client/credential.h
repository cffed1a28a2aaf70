/* The token that a command sends to the server. */
#ifndef CLI_CLIENT_CREDENTIAL_H
#define CLI_CLIENT_CREDENTIAL_H

#include "base/options.h"
#include "server/access/token.h"

struct credential {
	const char *text; /* the value of the option or the environment */
	const char *file;
	char token[TOKEN_TEXT_MAX + 1]; /* empty: none */
};

/* Lines of the option table of every command that talks to a server. */
/* clang-format off */
#define CLI_OPTIONS_TOKEN(c) \
	{"token", OPTION_TEXT, &(c)->text, "TOKEN", "token to send to the server; other users of this machine can see arguments, so " \
	 "prefer TIDEMARK_TOKEN or --token-file", 0, 0, 0}, \
	{"token-file", OPTION_TEXT, &(c)->file, "FILE", "file whose first line is the token; takes precedence over --token", 0, 0, 0}
/* clang-format on */

/* Fills in `token`. Returns CLI_GO_ON, or an exit status after an error message. */
int credential_read(struct credential *c, const char *command);

#endif
