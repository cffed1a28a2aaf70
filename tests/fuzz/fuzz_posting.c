/* Posting rows of a damaged store: seqs must ascend and stay within their window. */
#include <assert.h>
#include <string.h>

#include "store/index/postings.h"

struct seen {
	uint64_t last;
	uint64_t window;
};

static void each(void *arg, uint64_t seq)
{
	struct seen *s = arg;
	assert(seq > s->last && seq <= s->window);
	s->last = seq;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	uint64_t window;
	if (len < sizeof window)
		return 0;
	memcpy(&window, bytes, sizeof window);
	struct seen s = {0, window};
	postings_decode(bytes + sizeof window, len - sizeof window, window, each, &s);
	return 0;
}
