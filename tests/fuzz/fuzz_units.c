/* Times, sizes, durations: values from the command line, the environment, files and URLs. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/system/clock.h"
#include "base/units.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	char *text = malloc(len > 0 ? len : 1);
	struct slice s = {text, len};
	int64_t n;
	memcpy(text, bytes, len);
	assert(!units_integer(s, &n) || n >= 0);
	assert(!units_size(s, &n) || n >= 0);
	assert(!units_duration(s, &n) || n >= 0);
	if (clock_parse(s, &n) && n >= 0) {
		char again[CLOCK_TEXT_LEN];
		int64_t m;
		clock_format(n, again);
		assert(n > INT64_C(253402300799999) || (clock_parse((struct slice){again, CLOCK_TEXT_LEN}, &m) && m == n));
	}
	free(text);
	return 0;
}
