#include "load/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *args_text(const struct args *a, const char *name, const char *otherwise)
{
	size_t len = strlen(name);
	for (char **v = a->values; *v != NULL; v++)
		if (strncmp(*v, name, len) == 0 && (*v)[len] == '=')
			return *v + len + 1;
	return otherwise;
}

uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise)
{
	const char *text = args_text(a, name, NULL);
	if (text != NULL && (*text < '0' || *text > '9'))
		die("%s=%s: not a number", name, text);
	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

const struct protocol *args_protocol(const struct args *a, const char *name)
{
	const char *text = args_text(a, name, "");
	const struct protocol *p = protocol_find(text);
	if (p == NULL)
		die("%s=%s: no such protocol", name, text);
	return p;
}

struct payload args_payload(const struct args *a)
{
	struct payload p = {args_number(a, "bytes", 200), (unsigned)args_number(a, "streams", 10),
			    (unsigned)args_number(a, "types", 1)};
	if (p.bytes < PAYLOAD_MIN || p.bytes > 1 << 20 || p.streams == 0 || p.types == 0)
		die("bytes= is at least %d, streams= and types= at least 1", PAYLOAD_MIN);
	return p;
}

void figure(const char *name, double value)
{
	printf("%s %.9g\n", name, value);
}
