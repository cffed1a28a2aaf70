/* A file of tokens, which an operator may have edited. What is accepted is within bounds. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "server/access/token.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	char *text = malloc(len > 0 ? len : 1);
	struct tokens *t;
	struct fault fault;
	memcpy(text, bytes, len);
	if (tokens_parse((struct slice){text, len}, &t, &fault) == ERR_NONE) {
		for (int i = 0; i < tokens_count(t); i++) {
			const struct token *one = tokens_at(t, i);
			assert(token_name_fits(slice_of(one->name)) && one->scopes != 0 && one->line > 0);
			assert((one->scopes & SCOPE_ADMIN) == 0 || one->pattern_count == 0);
			for (int k = 0; k < one->pattern_count; k++)
				assert(one->patterns[k].len > 0 && one->patterns[k].len <= EVENT_NAME_MAX);
			assert(tokens_again(t, one) == one);
		}
		tokens_find(t, (struct slice){text, len});
		tokens_unref(t);
	}
	free(text);
	return 0;
}
