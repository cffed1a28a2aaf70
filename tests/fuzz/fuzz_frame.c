/* What a server, or whoever answers in its place, says on a WebSocket to `tidemark tail`. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client/frame.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	/* Without room behind it, so that reading past the end is seen. */
	char *text = malloc(len > 0 ? len : 1);
	struct frame f;
	memcpy(text, bytes, len);
	frame_read(text, len, &f);
	assert(f.kind <= FRAME_BROKEN && strnlen(f.text, FRAME_TEXT_LEN) < FRAME_TEXT_LEN);
	free(text);
	return 0;
}
