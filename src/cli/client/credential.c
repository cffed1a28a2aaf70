#include "cli/client/credential.h"

#include <errno.h>

#include "cli/cli.h"

static int read_first_line(struct credential *c)
{
	FILE *f = fopen(c->file, "r");
	if (f == NULL)
		return cli_fail("--token-file %s: %s", c->file, strerror(errno));
	bool fine = fgets(c->token, sizeof c->token, f) != NULL;
	fclose(f);
	c->token[strcspn(c->token, "\r\n")] = '\0';
	return fine && c->token[0] != '\0' ? CLI_GO_ON : cli_fail("--token-file %s: the file has no token", c->file);
}

/* The token becomes part of a header: it must not contain a line break. */
static bool is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

int credential_read(struct credential *c, const char *command)
{
	if (c->file != NULL) {
		int status = read_first_line(c);
		if (status != CLI_GO_ON)
			return status;
	} else if (c->text != NULL) {
		if (strlen(c->text) > TOKEN_TEXT_MAX)
			return cli_wrong_usage(command, "the token has more than %d characters", TOKEN_TEXT_MAX);
		strcpy(c->token, c->text);
	}
	return is_plain(c->token) ? CLI_GO_ON : cli_wrong_usage(command, "the token must be ASCII without spaces");
}
